//! `cache`: lists, fills and empties this machine's cache of releases.

use cratedb_test::private::control::{self, Cached};

use super::{lines, working_directory};
use crate::arguments::{Cache, CacheCommand, Fetch, Prune};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{Cell, Column, Document, People, Rows};

const MIB: u64 = 1 << 20;

pub(super) fn run(context: &Context, cache: Cache) -> Result<Document, Failure> {
    match cache.command {
        None | Some(CacheCommand::List) => list(context),
        Some(CacheCommand::Prune(prune)) => pruned(context, &prune),
        Some(CacheCommand::Fetch(fetch)) => fetched(context, &fetch),
    }
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
        Column::left("archive"),
        Column::left("path"),
    ];
    let row = |one: &Cached| -> Vec<Cell> {
        let in_use = if one.in_use { "yes" } else { "no" };
        let path = one.path.display().to_string();
        [&one.kind, &one.name, &mib(one.size), &one.last_used, in_use, &archive(one), &path].map(Cell::from).into()
    };
    Document::new(&all, People::Rows(Rows { columns, rows: all.iter().map(row).collect() }))
}

/// Describes the archive of a release by the beginning of its digest, as far as it is known.
fn archive(one: &Cached) -> String {
    /// Enough to tell archives apart.
    const DIGITS: usize = 12;
    let start = one.sha256.as_deref().map(|digest| digest.get(..DIGITS).unwrap_or(digest));
    match (one.kind.as_str(), start, &one.tree) {
        ("release", None, _) => "unknown".to_owned(),
        (_, Some(start), None) => format!("{start}, its files unknown"),
        (_, start, _) => start.unwrap_or_default().to_owned(),
    }
}

/// Removes what it can. Fails if something could not be removed.
fn pruned(context: &Context, prune: &Prune) -> Result<Document, Failure> {
    let all = control::prune_cache((!prune.all).then_some(prune.older_than), prune.dry_run)?;
    if all.is_empty() {
        context.terminal.note("there was nothing to remove");
    }
    let freed: u64 = all.iter().filter(|one| one.outcome == "removed").map(|one| one.cached.size).sum();
    if freed > 0 {
        context.terminal.note(&format!("{} MiB were freed", mib(freed)));
    }
    Ok(Document::new(&all, lines(&all))?.failed_if(all.iter().any(|one| one.outcome == "failed")))
}

fn fetched(context: &Context, fetch: &Fetch) -> Result<Document, Failure> {
    let limit = context.global.timeout;
    let progress = context.progress.clone();
    let fetched = control::fetch_release(&working_directory()?, &fetch.version, limit, move |step| progress.say(step));
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

pub(super) fn mib(bytes: u64) -> String {
    bytes.div_ceil(MIB).to_string()
}
