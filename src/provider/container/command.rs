//! How a server in a container is started: the one place for its flags, labels, ports and mounts.

use std::collections::HashMap;
use std::time::Instant;

use testcontainers::bollard::models::{HostConfig, PortBinding};
use testcontainers::core::{IntoContainerPort as _, Mount};
use testcontainers::{ContainerRequest, GenericImage, ImageExt as _, ReuseDirective};

use super::{HTTP, POSTGRESQL};
use crate::provider::{LocalTarget, left, local};

/// With less memory than this the data stays on disk.
const MEMORY_FOR_DATA: i64 = 4 << 30;

pub(super) fn request(
    target: &LocalTarget,
    name: &str,
    address: Option<String>,
    memory: i64,
    deadline: Instant,
) -> ContainerRequest<GenericImage> {
    let (image, tag) = split(&target.image);
    let request = GenericImage::new(image, tag)
        .with_exposed_port(HTTP.tcp())
        .with_exposed_port(POSTGRESQL.tcp())
        .with_cmd(local::SETTINGS.iter().chain([&local::SINGLE_NODE]).map(|setting| format!("-C{setting}")))
        .with_container_name(name)
        .with_labels(labels(target))
        // Log files of the garbage collector, 1 GiB at most, that nobody reads.
        .with_env_var("CRATE_DISABLE_GC_LOGGING", "1")
        .with_startup_timeout(left(deadline))
        // The keeper decides when it goes, see above.
        .with_reuse(ReuseDirective::Always);
    let request = match memory >= MEMORY_FOR_DATA {
        // Tables are made in half the time, and there is no volume that could stay.
        true => request.with_mount(Mount::tmpfs_mount("/data")),
        false => request,
    };
    match address {
        Some(address) => request.with_host_config_modifier(move |config| map_ports_at(&address, config)),
        None => request,
    }
}

fn map_ports_at(address: &str, config: &mut HostConfig) {
    let binding = || Some(vec![PortBinding { host_ip: Some(address.to_owned()), host_port: None }]);
    config.publish_all_ports = Some(false);
    config.port_bindings = Some(HashMap::from([HTTP, POSTGRESQL].map(|port| (format!("{port}/tcp"), binding()))));
}

/// For people who find the container: whose it is.
fn labels(target: &LocalTarget) -> [(String, String); 4] {
    let label = |name: &str, value: String| (format!("io.crate.cratedb-test.{name}"), value);
    [
        label("key", target.key.clone()),
        label("project", target.project.clone()),
        label("user", rustix::process::getuid().as_raw().to_string()),
        label("keeper", std::process::id().to_string()),
    ]
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
}
