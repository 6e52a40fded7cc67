//! The bytes of files: whoever knows a signed address may read and write there, without credentials.

use crate::http::{Exchange, Reply, parse_query};
use crate::shared::Shared;

/// Answers what is asked below `/_storage/`.
pub(super) fn answer(shared: &Shared, exchange: &Exchange, id: &str) -> Reply {
    let query = parse_query(&exchange.query);
    let signature = query.iter().find(|(name, _)| name == "signature").map_or("", |(_, value)| value.as_str());
    shared.record.hide(signature);
    let known = shared.look(|state| state.signed_file(id, signature).is_some());
    match exchange.method.as_str() {
        _ if !known => text(403, "The request signature does not match."),
        "PUT" => upload(shared, exchange, id),
        "GET" | "HEAD" => match shared.file_bytes(id) {
            Some(bytes) => Reply::new(200, "application/octet-stream", bytes),
            None => text(404, "Nothing was uploaded yet."),
        },
        _ => text(405, "Accepted: GET, PUT."),
    }
}

fn upload(shared: &Shared, exchange: &Exchange, id: &str) -> Reply {
    shared.keep_file(id, exchange.body.clone());
    Reply::empty(200)
}

fn text(status: u16, text: &'static str) -> Reply {
    Reply::new(status, "text/plain; charset=utf-8", text)
}
