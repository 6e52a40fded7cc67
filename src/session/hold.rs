//! Holding an explicit session without running a test: its cluster is there as long as this process wants it.

use std::sync::Arc;

use super::link::Link;
use super::speaker::Listener;
use crate::background;
use crate::error::Result;
use crate::host::process::{self, Identity};
use crate::host::{KeyFiles, Places};
use crate::settings::Settings;
use crate::wire::Ready;

/// This process as the holder of an explicit session. Dropping it gives up this process's part: the session
/// ends unless others hold it too.
pub(crate) struct Hold {
    link: Link,
    files: KeyFiles,
}

impl Hold {
    /// Joins and waits for the cluster. `settings` name the session. Blocks.
    pub(crate) fn new(settings: Settings, listener: Option<Listener>) -> Result<Self> {
        let files = Places::find()?.key(&settings.spec.key);
        let at = files.clone();
        let joined = async move { Link::heard(settings, process::by_name(true), at, listener).await };
        Ok(Self { link: background::wait(joined)?, files })
    }

    pub(crate) fn settings(&self) -> &Settings {
        self.link.settings()
    }

    pub(crate) fn files(&self) -> &KeyFiles {
        &self.files
    }

    /// The cluster.
    pub(crate) fn ready(&self) -> Result<Arc<Ready>> {
        self.link.ready()
    }

    /// This process, as its keeper knows it.
    pub(crate) fn process(&self) -> &Identity {
        self.link.own()
    }

    /// Ends the connection, which is not made again; the session is held by the life of this process still.
    pub(crate) fn close(&self) {
        self.link.close();
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.link.finish_session();
        self.link.close();
    }
}
