//! Golden expansions, and the texts of all mistakes.

use proc_macro2::TokenStream;
use quote::quote;

// No glob: it would make `#[test]` ambiguous.
use super::{Errors, Function, Options, attribute, check};

/// Returns the formatted expansion.
fn expansion(arguments: TokenStream, item: TokenStream) -> String {
    let tokens = attribute(arguments, item);
    prettyplease::unparse(&syn::parse2(tokens).expect("the expansion is a list of items"))
}

/// Returns the mistakes in one attribute and its function.
fn mistakes(arguments: TokenStream, item: TokenStream) -> Vec<String> {
    let mut errors = Errors::default();
    let options = Options::parse(arguments, &mut errors);
    if let Some(function) = Function::parse(&item, &mut errors) {
        check::all(&function, &options, &mut errors);
    }
    errors.texts()
}

/// Compares an expansion with a golden file.
macro_rules! golden {
    ($name:ident, [$($arguments:tt)*] $($item:tt)*) => {
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), expansion(quote!($($arguments)*), quote!($($item)*)));
        }
    };
}

golden!(async_with_a_parameter, [] async fn inserts(cluster: Cluster) -> Result<()> { body().await });
golden!(sync_without_parameters, [] fn works() { body() });
golden!(every_way_to_take_a_parameter, [] fn takes(a: A, b: &B, mut c: C, d: &mut D, E { e, .. }: E, _: F) {});
golden!(all_options, [exclusive, keep_schema = "on-failure", crate = crate::facade::db,] async fn f(c: &Cluster) {});
golden!(a_version_and_nodes, [version = "6.4.3", nodes = 3] async fn f(c: &Cluster) {});
golden!(a_password_and_tls, [auth = "password", tls,] async fn f(c: &Cluster) {});
golden!(
    settings_of_the_server,
    [settings("z.last" = "a \"b\"", "a-b.c_d" = -1_000, "m.float" = 0.50, "m.hex" = 0x10, "m.on" = true,)]
    async fn f(c: &Cluster) {}
);
golden!(
    a_test_per_version,
    [exclusive, versions("5.10", "6.4.3",)]
    #[doc = "d"] #[should_panic] #[expect(unused)] #[ignore] pub(crate) async fn r#match(c: &Cluster) { c.go() }
);
golden!(versions_below_a_runtime, [versions("6.4")] #[tokio::test] async fn f(c: C) -> R { c.go().await });
golden!(
    a_prepared_schema,
    [data("r.csv" => "r", "../r.jsonl" => "doc.r"), sql("users", "o.sql", "./a/b"), setup = crate::tables]
    async fn f(c: &Cluster) {}
);
golden!(a_prepared_schema_of_a_sync_test, [setup = tables, sql("users")] fn f() {});
golden!(migrations, [migrations = "../tests/consumers/migrations/migrations", sql("users")] async fn f(c: &Cluster) {});
golden!(should_panic_reports, [] #[should_panic(expected = "no")] async fn panics(c: Cluster) { panic!("no") });
golden!(never_returns, [] async fn leaves() -> ! { loop {} });
golden!(impl_termination, [] fn ends() -> impl Termination { ExitCode::SUCCESS });
golden!(below_a_runtime, [] #[tokio::test(flavor = "multi_thread")] async fn runs(c: Cluster) -> R { c.go().await });
golden!(plain_test_stays, [] #[test_log::test] #[ignore = "slow"] pub(crate) async fn r#match() {});
golden!(fallback_keeps_the_function, [exklusive] #[doc = "d"] #[values(1)] fn stays(#[case] c: C) { c.go() });

#[test]
fn a_half_typed_body_is_left_to_rustc() {
    let expansion = attribute(quote!(), quote!(async fn typing(c: Cluster) { let x = c. }));
    assert!(expansion.to_string().contains("async fn typing (c : Cluster) { let x = c . }"), "{expansion}");
}

/// `#![forbid(…)]` of the user makes an `#[allow]` of the expansion an error.
#[test]
fn no_expansion_sets_the_level_of_a_lint() {
    let items = [
        quote!(
            async fn t(c: &C) -> R {}
        ),
        quote!(
            fn t(c: C) {}
        ),
        quote!(
            #[should_panic]
            pub fn t(c: C) {}
        ),
        quote!(
            fn t<T>() {}
        ),
    ];
    for arguments in [quote!(), quote!(versions("6.4"), setup = s), quote!(exklusive)] {
        for item in &items {
            let expanded = attribute(arguments.clone(), item.clone()).to_string();
            for level in ["allow", "expect", "warn", "deny", "forbid"] {
                assert!(!expanded.contains(&format!("[{level}")), "{expanded}");
            }
        }
    }
}

#[test]
fn every_mistake_is_reported_once() {
    let found = mistakes(
        quote!(exklusive, keep_schema, exclusive = 1, crate = "db", "always", exclusive, exclusive),
        quote! { #[rstest] const unsafe extern "C" fn t<T>(x: impl X, y: Vec<impl Y>) where T: X {} },
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn a_test_without_mistakes_has_none() {
    let found = mistakes(
        quote!(exclusive),
        quote!(
            #[tokio::test]
            #[serial]
            async fn t(#[allow(unused)] c: C) {}
        ),
    );
    assert_eq!(found, [""; 0]);
}

#[test]
fn what_is_no_version_is_refused() {
    let item = quote!(
        fn t() {}
    );
    for text in ["", "6", "6.", "6.4.", "6.4.3.1", "6.04", "+6.4", "latest", "6.4.3-nightly", "6,4", " 6.4"] {
        let found = mistakes(quote!(version = #text), item.clone());
        assert!(found.len() == 1 && found[0].starts_with(&format!("{text:?} is not a version")), "{text}: {found:?}");
    }
    for text in ["5.10", "6.4.3", "10.0"] {
        assert_eq!(mistakes(quote!(version = #text), item.clone()), [""; 0]);
    }
}

#[test]
fn every_mistake_about_the_cluster_is_reported_once() {
    let found = mistakes(
        quote!(
            version = 6.4,
            versions("5.10", 5.10, "5.10", "x" "6.4",),
            versions(),
            versions,
            versions = "6.4",
            nodes = 0,
            nodes = 10,
            nodes = 3u32,
            nodes = "3",
            nodes = -1,
            nodes(3),
            nodes,
        ),
        quote!(
            fn t() {}
        ),
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn every_mistake_about_settings_is_reported_once() {
    let found = mistakes(
        quote!(
            settings(
                "a.b" = 1,
                "a.b" = 2,
                "a b" = 1,
                "http.port" = 4200,
                "discovery.seed_hosts" = "x",
                "path.data" = "/x",
                a.b = 1,
                "c",
                "c" =,
                "c" = word,
                "c" = -"1",
                "c" = -true,
                "c" = 1u8,
                "c" = 1.0f32,
                "c" = 'c',
                "c" = [1],
                "c" = "",
                "c" = "x
        y",
                "c" = 1 "d" = 2,
                "c" = 1 + 1,
            ),
            settings(),
            settings,
            settings = "a=1",
        ),
        quote!(
            fn t() {}
        ),
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn every_mistake_about_files_is_reported_once() {
    let found = mistakes(
        quote!(
            sql("a", "", 1, "a" "b", "fixtures/a.sql", "a"),
            sql(),
            sql = "a",
            data("a.ndjson", "a.csv" => t, "a.csv" => "", "a.txt" => "t", "a" => "t", "a.csv" => "t" "u", => "t", "a.csv" =>),
            data,
            setup = "f",
            setup = 1,
            setup,
        ),
        quote!(
            fn t() {}
        ),
    );
    insta::assert_snapshot!(found.join("\n"));
}

#[test]
fn whatever_is_no_function_is_refused() {
    for item in [
        quote!(
            struct S;
        ),
        quote!(
            mod m {}
        ),
        quote!(
            const F: fn() = f;
        ),
        quote!(
            unsafe impl Send for S {}
        ),
        quote!(
            extern "C" {}
        ),
        quote!(let x = 1;),
        quote!(),
    ] {
        let found = mistakes(quote!(), item.clone());
        assert!(found.len() == 1 && found[0].starts_with("not a function"), "{item}: {found:?}");
    }
}

#[test]
fn a_function_without_a_body_is_refused() {
    assert_eq!(
        mistakes(
            quote!(),
            quote!(
                fn t();
            )
        ),
        ["a test needs a body: `{ … }`"]
    );
}

#[test]
fn a_comma_too_many_is_refused_but_not_the_last_one() {
    assert_eq!(
        mistakes(
            quote!(exclusive,),
            quote!(
                fn t() {}
            )
        ),
        [""; 0]
    );
    assert_eq!(
        mistakes(
            quote!(exclusive,,),
            quote!(
                fn t() {}
            )
        ),
        ["an argument is missing before this comma"]
    );
}

#[test]
fn a_forgotten_comma_hides_nothing() {
    let found = mistakes(
        quote!(keep_schema = "always" exclusive crate),
        quote!(
            fn t() {}
        ),
    );
    assert_eq!(
        found,
        [
            "a comma is missing before this",
            "a comma is missing before this",
            "`crate` needs a value; accepted: `crate = path::to::cratedb_test`",
        ]
    );
}

#[test]
fn both_names_of_the_attribute_count_as_twice() {
    let item = quote!(
        #[cratedb_cluster]
        #[cratedb_test::test]
        #[::db::test]
        #[db::cratedb_cluster(exclusive)]
        fn t() {}
    );
    assert_eq!(mistakes(quote!(crate = ::db), item).len(), 4);
}
