//! What an expansion tells about its test.

use crate::session;

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
    /// When the schema outlives the test, if the attribute says it.
    pub keep_schema: Option<KeepSchema>,
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
    pub(super) fn info(&self) -> session::TestInfo {
        session::TestInfo {
            module: self.module,
            name: self.name,
            manifest_dir: self.manifest_dir,
            exclusive: self.exclusive,
            keep_schema: self.keep_schema.map(KeepSchema::into),
        }
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
