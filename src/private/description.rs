//! What an expansion tells about its test.

use crate::error::Result;
use crate::migrations::Set;
use crate::session;
use crate::settings::Wanted;

/// A test, as its expansion describes it.
pub struct Test {
    /// `module_path!()` of the test.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// Directory of the manifest of the test's package.
    pub manifest_dir: &'static str,
    /// The test wants to be alone on the cluster.
    pub exclusive: bool,
    /// The test passes by panicking.
    pub should_panic: bool,
    /// The version of CrateDB that the test wants, as in `6.4` or `6.4.3`.
    pub version: Option<&'static str>,
    /// How many nodes the test wants.
    pub nodes: Option<u32>,
    /// When the schema outlives the test, if the attribute says it.
    pub keep_schema: Option<KeepSchema>,
    /// What makes its tables.
    pub migrations: Option<Migrations>,
}

/// The files of a directory of migrations.
#[derive(Clone, Copy)]
pub struct Migrations(Set);

impl Migrations {
    /// Name and text of each file, in their order.
    pub const fn new(directory: &'static str, files: &'static [(&'static str, &'static str)]) -> Self {
        Self(Set { directory, files })
    }
}

/// When the schema of a test outlives it.
#[derive(Clone, Copy)]
pub enum KeepSchema {
    /// Whatever becomes of the test.
    Always,
    /// In no case.
    Never,
    /// When the test failed.
    OnFailure,
}

impl Test {
    /// What is not said: expansions name only what differs.
    pub const USUAL: Self = Self {
        module: "",
        name: "",
        manifest_dir: "",
        exclusive: false,
        should_panic: false,
        version: None,
        nodes: None,
        keep_schema: None,
        migrations: None,
    };

    pub(super) fn info(&self) -> Result<session::TestInfo> {
        Ok(session::TestInfo {
            module: self.module,
            name: self.name,
            manifest_dir: self.manifest_dir,
            exclusive: self.exclusive,
            wanted: Wanted { version: self.version.map(str::parse).transpose()?, nodes: self.nodes },
            keep_schema: self.keep_schema.map(KeepSchema::into),
            migrations: self.migrations.map(|Migrations(set)| set),
        })
    }
}

impl From<KeepSchema> for crate::settings::KeepSchema {
    fn from(keep: KeepSchema) -> Self {
        match keep {
            KeepSchema::Always => Self::Always,
            KeepSchema::Never => Self::Never,
            KeepSchema::OnFailure => Self::OnFailure,
        }
    }
}
