//! What a keeper learns of a cluster that keepers of other machines use, too.

/// The tests that may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Turns {
    None,
    Shared,
    /// No other keeper runs tests: an exclusive one may begin.
    Alone,
}

/// The way in which a cluster went away under the tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum CutOff {
    /// The cluster was suspended from outside.
    Suspended,
    /// This keeper was stopped for so long that others have, or may have, suspended the cluster meanwhile.
    Expired,
}
