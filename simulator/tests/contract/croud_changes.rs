//! `croud clusters`: changes of a cluster that take time: scale, upgrade, storage, product, networks, backups.

use serde_json::{Value, json};

use super::support::cloud::Cloud;
use super::support::program::{Home, Ran};
use super::support::python;

fn start(arguments: &[&str]) -> Option<(Cloud, Home)> {
    let environment = python::clients()?;
    let cloud = Cloud::serve(arguments);
    let home = Home::new(environment, &cloud);
    Some((cloud, home))
}

/// Runs `croud clusters <command> --cluster-id <ci> <arguments>`.
fn change(home: &Home, cloud: &Cloud, command: &str) -> Ran {
    let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
    let arguments = ["clusters", name, "--cluster-id", cloud.id("ci")].into_iter().chain(rest.split_whitespace());
    home.run("croud", &arguments.collect::<Vec<_>>())
}

/// A change is a PUT, one look at its operation and one at the cluster afterwards. Nothing is asked twice, so nothing
/// waited.
struct Change {
    command: &'static str,
    path: &'static str,
    body: &'static str,
    operation: &'static str,
    /// The field of the cluster that shows its effect, and the value there.
    effect: (&'static str, Value),
}

#[track_caller]
fn check(cloud: &Cloud, home: &Home, expected: &Change) {
    let Change { command, path, body, operation, effect } = expected;
    let ran = change(home, cloud, command).exits(0);
    assert_eq!(ran.said().last().map(String::as_str), Some("Success: Operation completed."), "{ran}");
    let asked = [
        format!("PUT clusters/{{ci}}/{path}/ {body}"),
        format!("GET clusters/{{ci}}/operations/?type={operation}&limit=1"),
        "GET clusters/{ci}/".into(),
    ];
    assert_eq!(cloud.asked(), asked);
    let documents = ran.documents();
    assert_eq!(documents.len(), 2, "before and after: {ran}");
    assert_ne!(documents[0].pointer(effect.0), Some(&effect.1), "already before: {ran}");
    assert_eq!(documents[1].pointer(effect.0), Some(&effect.1), "{ran}");
    let last = &documents[1]["last_async_operation"];
    assert_eq!((&last["type"], &last["status"]), (&json!(operation), &json!("SUCCEEDED")));
}

#[test]
fn scaled() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let (command, path, body, operation) = ("scale --unit 2", "scale", r#"{"product_unit":2}"#, "SCALE");
    check(&cloud, &home, &Change { command, path, body, operation, effect: ("/num_nodes", json!(3)) });
    let table = change(&home, &cloud, "scale --unit 1 --format table").exits(0);
    assert!(table.stdout.contains("| num_nodes |") || table.stdout.contains("num_nodes |"), "{table}");
}

#[test]
fn upgraded() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci,version=5.10.16"]) else { return };
    let id = cloud.id("ci");
    let offered = cloud.get(&format!("/api/v2/clusters/{id}/available-upgrades/"));
    assert!(offered.to_string().contains("6.4.3"), "{offered}");
    let (command, path, body, operation) =
        ("upgrade --version 6.4.3", "upgrade", r#"{"crate_version":"6.4.3"}"#, "UPGRADE");
    check(&cloud, &home, &Change { command, path, body, operation, effect: ("/crate_version", json!("6.4.3")) });
    let back = change(&home, &cloud, "upgrade --version 5.10.16").exits(0);
    assert!(back.said()[0].starts_with("Error: "), "no way back: {back}");
    assert_eq!(cloud.asked(), [r#"PUT clusters/{ci}/upgrade/ {"crate_version":"5.10.16"} -> 400"#]);
}

#[test]
fn storage_is_expanded() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let (command, path, operation) = ("expand-storage --disk-size-gb 256", "storage", "EXPAND_STORAGE");
    let body = r#"{"disk_size_per_node_bytes":274877906944}"#;
    let effect = ("/hardware_specs/disk_size_per_node_bytes", json!(274_877_906_944_u64));
    check(&cloud, &home, &Change { command, path, body, operation, effect });
    let smaller = change(&home, &cloud, "expand-storage --disk-size-gb 32").exits(0);
    assert!(smaller.said()[0].starts_with("Error: "), "disks don't shrink: {smaller}");
    let table = change(&home, &cloud, "expand-storage --disk-size-gb 512 --format table").exits(0);
    table.prints("Disk size: 512.0 GiB");
}

#[test]
fn the_product_is_changed() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let (command, path, operation) = ("set-product --product-name cr2", "product", "CHANGE_COMPUTE");
    let (body, effect) = (r#"{"product_name":"cr2"}"#, ("/product_name", json!("cr2")));
    check(&cloud, &home, &Change { command, path, body, operation, effect });
    let unknown = change(&home, &cloud, "set-product --product-name huge").exits(0);
    assert!(unknown.said()[0].starts_with("Error: "), "{unknown}");
}

#[test]
fn networks_are_allowed() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let (command, path) = ("set-ip-whitelist --net 10.0.0.0/8,192.168.0.0/24 -y", "ip-restrictions");
    let body = r#"{"ip_whitelist":[{"cidr":"10.0.0.0/8"},{"cidr":"192.168.0.0/24"}]}"#;
    let effect = ("/ip_whitelist/1/cidr", json!("192.168.0.0/24"));
    check(&cloud, &home, &Change { command, path, body, operation: "ALLOWED_CIDR_UPDATE", effect });
    let nonsense = change(&home, &cloud, "set-ip-whitelist --net everywhere -y").exits(0);
    assert!(nonsense.said()[0].starts_with("Error: "), "{nonsense}");
}

#[test]
fn backups_get_hours() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let before = cloud.cluster("ci")["backup_schedule"].clone();
    let ran = change(&home, &cloud, "set-backup-schedule --backup-hours 2,4,6").exits(0);
    assert_eq!(ran.said().last().map(String::as_str), Some("Success: Operation completed."), "{ran}");
    let asked = [
        r#"PUT clusters/{ci}/backup-schedule/ {"backup_hours":"2,4,6"}"#,
        "GET clusters/{ci}/operations/?type=BACKUP_SCHEDULE_UPDATE&limit=1",
        "GET clusters/{ci}/",
    ];
    assert_eq!(cloud.asked(), asked);
    let documents = ran.documents();
    assert_eq!(documents[0]["backup_schedule"], before);
    assert!(documents[1]["backup_schedule"].as_str().unwrap().contains("2,4,6"), "{ran}");
}

#[test]
fn a_node_is_restarted() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let ran = change(&home, &cloud, "restart-node --ordinal 0").exits(0);
    assert_eq!(cloud.asked(), ["DELETE clusters/{ci}/nodes/0"]);
    assert!(!ran.said().iter().any(|line| line.starts_with("Error")), "{ran}");
    let nobody = change(&home, &cloud, "restart-node --ordinal 7").exits(0);
    assert_eq!(cloud.asked(), ["DELETE clusters/{ci}/nodes/7 -> 404"]);
    assert!(nobody.said()[0].starts_with("Error: "), "{nobody}");
}

#[test]
fn a_free_cluster_stays_as_it_is() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci,product=crfree"]) else { return };
    for command in ["scale --unit 1", "set-product --product-name cr1", "expand-storage --disk-size-gb 64"] {
        let ran = change(&home, &cloud, command).exits(0);
        assert!(ran.said()[0].starts_with("Error: "), "{ran}");
        let asked = cloud.asked();
        assert!(asked.len() == 1 && asked[0].ends_with(" -> 400"), "{command}: {asked:?}");
    }
}

#[test]
fn values_that_make_no_sense_are_refused() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    for command in ["scale --unit 99", "upgrade --version 1.2.3", "set-backup-schedule --backup-hours 25"] {
        let ran = change(&home, &cloud, command).exits(0);
        assert!(ran.said()[0].starts_with("Error: "), "{ran}");
        let asked = cloud.asked();
        assert!(asked.len() == 1 && asked[0].ends_with(" -> 400"), "{command}: {asked:?}");
    }
}

#[test]
fn an_operation_that_fails_is_told_and_no_failure() {
    let arguments = ["--cluster", "name=ci", "--fault", "cluster=ci,fail=The region has no room."];
    let Some((cloud, home)) = start(&arguments) else { return };
    let ran = change(&home, &cloud, "scale --unit 2").exits(0);
    assert!(ran.said().contains(&"Error: The region has no room.".to_owned()), "{ran}");
    assert!(!ran.said().contains(&"Success: Operation completed.".to_owned()), "{ran}");
    let documents = ran.documents();
    assert_eq!(documents[1]["num_nodes"], 1, "it stays as it was: {ran}");
    assert_eq!(documents[1]["last_async_operation"]["status"], "FAILED");
    assert_eq!(cloud.asked()[1], "GET clusters/{ci}/operations/?type=SCALE&limit=1");
    // This was the operation that fails.
    let again = change(&home, &cloud, "scale --unit 2").exits(0);
    assert_eq!(again.documents()[1]["num_nodes"], 3, "{again}");
}
