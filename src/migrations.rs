//! Migrations: the files of a directory that make the tables, applied before anything else is done in a test's schema.
//!
//! The files of one directory are known by a checksum. The keeper has premade schemas, to which they were applied
//! ahead, so that a test takes one instead of waiting for its tables. Migrations that reach beyond their schema are
//! applied in each test.

mod reach;

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::sql::SqlClient;
use crate::wire::{self, MigrationFile, MigrationSet};
use crate::{seed, sql};

/// A history of so many statements takes seconds. What it ends in is often a tenth of that.
const LONG: usize = 50;

/// The files of one directory, as the attribute found them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Migrations {
    /// As the attribute names it.
    directory: &'static str,
    /// Name and text of each, in the order of their numbers.
    files: &'static [(&'static str, &'static str)],
    sharing: Sharing,
}

/// The tests that may have had a test's schema before, or have it at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sharing {
    /// Tests that are over, if nothing of them is left in it.
    OneByOne,
    /// None.
    Fresh,
    /// All tests that only read.
    Readonly,
}

impl Migrations {
    /// Takes name and text of each file, in their order.
    pub const fn new(directory: &'static str, files: &'static [(&'static str, &'static str)]) -> Self {
        Self { directory, files, sharing: Sharing::OneByOne }
    }

    /// Asks for a schema that no other test had.
    #[must_use]
    pub const fn fresh(self) -> Self {
        Self { sharing: Sharing::Fresh, ..self }
    }

    /// Asks for the schema that all tests share which only read.
    #[must_use]
    pub const fn readonly(self) -> Self {
        Self { sharing: Sharing::Readonly, ..self }
    }

    pub(crate) fn is_readonly(&self) -> bool {
        self.sharing == Sharing::Readonly
    }

    pub(crate) fn directory(&self) -> &'static str {
        self.directory
    }

    /// Returns the name of the setup that makes the schema of tests that only read.
    pub(crate) fn shared_name(&self) -> String {
        const ENOUGH: usize = 12;
        format!("readonly migrations {}", &self.described().checksum[..ENOUGH])
    }

    /// Describes them to the keeper. It is the same for all tests that name the directory, and read once per process.
    pub(crate) fn described(&self) -> MigrationSet {
        static DESCRIBED: Mutex<Option<HashMap<Migrations, MigrationSet>>> = Mutex::new(None);
        let mut described = DESCRIBED.lock().unwrap_or_else(PoisonError::into_inner);
        described.get_or_insert_default().entry(*self).or_insert_with(|| self.describe()).clone()
    }

    fn describe(&self) -> MigrationSet {
        let checksum = checksum(self.files.iter().copied());
        let told = |why: String| format!("the migrations in `{}` are applied in each test: {why}", self.directory);
        MigrationSet {
            apart: self.beyond().or_else(|| self.too_long(&checksum)).map(told),
            checksum,
            fresh: self.sharing == Sharing::Fresh,
            long: self.files.iter().map(|(_, text)| sql::split(seed::without_mark(text)).len()).sum::<usize>() >= LONG,
        }
    }

    /// Returns where the first statement stands that may reach beyond its schema, and why.
    fn beyond(&self) -> Option<String> {
        self.files.iter().find_map(|(name, text)| {
            let text = seed::without_mark(text);
            sql::split(text).into_iter().find_map(|statement| {
                let why = reach::beyond(statement)?;
                let line = seed::line_of(text, statement);
                Some(format!("{}, line {line}: {why}", self.path(name)))
            })
        })
    }

    fn too_long(&self, checksum: &str) -> Option<String> {
        let bytes: usize = self.files.iter().map(|(name, text)| name.len() + text.len()).sum();
        // JSON writes a byte as six at most.
        let surely = bytes * 6 + self.files.len() * 64 < wire::MAX_FRAME / 2;
        let frame =
            || wire::encode(&wire::FromClient::Migrations { checksum: checksum.to_owned(), files: self.to_files() });
        (!surely && frame().is_err()).then(|| format!("they are {bytes} bytes, more than 1 MiB as JSON"))
    }

    /// Returns the files as they are sent to the keeper.
    pub(crate) fn to_files(self) -> Vec<MigrationFile> {
        let file = |(name, text): &(&str, &str)| MigrationFile { name: (*name).to_owned(), text: (*text).to_owned() };
        self.files.iter().map(file).collect()
    }

    /// Executes everything in the schema of `cluster`, in order. A failure that a test of this process has told is told
    /// by reference to it: every test with the same migrations has it.
    pub(crate) async fn apply(&self, cluster: &Cluster) -> Result<()> {
        static TOLD: Mutex<Told> = Mutex::new(BTreeMap::new());
        let client = cluster.client()?;
        self.execute(client).await.map_err(|error| {
            let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            in_short(&mut told, error, &cluster.grant().schema, &cluster.grant().test)
        })?;
        if self.files.iter().any(|(_, text)| writes(text)) {
            sql::refresh(client, &cluster.grant().schema).await?;
        }
        Ok(())
    }

    async fn execute(&self, client: &SqlClient) -> Result<()> {
        for (name, text) in self.files {
            seed::execute(client, &self.path(name), seed::without_mark(text)).await?;
        }
        Ok(())
    }

    fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.directory.trim_end_matches('/'))
    }
}

/// The failures that were told whole, without the names of schemas, each with the test that told it.
type Told = BTreeMap<String, String>;

/// Returns an error as it is the first time, and after that one that names the test whose failure has it.
fn in_short(told: &mut Told, error: Error, schema: &str, test: &str) -> Error {
    let line = error.first_line();
    match told.entry(line.replace(schema, "…")) {
        Entry::Vacant(first) => {
            first.insert(test.to_owned());
            error
        }
        Entry::Occupied(first) => {
            let attempted = line.split(": ").next().unwrap_or_default();
            Error::new(error.kind(), attempted).because(format!("it fails as in `{}`, which tells why", first.get()))
        }
    }
}

/// Tells whether there is anything to refresh afterwards: statements that only make tables write no rows.
pub(crate) fn writes(text: &str) -> bool {
    sql::split(text).into_iter().any(|statement| {
        let selects = || sql::tokens(statement).iter().any(|token| token.is("SELECT"));
        !sql::begins_with(statement, &["CREATE", "ALTER", "DROP"]) || selects()
    })
}

/// Returns the SHA-256 of all names and texts, each behind its length, so that nothing can move from one to the next.
pub(crate) fn checksum<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut digest = ring::digest::Context::new(&ring::digest::SHA256);
    for part in files.flat_map(|(name, text)| [name, text]) {
        digest.update(&(part.len() as u64).to_le_bytes());
        digest.update(part.as_bytes());
    }
    digest.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
