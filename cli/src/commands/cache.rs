//! The cache of this machine: listed, filled and emptied.

use std::time::Duration;

use cratedb_test::private::control::{self, Cached, Pruned};

use crate::arguments::{Cache, CacheCommand, Fetch, Prune};
use crate::context::Context;
use crate::failure::{Code, Failure};
use crate::output::{Cell, Column, Document, People, Rows};

/// For the download of a few hundred MiB.
const PATIENCE: Duration = Duration::from_secs(60 * 60);
const MIB: u64 = 1 << 20;

pub(super) fn run(context: &Context, cache: Cache) -> Result<u8, Failure> {
    let document = match cache.command {
        None | Some(CacheCommand::List) => list(context)?,
        Some(CacheCommand::Prune(prune)) => return pruned(context, &prune),
        Some(CacheCommand::Fetch(fetch)) => fetched(context, &fetch)?,
    };
    document.print(&context.terminal)?;
    Ok(0)
}

fn list(context: &Context) -> Result<Document, Failure> {
    let all = control::cached()?;
    if all.is_empty() {
        context.terminal.note("the cache is empty");
    }
    let columns = vec![
        Column::left("kind"),
        Column::left("name"),
        Column::right("MiB"),
        Column::left("last used"),
        Column::left("in use"),
        Column::left("path"),
    ];
    let row = |one: &Cached| -> Vec<Cell> {
        let in_use = if one.in_use { "yes" } else { "no" };
        [&one.kind, &one.name, &mib(one.size), &one.last_used, in_use, &one.path.display().to_string()]
            .map(|text: &str| Cell::from(text))
            .into()
    };
    Document::new(&all, People::Rows(Rows { columns, rows: all.iter().map(row).collect() }))
}

/// Fails if something could not be removed, after the rest was.
fn pruned(context: &Context, prune: &Prune) -> Result<u8, Failure> {
    let all = control::prune_cache((!prune.all).then_some(prune.older_than), prune.dry_run)?;
    if all.is_empty() {
        context.terminal.note("there was nothing to remove");
    }
    let text = all.iter().map(|one| format!("{one}\n")).collect::<String>();
    let freed: u64 = all.iter().filter(|one| one.outcome == "removed").map(|one| one.cached.size).sum();
    Document::new(&all, People::Text(text))?.print(&context.terminal)?;
    if freed > 0 {
        context.terminal.note(&format!("{} MiB are free again", mib(freed)));
    }
    let failed = |one: &Pruned| one.outcome == "failed";
    Ok(if all.iter().any(failed) { Code::Failed as u8 } else { 0 })
}

fn fetched(context: &Context, fetch: &Fetch) -> Result<Document, Failure> {
    let dir = std::env::current_dir()
        .map_err(|error| Failure::failed(format!("the working directory can't be used: {error}")))?;
    let limit = context.global.timeout.unwrap_or(PATIENCE);
    let progress = context.progress.clone();
    let fetched = control::fetch_release(&dir, &fetch.version, limit, move |step| progress.say(step));
    context.progress.clear();
    let fetched = fetched?;
    let facts = vec![
        ("version", fetched.version.clone()),
        ("path", fetched.path.display().to_string()),
        ("downloaded", if fetched.new { "now" } else { "before" }.to_owned()),
        ("sha256", fetched.sha256.clone().unwrap_or_default()),
        ("trust", fetched.trust.clone().unwrap_or_default()),
    ];
    Document::new(&fetched, People::Facts(facts))
}

fn mib(bytes: u64) -> String {
    bytes.div_ceil(MIB).to_string()
}
