//! Tells whether the value that a test returned means failure, without taking the value.
//!
//! The expansion calls `(&&&Probe(&value)).__cratedb_test_failed()`, and method look-up takes the most special
//! implementation: the one with the most references. A user's own `Termination` can only be asked by consuming it, so
//! it counts as passed here. libtest judges it in any case.

use std::process::ExitCode;

/// Holds a returned value, to be asked whether it means failure.
pub struct Probe<'a, T>(pub &'a T);

/// Tells whether a value means that the test failed. No user's trait has a method of this name.
pub trait TellsFailure {
    /// Returns true if the test failed.
    fn __cratedb_test_failed(&self) -> bool;
}

impl<E> TellsFailure for &&Probe<'_, Result<ExitCode, E>> {
    fn __cratedb_test_failed(&self) -> bool {
        self.0.as_ref().map_or(true, |code| *code != ExitCode::SUCCESS)
    }
}

impl<T, E> TellsFailure for &Probe<'_, Result<T, E>> {
    fn __cratedb_test_failed(&self) -> bool {
        self.0.is_err()
    }
}

impl TellsFailure for &Probe<'_, ExitCode> {
    fn __cratedb_test_failed(&self) -> bool {
        *self.0 != ExitCode::SUCCESS
    }
}

impl<T> TellsFailure for Probe<'_, T> {
    fn __cratedb_test_failed(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use std::process::{ExitCode, Termination};

    use super::{Probe, TellsFailure as _};

    macro_rules! failed {
        ($value:expr) => {
            (&&&Probe(&$value)).__cratedb_test_failed()
        };
    }

    struct Own;

    impl Termination for Own {
        fn report(self) -> ExitCode {
            ExitCode::FAILURE
        }
    }

    #[test]
    fn results_fail_by_their_error() {
        assert!(failed!(Err::<(), _>("no")));
        assert!(!failed!(Ok::<_, std::io::Error>(())));
        assert!(failed!(Err::<(), Box<dyn std::error::Error>>("no".into())));
    }

    #[test]
    fn exit_codes_fail_unless_they_are_success() {
        assert!(failed!(ExitCode::FAILURE));
        assert!(failed!(ExitCode::from(3)));
        assert!(!failed!(ExitCode::SUCCESS));
        assert!(failed!(Ok::<_, ()>(ExitCode::FAILURE)));
        assert!(failed!(Err::<ExitCode, _>(())));
        assert!(!failed!(Ok::<_, ()>(ExitCode::SUCCESS)));
    }

    #[test]
    fn what_only_libtest_can_judge_counts_as_passed() {
        assert!(!failed!(Own));
        assert!(!failed!(()));
    }
}
