//! Two hundred tests that do nothing, in a binary that knows no harness.

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {}
    )*};
}

bench::two_hundred!(tests);
