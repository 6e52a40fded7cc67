//! An image: its name, and pulling it with credentials, progress, and a reason if it fails.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::auth::DockerCredentials;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use docker_credential::DockerCredential;
use futures_util::StreamExt as _;

use super::engine::{Engine, EngineError, plain, status};
use crate::error::{Error, Kind, Result};
use crate::provider::Progress;
use crate::target::split_image;

/// The pause between progress reports, which people read. An engine reports each layer several times as often.
const PAUSE: Duration = Duration::from_secs(1);

/// The limit for a credential helper. One that asks for a password would wait for ever, since its question is not
/// shown.
const HELPER: Duration = Duration::from_secs(20);

impl Engine {
    /// Pulls an image and returns its id. A killed keeper leaves nothing but layers, which the engine uses the next
    /// time.
    pub(super) async fn pull(&self, image: &str, deadline: Instant, progress: &Progress) -> Result<String> {
        progress.step(format!("pulling image {image}, which is not on this machine yet"));
        let (name, tag) = name_and_tag(image);
        let platform = std::env::var("DOCKER_DEFAULT_PLATFORM").unwrap_or_default();
        let options = CreateImageOptionsBuilder::new().from_image(&format!("{name}:{tag}")).platform(&platform).build();
        let credentials = credentials(image).await;
        let mut layers = Layers::default();
        let mut told = String::new();
        let mut ticks = tokio::time::interval(PAUSE);
        let pulled = async {
            let mut answers = self.docker.create_image(Some(options), None, credentials);
            loop {
                tokio::select! {
                    answer = answers.next() => match answer {
                        Some(answer) => layers.take(&answer?),
                        None => return Ok(()),
                    },
                    _ = ticks.tick(), if !layers.all.is_empty() => {
                        let text = layers.to_string();
                        if text != told {
                            progress.step(format!("pulling image {image}: {text}"));
                            told = text;
                        }
                    }
                }
            }
        };
        let pulled = tokio::time::timeout_at(deadline.into(), pulled).await;
        let failed = format!("cannot start a container of image {image}");
        match pulled {
            Ok(Ok(())) => self.image_id(image).await?.ok_or_else(|| {
                Error::new(Kind::Provider, failed)
                    .because("the engine says that it pulled the image, and does not have it")
                    .hint(format!("`docker pull {image}` may tell more; CRATEDB_TEST_IMAGE names another image"))
            }),
            Ok(Err(error)) => Err(refused(image, failed, &error)),
            Err(_) => Err(Error::new(Kind::Timeout, format!("gave up pulling image {image}"))
                .because(match layers.all.is_empty() {
                    true => "the registry did not answer yet".to_owned(),
                    false => layers.to_string(),
                })
                .hint(format!("`docker pull {image}` before the tests, or CRATEDB_TEST_START_TIMEOUT for more time"))),
        }
    }
}

/// The progress of an image's layers.
#[derive(Debug, Default)]
struct Layers {
    all: HashMap<String, Layer>,
}

#[derive(Debug, Default)]
struct Layer {
    /// Bytes that have come, and all bytes once their number is known.
    here: i64,
    total: i64,
    done: bool,
}

impl Layers {
    fn take(&mut self, info: &CreateImageInfo) {
        let (Some(id), Some(status)) = (&info.id, &info.status) else { return };
        // The first line has the tag in place of a layer.
        if status.starts_with("Pulling from") {
            return;
        }
        let layer = self.all.entry(id.clone()).or_default();
        let detail = info.progress_detail.as_ref();
        match status.as_str() {
            "Downloading" => {
                layer.here = detail.and_then(|detail| detail.current).unwrap_or(layer.here);
                layer.total = detail.and_then(|detail| detail.total).unwrap_or(layer.total).max(layer.here);
            }
            "Verifying Checksum" | "Download complete" | "Extracting" => layer.here = layer.total,
            "Pull complete" | "Already exists" => (layer.here, layer.done) = (layer.total, true),
            _ => {}
        }
    }
}

impl std::fmt::Display for Layers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let megabytes = |bytes: i64| bytes.max(0).cast_unsigned().div_ceil(1_000_000);
        let (here, total) = self.all.values().fold((0, 0), |(here, total), l| (here + l.here, total + l.total));
        let done = self.all.values().filter(|layer| layer.done).count();
        write!(f, "{done} of {} layers, {} of {} MB", self.all.len(), megabytes(here), megabytes(total))
    }
}

/// Returns the name and the tag of an image. Without a tag, an engine would pull all of them.
pub(super) fn name_and_tag(image: &str) -> (&str, &str) {
    let (name, tag) = split_image(image);
    (name, tag.unwrap_or("latest"))
}

/// The name under which `docker login` keeps the credentials of Docker Hub.
const HUB: &str = "https://index.docker.io/v1/";

/// Returns the name under which `docker login` keeps the credentials of an image's registry.
fn registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => host,
        _ => HUB,
    }
}

/// Returns the credentials that `docker login` left for the image's registry. Most images need none.
async fn credentials(image: &str) -> Option<DockerCredentials> {
    let server = registry(image).to_owned();
    let asked = {
        let server = server.clone();
        tokio::task::spawn_blocking(move || match std::env::var("DOCKER_AUTH_CONFIG") {
            Ok(config) => docker_credential::get_credential_from_reader(config.as_bytes(), &server),
            Err(_) => docker_credential::get_credential(&server),
        })
    };
    let found = match tokio::time::timeout(HELPER, asked).await {
        Ok(Ok(found)) => found.map_err(|error| error.to_string()),
        Ok(Err(panicked)) => Err(panicked.to_string()),
        Err(_) => Err("the credential helper did not answer".to_owned()),
    };
    let serveraddress = Some(server);
    match found {
        Ok(DockerCredential::UsernamePassword(username, password)) => Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress,
            ..DockerCredentials::default()
        }),
        Ok(DockerCredential::IdentityToken(token)) => {
            Some(DockerCredentials { identitytoken: Some(token), serveraddress, ..DockerCredentials::default() })
        }
        Err(why) => {
            tracing::debug!(why, "no credentials for the image's registry");
            None
        }
    }
}

/// Returns the error of a failed pull, with what helps.
fn refused(image: &str, failed: String, error: &EngineError) -> Error {
    let said = plain(error);
    let (why, helps) = reason(image, status(error), &said);
    Error::new(Kind::Provider, failed)
        .because(format!("it is not on this machine and can't be pulled: {why}"))
        .because(said)
        .hint(helps)
        .hint("CRATEDB_TEST_IMAGE names another image")
}

/// Returns the reason and a hint by what engines and registries say. There is no other sign, since all failures have
/// the same status.
fn reason(image: &str, status: Option<u16>, said: &str) -> (&'static str, String) {
    let lower = said.to_lowercase();
    let any = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let pull = format!("`docker pull {image}` may tell more");
    let login = match registry(image) {
        HUB => "docker login".to_owned(),
        host => format!("docker login {host}"),
    };
    if status == Some(429) || any(&["toomanyrequests", "too many requests", "rate limit"]) {
        return (
            "the registry lets in no more requests from here for now",
            format!("`{login}` raises the limit of most registries; a mirror has none"),
        );
    }
    if any(&["no space left", "disk quota"]) {
        return ("the engine's disk is full", "`docker system df` shows what takes the space".to_owned());
    }
    if any(&["no matching manifest", "no image found in manifest list", "no match for platform"]) {
        return (
            "there is none for this machine's processor",
            "DOCKER_DEFAULT_PLATFORM=linux/amd64 takes the one for another".to_owned(),
        );
    }
    if any(&["no such host", "lookup ", "i/o timeout", "connection refused", "unreachable", "handshake timeout"])
        || any(&["server misbehaving", "deadline exceeded", "proxyconnect", "connection reset", "client.timeout"])
    {
        return (
            "the engine can't reach the registry",
            format!("offline, `docker load` brings an image; {pull}, and the engine has proxy settings of its own"),
        );
    }
    if any(&["manifest unknown", "name unknown", "manifest for", "not found"]) && !any(&["access denied"]) {
        return ("the registry has no image of that name and tag", pull);
    }
    if any(&["denied", "unauthorized", "authentication required", "no basic auth", "does not exist"]) {
        return (
            "the registry has no such image, or does not show it without credentials",
            format!("`{login}`, if the name is right"),
        );
    }
    ("the engine failed", pull)
}

#[cfg(test)]
mod tests {
    use bollard::models::ProgressDetail;

    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_latest_and_not_all() {
        let cases = [
            ("crate", ("crate", "latest")),
            ("crate:6.4.3", ("crate", "6.4.3")),
            ("localhost:5000/crate", ("localhost:5000/crate", "latest")),
            ("localhost:5000/crate:6.4", ("localhost:5000/crate", "6.4")),
            // Joined by a colon again, wherever both are sent.
            ("crate@sha256:ab", ("crate@sha256", "ab")),
        ];
        for (image, expected) in cases {
            assert_eq!(name_and_tag(image), expected);
        }
    }

    #[test]
    fn an_image_has_a_name_and_a_tag() {
        assert_eq!(name_and_tag("crate:6.4.3"), ("crate", "6.4.3"));
        assert_eq!(name_and_tag("crate"), ("crate", "latest"));
        assert_eq!(name_and_tag("localhost:5000/crate"), ("localhost:5000/crate", "latest"));
        assert_eq!(name_and_tag("localhost:5000/crate:6.4"), ("localhost:5000/crate", "6.4"));
        assert_eq!(name_and_tag("crate@sha256:ab"), ("crate@sha256", "ab"));
    }

    #[test]
    fn the_registry_is_the_one_under_which_a_login_is_kept() {
        let hub = "https://index.docker.io/v1/";
        let cases = [
            ("crate:6.4.3", hub),
            ("crate/crate:nightly", hub),
            ("localhost/crate", "localhost"),
            ("localhost:5000/crate", "localhost:5000"),
            ("ghcr.io/crate/crate", "ghcr.io"),
        ];
        for (image, expected) in cases {
            assert_eq!(registry(image), expected, "{image}");
        }
    }

    fn line(id: &str, status: &str, progress: Option<(i64, i64)>) -> CreateImageInfo {
        let detail = progress.map(|(current, total)| ProgressDetail { current: Some(current), total: Some(total) });
        CreateImageInfo {
            id: (!id.is_empty()).then(|| id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: detail,
            error_detail: None,
        }
    }

    #[test]
    fn layers_add_up_and_never_run_backwards() {
        let mut layers = Layers::default();
        let mut take = |id, status, progress| {
            layers.take(&line(id, status, progress));
            layers.to_string()
        };
        assert_eq!(take("6.4.3", "Pulling from library/crate", None), "0 of 0 layers, 0 of 0 MB");
        take("a", "Pulling fs layer", None);
        take("b", "Waiting", None);
        assert_eq!(take("a", "Downloading", Some((4_000_000, 10_000_000))), "0 of 2 layers, 4 of 10 MB");
        assert_eq!(take("b", "Downloading", Some((1, 2_000_000))), "0 of 2 layers, 5 of 12 MB");
        assert_eq!(take("a", "Download complete", None), "0 of 2 layers, 11 of 12 MB");
        // Extracting counts from zero again.
        assert_eq!(take("a", "Extracting", Some((1, 10_000_000))), "0 of 2 layers, 11 of 12 MB");
        assert_eq!(take("a", "Pull complete", None), "1 of 2 layers, 11 of 12 MB");
        assert_eq!(take("c", "Already exists", None), "2 of 3 layers, 11 of 12 MB");
        assert_eq!(take("", "Status: Downloaded newer image for crate:6.4.3", None), "2 of 3 layers, 11 of 12 MB");
    }

    #[test]
    fn each_refusal_is_told_apart() {
        let hub = "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: no such host";
        let cases = [
            ("toomanyrequests: You have reached your pull rate limit.", "no more requests", "docker login`"),
            ("error pulling image configuration: toomanyrequests: Rate exceeded", "no more requests", "docker login`"),
            ("manifest for crate:9.9 not found: manifest unknown: manifest unknown", "name and tag", "docker pull"),
            ("name unknown: repository name not known to registry", "name and tag", "docker pull"),
            (
                "pull access denied for crat, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
                "without credentials",
                "`docker login`",
            ),
            ("unauthorized: authentication required", "without credentials", "`docker login`"),
            (hub, "can't reach the registry", "docker load"),
            ("dial tcp 10.0.0.1:443: i/o timeout", "can't reach the registry", "docker load"),
            ("proxyconnect tcp: dial tcp 127.0.0.1:3128: connect: connection refused", "can't reach", "proxy"),
            ("write /var/lib/docker/tmp/x: no space left on device", "disk is full", "docker system df"),
            ("no matching manifest for linux/arm64/v8 in the manifest list entries", "processor", "DOCKER_DEFAULT"),
            ("something new", "the engine failed", "docker pull crate:6.4.3"),
        ];
        for (said, why, helps) in cases {
            let (found, hint) = reason("crate:6.4.3", None, said);
            assert!(found.contains(why), "{said}: {found}");
            assert!(hint.contains(helps), "{said}: {hint}");
        }
        let (_, hint) = reason("ghcr.io/crate/crate:6", Some(429), "");
        assert!(hint.contains("`docker login ghcr.io`"), "{hint}");
    }
}
