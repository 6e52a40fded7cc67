//! What is for tests only, below `/_simulator/`.

use super::json;
use crate::http::{Exchange, Reply};
use crate::shared::Shared;
use crate::state::Answer;

/// Answers what is asked below `/_simulator`.
pub(super) fn answer(_: &Shared, _: &Exchange, _: &str) -> Reply {
    json(&Answer::not_found())
}
