//! Support for the tests of all providers.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde::Serialize;
use serde_json::Value;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Held, Resource};
use crate::sql::{SqlClient, Wallet};

/// Asserts that a text has all of these parts.
#[track_caller]
pub(super) fn says(text: impl ToString, parts: &[&str]) {
    let text = text.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
}

/// Asserts that the cluster answers with the credentials of the resource.
pub(super) async fn answers(resource: &Resource) {
    let client = SqlClient::new(&resource.http_url, None, Wallet::new(resource.credentials.clone())).unwrap();
    let rows: Vec<(i64,)> = client.rows("SELECT 1").await.unwrap();
    assert_eq!(rows, [(1,)]);
}

/// Returns all steps so far, on a line each.
pub(super) fn drained(steps: &mut UnboundedReceiver<String>) -> String {
    std::iter::from_fn(|| steps.try_recv().ok()).collect::<Vec<_>>().join("\n")
}

/// Returns a record as JSON, in which tests look up fields as the journal has them.
pub(super) fn json(held: &impl Serialize) -> Value {
    serde_json::to_value(held).unwrap()
}

/// Returns a record as it comes back from the journal.
pub(super) fn as_journalled(held: &impl Serialize) -> Held {
    serde_json::from_str(&serde_json::to_string(held).unwrap()).unwrap()
}

/// Makes a directory that all users can enter, since these tests may run as root and servers never do.
pub(super) fn open_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    dir
}
