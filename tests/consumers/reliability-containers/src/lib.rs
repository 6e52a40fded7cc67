//! A server for tests: one for each test, or one in a static of the process.

use std::sync::LazyLock;

use testcontainers::core::{IntoContainerPort as _, WaitFor};
use testcontainers::runners::SyncRunner as _;
use testcontainers::{Container, GenericImage};

pub fn start() -> Container<GenericImage> {
    let image = std::env::var("RELIABILITY_IMAGE").expect("RELIABILITY_IMAGE");
    let (name, tag) = image.rsplit_once(':').expect("a tag");
    let image = GenericImage::new(name, tag).with_exposed_port(4200.tcp());
    image.with_wait_for(WaitFor::message_on_stdout("started")).start().expect("a container")
}

static SHARED: LazyLock<Container<GenericImage>> = LazyLock::new(start);

/// Runs a test's body with its server.
pub fn with_server(body: impl FnOnce()) {
    match std::env::var("RELIABILITY_SERVERS").as_deref() {
        Ok("static") => {
            LazyLock::force(&SHARED);
            body();
        }
        _ => {
            let server = start();
            body();
            drop(server);
        }
    }
}
