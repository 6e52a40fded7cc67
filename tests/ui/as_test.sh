#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of the compile-fail cases. trybuild compiles programs, in which `#[test]` takes the test away
# before its body is checked; with `--test` the cases are what they would be in a test binary. Those about lints are
# compiled by clippy.
case " $* " in
*" --crate-name ___ "*) exec "$@" ;; # cargo asks what the compiler can do
*" --crate-name "*"/tests/ui/lints/"*) exec clippy-driver "$@" --test ;;
*" --crate-name "*" --crate-type bin "*) exec "$@" --test ;;
*) exec "$@" ;;
esac
