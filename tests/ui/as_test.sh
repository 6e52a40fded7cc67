#!/bin/sh
# RUSTC_WORKSPACE_WRAPPER of the compile-fail cases. trybuild compiles programs, in which `#[test]` takes the test away
# before its body is checked; with `--test` the cases are what they would be in a test binary. Those about lints are
# compiled by clippy.

# trybuild passes `-A dead_code`, which is an error in a case that forbids that lint. Another lint takes its place.
forbidding() {
    for argument; do
        shift
        [ "$argument" != dead_code ] || argument=unknown_lints
        set -- "$@" "$argument"
    done
    exec "$@" --test
}

case " $* " in
*" --crate-name ___ "*) exec "$@" ;; # cargo asks what the compiler can do
*" --crate-name "*"/tests/ui/lints/"*) forbidding clippy-driver "$@" ;;
*" --crate-name "*"_under_forbidden_lints.rs "*) forbidding "$@" ;;
*" --crate-name "*" --crate-type bin "*) exec "$@" --test ;;
*) exec "$@" ;;
esac
