//! Schemas that tests with `readonly` migrations share: made once per session, closed to writes, and looked at after a
//! test that may have changed one all the same.

use super::link::Link;
use super::setup::{self, DoneSetup, SetupEntry};
use crate::background;
use crate::cluster::{Cluster, Grant};
use crate::error::{Error, Kind, Result};
use crate::host::say;
use crate::imprint;
use crate::migrations::Migrations;
use crate::sql::{SqlClient, Statement, bind, quoted};

/// Lists the tables that can be closed to writes.
const TABLES: &str =
    "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE'";

/// The schema of one set of migrations, in this session.
pub(super) struct ReadonlySchema {
    link: Link,
    migrations: Migrations,
    name: String,
    done: DoneSetup,
}

impl ReadonlySchema {
    /// Makes the schema, or waits while another process does. Runs on the background thread.
    pub(super) async fn enter(link: &Link, migrations: Migrations) -> Result<Self> {
        let name = migrations.shared_name();
        let done = match setup::enter(link.clone(), name.clone()).await? {
            SetupEntry::Done(done) => done,
            SetupEntry::Ours(mut worker) => {
                let made = make(&worker.cluster, migrations).await;
                worker.end(made)?
            }
        };
        Ok(Self { link: link.clone(), migrations, name, done })
    }

    pub(super) fn schema(&self) -> &str {
        &self.done.cluster.grant().schema
    }

    /// Looks whether a test that is over has changed the schema, unless it has only read. If it has, no later test of
    /// the session gets the schema. Blocks this thread.
    ///
    /// # Errors
    ///
    /// Names the test and what it did.
    pub(super) fn is_as_made(&self, test: &Grant) -> Result<()> {
        let (Some(did), Some(digest)) = (test.writers.suspicion(), self.done.digest.clone()) else { return Ok(()) };
        // The thread that reads the answer must not wait for it. Nothing that ends a test runs there.
        if background::is_background() {
            return Ok(());
        }
        let (cluster, schema) = (self.done.cluster.clone(), self.schema().to_owned());
        let found = background::wait(async move { imprint::look(cluster.client()?, &schema).await });
        match found {
            Ok(found) if found.digest(self.schema()) == digest => Ok(()),
            Ok(_) => Err(self.spoiled(&test.test, &did)),
            Err(error) => {
                say(&format!("it is not known whether `{}` changed the schema that it shares: {error}", test.test));
                Ok(())
            }
        }
    }

    fn spoiled(&self, test: &str, did: &str) -> Error {
        let directory = self.migrations.directory();
        let told = format!("`{test}` changed the schema that tests with `migrations({directory:?}, readonly)` share");
        let error = Error::new(Kind::Session, told)
            .because(format!("{did}, and afterwards the schema was not what the migrations had made"))
            .hint("a test that writes needs a schema of its own: leave out `readonly`")
            .hint("if other tests with clients of their own ran beside it, it may have been one of them");
        self.link.setup_spoiled(&self.name, &error);
        error
    }
}

/// Applies the migrations, closes the tables to writes, and returns the digest of the result; none if the server does
/// not tell enough.
async fn make(cluster: &Cluster, migrations: Migrations) -> Result<Option<String>> {
    migrations.apply(cluster).await?;
    let (client, schema) = (cluster.client()?, &cluster.grant().schema);
    if let Err(error) = close(client, schema).await {
        // Writes are found by the look at the schema, too.
        say(&format!("the tables of `readonly` tests are not closed to writes: {}", error.first_line()));
    }
    let found = imprint::look(client, schema).await;
    if let Err(error) = &found {
        say(&format!("it can't be proven that `readonly` tests don't write: {}", error.first_line()));
    }
    Ok(found.ok().map(|found| found.digest(schema)))
}

/// Lets the server refuse rows, so that it is the statement that fails.
async fn close(client: &SqlClient, schema: &str) -> Result<()> {
    let listing = Statement::new(TABLES);
    let name = bind(schema).map_err(|error| listing.failed(Kind::Usage).because(error))?;
    let tables: Vec<String> = client.send_one(listing, &[name]).await?.rows(listing)?;
    for table in tables {
        let stmt = format!("ALTER TABLE {}.{} SET (\"blocks.write\" = true)", quoted(schema), quoted(&table));
        client.send(&stmt, &[]).await?;
    }
    Ok(())
}
