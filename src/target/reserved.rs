//! Judges names and values of a server's settings. The library and the macro crate each have this file, word for word,
//! so that the attribute refuses at compile time what the library refuses at run time.

/// Settings that the harness chooses itself, and the reason. An entry that ends in a dot or an underscore stands for
/// all names that begin with it.
const RESERVED: [(&[&str], &str); 7] = [
    (&["http.port", "psql.port", "transport.port", "transport.tcp.port"], "the harness takes free ports"),
    (
        &["network.bind_host", "network.host", "network.publish_host", "http.bind_host", "http.host", "http.publish_"],
        "the harness chooses the addresses, so that only this machine can connect",
    ),
    (
        &["transport.bind_host", "transport.host", "transport.publish_", "psql.enabled"],
        "the harness chooses how tests and nodes connect",
    ),
    (
        &["path.conf", "path.data", "path.home", "path.logs", "path.shared_data", "blobs.path"],
        "the harness chooses the directories and removes them with the server",
    ),
    (&["cluster.name", "node.name"], "the harness chooses the names, so that nodes of other clusters never join"),
    (
        &[
            "cluster.initial_master_nodes",
            "discovery.",
            "gateway.expected_",
            "gateway.recover_after_",
            "node.data",
            "node.master",
        ],
        "the harness makes the nodes one cluster; `nodes` says how many there are",
    ),
    (&["auth.", "ssl."], "`auth = \"password\"` and `tls` say how the server lets clients in"),
];

/// Returns what is wrong with the name of a setting.
pub(crate) fn name_problem(name: &str) -> Option<String> {
    let letters = |part: &str| part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if name.split('.').any(|part| part.is_empty() || !letters(part)) {
        return Some(format!("{name:?} is not the name of a setting; accepted: names such as stats.jobs_log_size"));
    }
    let is_meant = |entry: &&str| *entry == name || entry.ends_with(['.', '_']) && name.starts_with(*entry);
    let (_, why) = RESERVED.iter().find(|(entries, _)| entries.iter().any(is_meant))?;
    Some(format!("`{name}` can't be set: {why}"))
}

/// Returns what is wrong with the value of a setting.
pub(crate) fn value_problem(value: &str) -> Option<&'static str> {
    if value.trim().is_empty() {
        return Some("CrateDB does not accept an empty value");
    }
    value.contains(char::is_control).then_some("the value contains a control character, such as a line break")
}
