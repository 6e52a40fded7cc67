//! `health`.

use serde_json::json;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Document, People};
