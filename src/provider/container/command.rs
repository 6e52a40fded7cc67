//! The command of a server in a container: its settings, environment, ports and mounts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{HostConfig, Mount, MountType, PortBinding};
use testcontainers::CopyTargetOptions;
use testcontainers::core::IntoContainerPort as _;
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _, ReuseDirective};

use super::engine::Engine;
use super::image::name_and_tag;
use crate::error::Result;
use crate::provider::guard::Guard;
use crate::provider::{jvm, local};
use crate::target::ServerSettings;

/// The ports of the first node inside its container. Each further node has the next ones.
pub(super) const HTTP: u16 = 4200;
pub(super) const POSTGRESQL: u16 = 5432;
const TRANSPORT: u16 = 4300;

/// The directory in a container in which its JVM finds or makes its cache.
const CACHES: &str = "/cratedb-test";
pub(super) const CACHE: &str = "crate.aot";
/// The file in a container with the key of a guarded server.
const KEYSTORE: &str = "/cratedb-test.keystore";

/// The engine's memory in bytes below which the data stays on disk.
const MEMORY_FOR_DATA: i64 = 4 << 30;

/// The parameters that all containers of a cluster have in common.
pub(super) struct ClusterSpec<'a> {
    pub(super) image: &'a str,
    /// The name of each node's container.
    pub(super) names: &'a [String],
    pub(super) labels: HashMap<String, String>,
    /// The address to which ports are mapped. None for all addresses.
    pub(super) address: Option<String>,
    /// The engine's memory in bytes.
    pub(super) memory: i64,
    /// The settings that tests ask for.
    pub(super) settings: &'a ServerSettings,
    /// None lets every client in.
    pub(super) guarded: Option<&'a Guard>,
    pub(super) cache: &'a CacheMount,
}

/// The mount of the JVM's cache. Files and directories are on this machine.
#[derive(Debug)]
pub(super) enum CacheMount {
    None,
    /// The JVM reads this file.
    Use(PathBuf),
    /// The JVM writes a cache into this directory when it ends.
    Make(PathBuf),
}

impl ClusterSpec<'_> {
    /// Creates and starts all containers. The first one comes first, since the others use its network, which exists
    /// only while it runs.
    pub(super) async fn start(&self, engine: &Engine) -> Result<()> {
        for (node, name) in self.names.iter().enumerate() {
            engine.start(name, self.request(node)).await?;
        }
        Ok(())
    }

    /// Returns the request for the container of one node.
    fn request(&self, node: usize) -> ContainerRequest<GenericImage> {
        let (image, tag) = name_and_tag(self.image);
        let mut image = GenericImage::new(image, tag);
        if node == 0 {
            image = image.with_exposed_port(HTTP.tcp()).with_exposed_port(POSTGRESQL.tcp());
        }
        let host = self.host(node);
        let request = image
            .with_cmd(self.settings.arguments([self.own_settings(node), self.guard_settings()].concat()))
            .with_container_name(&self.names[node])
            .with_labels(&self.labels)
            .with_startup_timeout(super::engine::CALL)
            // The container is not removed with the handle, since the keeper decides when it goes.
            .with_reuse(ReuseDirective::Always)
            .with_host_config_modifier(move |config| *config = host.clone());
        // The engine's user for new files is root, and the server's is not. Nothing else runs in the container.
        let request = match self.guarded {
            Some(guard) => {
                request.with_copy_to(CopyTargetOptions::new(KEYSTORE).with_mode(0o444), guard.keystore().to_vec())
            }
            None => request,
        };
        self.environment().into_iter().fold(request, |request, (name, value)| request.with_env_var(name, value))
    }

    /// Returns the ports, network and mounts of one node's container.
    fn host(&self, node: usize) -> HostConfig {
        let mut host = HostConfig { mounts: self.mounts(), ..HostConfig::default() };
        match node {
            0 => {
                let binding = PortBinding { host_ip: self.address.clone(), host_port: Some(String::new()) };
                let ports = [HTTP, POSTGRESQL].map(|port| format!("{port}/tcp"));
                let bound = ports.map(|port| (port, Some(vec![binding.clone()])));
                host.port_bindings = Some(HashMap::from(bound));
            }
            // All share the first one's network and meet on its loopback, so no network is made that could be left.
            _ => host.network_mode = Some(format!("container:{}", self.names[0])),
        }
        host
    }

    fn environment(&self) -> [(&str, String); 3] {
        let cache = match self.cache {
            CacheMount::None => String::new(),
            CacheMount::Use(_) => format!(" -XX:AOTCache={CACHES}/{CACHE}"),
            CacheMount::Make(_) => format!(" -XX:AOTCacheOutput={CACHES}/{CACHE}"),
        };
        let nodes = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        [
            // No log files of the garbage collector, which take up to 1 GiB.
            ("CRATE_DISABLE_GC_LOGGING", "1".to_owned()),
            ("CRATE_HEAP_SIZE", jvm::heap(nodes).to_string()),
            ("CRATE_JAVA_OPTS", format!("{} {}{cache}", jvm::FLAGS, jvm::FIRST_HEAP)),
        ]
    }

    fn guard_settings(&self) -> Vec<String> {
        self.guarded.map_or_else(Vec::new, |guard| guard.settings(KEYSTORE))
    }

    /// Returns the settings that the harness chooses.
    fn own_settings(&self, node: usize) -> Vec<String> {
        let count = self.names.len();
        let mut settings: Vec<String> = local::SETTINGS.iter().map(|setting| (*setting).to_owned()).collect();
        settings.push("cluster.name=cratedb-test".to_owned());
        if count == 1 {
            settings.push("node.name=cratedb-test".to_owned());
            settings.extend(local::SINGLE_NODE.map(str::to_owned));
            return settings;
        }
        let port = |first: u16| first + u16::try_from(node).unwrap_or_default();
        let seeds: Vec<String> = (TRANSPORT..).take(count).map(|port| format!("127.0.0.1:{port}")).collect();
        settings.extend([
            format!("node.name={}", name(node)),
            // Clients connect from outside, and nodes among themselves. While nodes listen on loopback only, the
            // kernel's limits that CrateDB requires in production are mere warnings.
            "network.host=0.0.0.0".to_owned(),
            "transport.host=127.0.0.1".to_owned(),
            format!("http.port={}", port(HTTP)),
            format!("psql.port={}", port(POSTGRESQL)),
            format!("transport.tcp.port={}", port(TRANSPORT)),
            format!("discovery.seed_hosts={}", seeds.join(",")),
            // The first node elects itself at once and the others join it, which saves an election.
            format!("cluster.initial_master_nodes={}", name(0)),
            "discovery.find_peers_interval=100ms".to_owned(),
            format!("gateway.expected_data_nodes={count}"),
            format!("gateway.recover_after_data_nodes={count}"),
        ]);
        settings
    }

    /// Returns the mounts. In memory tables are created in half the time, and no volume is left.
    fn mounts(&self) -> Option<Vec<Mount>> {
        let bound = |path: &Path, target: String, read_only| Mount {
            source: Some(path.display().to_string()),
            target: Some(target),
            typ: Some(MountType::BIND),
            read_only: Some(read_only),
            ..Mount::default()
        };
        let cache = match self.cache {
            CacheMount::None => None,
            CacheMount::Use(file) => Some(bound(file, format!("{CACHES}/{CACHE}"), true)),
            CacheMount::Make(dir) => Some(bound(dir, CACHES.to_owned(), false)),
        };
        let data = Mount { target: Some("/data".to_owned()), typ: Some(MountType::TMPFS), ..Mount::default() };
        let data = (self.memory >= MEMORY_FOR_DATA).then_some(data);
        Some(data.into_iter().chain(cache).collect()).filter(|mounts: &Vec<_>| !mounts.is_empty())
    }
}

/// Returns the name of a node, of which the first is `node-1`.
fn name(node: usize) -> String {
    format!("node-{}", node + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings and host of each node.
    fn nodes(count: usize, memory: i64) -> Vec<(Vec<String>, HostConfig)> {
        let names: Vec<String> = (0..count).map(|node| format!("c{node}")).collect();
        let labels = HashMap::from([("a".to_owned(), "b".to_owned())]);
        let address = Some("127.0.0.1".to_owned());
        let (image, cache, settings) = ("crate:6.4.3", &CacheMount::None, &ServerSettings::default());
        let cluster = ClusterSpec { image, names: &names, labels, address, memory, settings, guarded: None, cache };
        (0..count).map(|node| (cluster.own_settings(node), cluster.host(node))).collect()
    }

    #[test]
    fn one_node_elects_itself_and_is_reached_by_loopback_only() {
        let [(command, host)] = nodes(1, 0).try_into().unwrap();
        assert!(command.contains(&"discovery.type=single-node".to_owned()), "{command:?}");
        assert!(!command.iter().any(|setting| setting.contains("seed_hosts")), "{command:?}");
        assert_eq!((host.mounts, host.network_mode), (None, None));
        let bound = host.port_bindings.unwrap();
        assert_eq!(bound.len(), 2);
        assert!(bound.values().flatten().flatten().all(|one| one.host_ip.as_deref() == Some("127.0.0.1")));
    }

    #[test]
    fn data_is_in_memory_where_there_is_enough() {
        let mounts = |memory| nodes(1, memory).remove(0).1.mounts;
        assert_eq!(mounts((4 << 30) - 1), None);
        assert_eq!(mounts(4 << 30).unwrap()[0].target.as_deref(), Some("/data"));
    }

    #[test]
    fn several_nodes_share_the_first_ones_network_and_no_port() {
        let mut ports = std::collections::BTreeSet::new();
        for (node, (command, host)) in nodes(3, 0).into_iter().enumerate() {
            let has = |setting: &str| command.iter().any(|one| one == setting);
            assert!(!command.iter().any(|one| one.contains("single-node")), "{command:?}");
            assert!(has("cluster.initial_master_nodes=node-1"), "{command:?}");
            assert!(has("discovery.seed_hosts=127.0.0.1:4300,127.0.0.1:4301,127.0.0.1:4302"), "{command:?}");
            assert!(has("transport.host=127.0.0.1") && has(&format!("node.name=node-{}", node + 1)), "{command:?}");
            ports.extend(command.into_iter().filter(|one| one.contains(".port=")));
            let shared = (node > 0).then(|| "container:c0".to_owned());
            assert_eq!((&host.network_mode, host.port_bindings.is_some()), (&shared, node == 0));
        }
        assert_eq!(ports.len(), 9, "{ports:?}");
    }
}
