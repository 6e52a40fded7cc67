//! How a server in a container is started: the one place for its flags, its environment, ports and mounts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{HostConfig, Mount, MountType, PortBinding};
use testcontainers::core::IntoContainerPort as _;
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _, ReuseDirective};

use super::engine::Engine;
use crate::error::Result;
use crate::provider::{jvm, local};

/// Ports of the first node inside; each further one has the next.
pub(super) const HTTP: u16 = 4200;
pub(super) const POSTGRESQL: u16 = 5432;
const TRANSPORT: u16 = 4300;

/// Where a container finds the cache of its JVM, or makes it.
const CACHES: &str = "/cratedb-test";
pub(super) const CACHE: &str = "crate.aot";

/// With less memory than this in all, in bytes, the data stays on disk.
const MEMORY_FOR_DATA: i64 = 4 << 30;

/// What all nodes of a cluster have in common.
pub(super) struct Cluster<'a> {
    pub(super) image: &'a str,
    /// The container of each node.
    pub(super) names: &'a [String],
    pub(super) labels: HashMap<String, String>,
    /// Where ports are mapped; none for anywhere.
    pub(super) address: Option<String>,
    /// The engine's, in bytes.
    pub(super) memory: i64,
    pub(super) cache: &'a Cache,
}

/// What the JVM does about its cache. Files and directories are this machine's.
#[derive(Debug)]
pub(super) enum Cache {
    None,
    /// It reads this file.
    Use(PathBuf),
    /// It makes one in this directory, when it ends.
    Make(PathBuf),
}

impl Cluster<'_> {
    /// Makes and starts all of them, the first one first: the others need its network, and there is one only when it runs.
    pub(super) async fn start(&self, engine: &Engine) -> Result<()> {
        for (node, name) in self.names.iter().enumerate() {
            engine.start(name, self.request(node)).await?;
        }
        Ok(())
    }

    /// What the container of one node is made of.
    fn request(&self, node: usize) -> ContainerRequest<GenericImage> {
        let (image, tag) = split(self.image);
        let mut image = GenericImage::new(image, tag);
        if node == 0 {
            image = image.with_exposed_port(HTTP.tcp()).with_exposed_port(POSTGRESQL.tcp());
        }
        let host = self.host(node);
        let request = image
            .with_cmd(self.settings(node).into_iter().map(|setting| format!("-C{setting}")))
            .with_container_name(&self.names[node])
            .with_labels(&self.labels)
            .with_startup_timeout(super::engine::CALL)
            // It is not removed with the handle: the keeper decides when it goes.
            .with_reuse(ReuseDirective::Always)
            .with_host_config_modifier(move |config| *config = host.clone());
        self.environment().into_iter().fold(request, |request, (name, value)| request.with_env_var(name, value))
    }

    /// Its ports, network and mounts.
    fn host(&self, node: usize) -> HostConfig {
        let mut host = HostConfig { mounts: self.mounts(), ..HostConfig::default() };
        match node {
            0 => {
                let binding = PortBinding { host_ip: self.address.clone(), host_port: Some(String::new()) };
                let ports = [HTTP, POSTGRESQL].map(|port| format!("{port}/tcp"));
                let bound = ports.map(|port| (port, Some(vec![binding.clone()])));
                host.port_bindings = Some(HashMap::from(bound));
            }
            // The network of the first one: they meet on its loopback, and there is none that could stay.
            _ => host.network_mode = Some(format!("container:{}", self.names[0])),
        }
        host
    }

    fn environment(&self) -> [(&str, String); 3] {
        let cache = match self.cache {
            Cache::None => String::new(),
            Cache::Use(_) => format!(" -XX:AOTCache={CACHES}/{CACHE}"),
            Cache::Make(_) => format!(" -XX:AOTCacheOutput={CACHES}/{CACHE}"),
        };
        let nodes = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        [
            // Log files of the garbage collector, 1 GiB at most, that nobody reads.
            ("CRATE_DISABLE_GC_LOGGING", "1".to_owned()),
            ("CRATE_HEAP_SIZE", jvm::heap(nodes).to_string()),
            ("CRATE_JAVA_OPTS", format!("{} {}{cache}", jvm::FLAGS, jvm::FIRST_HEAP)),
        ]
    }

    fn settings(&self, node: usize) -> Vec<String> {
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
            // Clients come from outside. Nodes are among themselves; and while they listen on loopback only, limits of the
            // kernel that a production cluster needs are no more than warnings.
            "network.host=0.0.0.0".to_owned(),
            "transport.host=127.0.0.1".to_owned(),
            format!("http.port={}", port(HTTP)),
            format!("psql.port={}", port(POSTGRESQL)),
            format!("transport.tcp.port={}", port(TRANSPORT)),
            format!("discovery.seed_hosts={}", seeds.join(",")),
            // It elects itself at once and the others join it, instead of all electing one.
            format!("cluster.initial_master_nodes={}", name(0)),
            "discovery.find_peers_interval=100ms".to_owned(),
            format!("gateway.expected_data_nodes={count}"),
            format!("gateway.recover_after_data_nodes={count}"),
        ]);
        settings
    }

    /// Tables are made in half the time in memory, and there is no volume that could stay.
    fn mounts(&self) -> Option<Vec<Mount>> {
        let bound = |path: &Path, target: String, read_only| Mount {
            source: Some(path.display().to_string()),
            target: Some(target),
            typ: Some(MountType::BIND),
            read_only: Some(read_only),
            ..Mount::default()
        };
        let cache = match self.cache {
            Cache::None => None,
            Cache::Use(file) => Some(bound(file, format!("{CACHES}/{CACHE}"), true)),
            Cache::Make(dir) => Some(bound(dir, CACHES.to_owned(), false)),
        };
        let data = Mount { target: Some("/data".to_owned()), typ: Some(MountType::TMPFS), ..Mount::default() };
        let data = (self.memory >= MEMORY_FOR_DATA).then_some(data);
        Some(data.into_iter().chain(cache).collect()).filter(|mounts: &Vec<_>| !mounts.is_empty())
    }
}

/// The first is `node-1`.
fn name(node: usize) -> String {
    format!("node-{}", node + 1)
}

/// Name and tag. A colon before a slash belongs to the port of a registry.
fn split(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_name_and_a_tag() {
        assert_eq!(split("crate:6.4.3"), ("crate", "6.4.3"));
        assert_eq!(split("crate"), ("crate", "latest"));
        assert_eq!(split("localhost:5000/crate"), ("localhost:5000/crate", "latest"));
        assert_eq!(split("localhost:5000/crate:6.4"), ("localhost:5000/crate", "6.4"));
        assert_eq!(split("crate@sha256:ab"), ("crate@sha256", "ab"));
    }

    /// Settings and host of each node.
    fn nodes(count: usize, memory: i64) -> Vec<(Vec<String>, HostConfig)> {
        let names: Vec<String> = (0..count).map(|node| format!("c{node}")).collect();
        let labels = HashMap::from([("a".to_owned(), "b".to_owned())]);
        let address = Some("127.0.0.1".to_owned());
        let cluster = Cluster { image: "crate:6.4.3", names: &names, labels, address, memory, cache: &Cache::None };
        (0..count).map(|node| (cluster.settings(node), cluster.host(node))).collect()
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
