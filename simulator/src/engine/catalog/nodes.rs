//! `sys.nodes`: the node that holds everything, and others that have joined, with the figures of an idle machine.

use serde_json::json;

use super::{CatalogTable, shape};
use crate::engine::context::Context;

const COLUMNS: &str = "attributes OBJECT, cluster_state_version BIGINT, \
    connections(http(open BIGINT, total BIGINT), psql(open BIGINT, total BIGINT), transport(open BIGINT, total BIGINT)), \
    fs(data[](dev TEXT, path TEXT), disks[](available BIGINT, dev TEXT, size BIGINT, used BIGINT), \
        total(available BIGINT, bytes_read BIGINT, bytes_written BIGINT, reads BIGINT, size BIGINT, used BIGINT, writes BIGINT)), \
    heap(free BIGINT, max BIGINT, probe_timestamp TIMESTAMP, used BIGINT), hostname TEXT, id TEXT, is_master BOOLEAN, \
    load(1 DOUBLE, 15 DOUBLE, 5 DOUBLE, probe_timestamp TIMESTAMP), \
    mem(free BIGINT, free_percent SMALLINT, probe_timestamp TIMESTAMP, used BIGINT, used_percent SMALLINT), name TEXT, \
    os(cgroup(cpu(cfs_period_micros BIGINT, cfs_quota_micros BIGINT, control_group TEXT, num_elapsed_periods BIGINT, \
            num_times_throttled BIGINT, time_throttled_nanos BIGINT), cpuacct(control_group TEXT, usage_nanos BIGINT), \
            mem(control_group TEXT, limit_bytes TEXT, usage_bytes TEXT)), \
        cpu(system SMALLINT, used SMALLINT, user SMALLINT), probe_timestamp TIMESTAMP, timestamp TIMESTAMP, uptime BIGINT), \
    os_info(arch TEXT, available_processors INTEGER, jvm(version TEXT, vm_name TEXT, vm_vendor TEXT, vm_version TEXT), \
        name TEXT, version TEXT), \
    port(http INTEGER, psql INTEGER, transport INTEGER), \
    process(cpu(percent SMALLINT), max_open_file_descriptors BIGINT, open_file_descriptors BIGINT, probe_timestamp TIMESTAMP), \
    rest_url TEXT, roles TEXTS, \
    thread_pools[](active INTEGER, completed BIGINT, largest INTEGER, name TEXT, queue INTEGER, rejected BIGINT, threads INTEGER), \
    version(build_hash TEXT, build_snapshot BOOLEAN, minimum_index_compatibility_version TEXT, \
        minimum_wire_compatibility_version TEXT, number TEXT)";

const POOLS: [&str; 6] = ["generic", "management", "refresh", "search", "snapshot", "write"];
const GIB: i64 = 1 << 30;

pub(super) fn table(context: &Context) -> CatalogTable {
    let columns = shape::columns(COLUMNS);
    let row = |shown: serde_json::Value| columns.iter().map(|(name, ty)| shape::value(ty, &shown[*name])).collect();
    let peer = |(name, address): (&String, &String)| {
        let mut shown = figures(context);
        (shown["name"], shown["id"], shown["is_master"]) = (json!(name), json!(name), json!(false));
        (shown["rest_url"], shown["port"]["http"]) = (json!(address), json!(port_of(address)));
        shown
    };
    let all = std::iter::once(figures(context)).chain(context.state.peers.iter().map(peer)).map(row).collect();
    (columns, all)
}

fn port_of(address: &str) -> Option<i64> {
    address.rsplit(':').next()?.parse().ok()
}

/// Names and addresses are those of the cluster. The rest are figures of a small machine.
fn figures(context: &Context) -> serde_json::Value {
    let (options, now) = (context.options, context.now);
    let port = port_of(&options.http_address);
    let group = "/";
    let idle = json!({ "open": 0, "total": 0 });
    let pool = |name: &&str| json!({ "active": 0, "completed": 0, "largest": 1, "name": name, "queue": 0, "rejected": 0, "threads": 1 });
    json!({
        "attributes": {},
        "cluster_state_version": 1,
        "connections": { "http": { "open": 1, "total": 1 }, "psql": idle, "transport": idle },
        "fs": {
            "data": [{ "dev": "memory", "path": "/data/nodes/0" }],
            "disks": [{ "available": 7 * GIB, "dev": "memory", "size": 8 * GIB, "used": GIB }],
            "total": {
                "available": 7 * GIB, "bytes_read": 0, "bytes_written": 0, "reads": 0, "size": 8 * GIB, "used": GIB, "writes": 0,
            },
        },
        "heap": { "free": GIB / 2, "max": GIB, "probe_timestamp": now, "used": GIB / 2 },
        "hostname": "localhost",
        "id": options.cluster_id,
        "is_master": true,
        "load": { "1": 0.1, "15": 0.1, "5": 0.1, "probe_timestamp": now },
        "mem": { "free": GIB, "free_percent": 50, "probe_timestamp": now, "used": GIB, "used_percent": 50 },
        "name": options.node_name,
        "os": {
            "cgroup": {
                "cpu": {
                    "cfs_period_micros": 100_000, "cfs_quota_micros": -1, "control_group": group, "num_elapsed_periods": 0,
                    "num_times_throttled": 0, "time_throttled_nanos": 0,
                },
                "cpuacct": { "control_group": group, "usage_nanos": 0 },
                "mem": { "control_group": group, "limit_bytes": (2 * GIB).to_string(), "usage_bytes": GIB.to_string() },
            },
            "cpu": { "system": -1, "used": -1, "user": -1 },
            "probe_timestamp": now,
            "timestamp": now,
            "uptime": 60_000,
        },
        "os_info": {
            "arch": std::env::consts::ARCH,
            "available_processors": 2,
            "jvm": { "version": "none", "vm_name": "embedded engine", "vm_vendor": "cratedb-cloud-simulator", "vm_version": "none" },
            "name": "Linux",
            "version": "none",
        },
        // There are no others.
        "port": { "http": port, "psql": options.psql_port.unwrap_or(0), "transport": 0 },
        "process": {
            "cpu": { "percent": 0 }, "max_open_file_descriptors": 65_536, "open_file_descriptors": 100, "probe_timestamp": now,
        },
        "rest_url": options.http_address,
        "roles": ["data", "master_eligible"],
        "thread_pools": POOLS.iter().map(pool).collect::<Vec<_>>(),
        "version": {
            "build_hash": "0000000000000000000000000000000000000000", "build_snapshot": false,
            "minimum_index_compatibility_version": "5.0.0", "minimum_wire_compatibility_version": "5.10.1",
            "number": options.version,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::types::Type;

    #[test]
    fn has_the_columns_that_a_real_one_lists() {
        let columns = shape::columns(COLUMNS);
        assert_eq!(columns.len(), 19);
        assert!(columns.is_sorted_by_key(|(name, _)| *name));
        let (_, Type::Object(version)) = columns.last().unwrap() else { panic!("no object") };
        assert_eq!(version.fields.len(), 5);
    }
}
