//! A session as one page: no network, legible without its script, in light and dark. All text from elsewhere goes
//! through [`escaped`].

mod chart;

use std::fmt::{self, Write as _};

use cratedb_test::private::control::report::{
    Attempt, AttemptResult, ClusterUse, Phase, PhaseKind, Session, WaitReason, span,
};
use cratedb_test::private::foreign;

use super::{clock, end, fate, price, results};

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/script.js");
/// Even if something of the page could send a request, a browser would refuse it.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Returns the page.
pub(super) fn page(session: &Session) -> String {
    let mut page = String::with_capacity(1 << 16);
    // Writing to a string does not fail.
    let _ = write(&mut page, session);
    page
}

/// Returns text from elsewhere as a page may contain it, also in an attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in foreign::cell(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

fn write(page: &mut String, session: &Session) -> fmt::Result {
    let name = escaped(session.name.as_ref().unwrap_or(&session.id));
    write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <title>CrateDB session {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <header>\n<h1>CrateDB session <code>{name}</code></h1>\n<p>{}, {}, \
         of <code>{}</code></p>\n</header>\n<main>\n",
        clock(session.began_at_ms),
        end(session),
        escaped(&session.project),
    )?;
    for note in &session.notes {
        writeln!(page, "<p class=\"note\" role=\"note\">{}</p>", escaped(note))?;
    }
    facts(page, session)?;
    for (at, used) in session.clusters.iter().enumerate() {
        cluster_section(page, at, used, session.length)?;
    }
    waits(page, session)?;
    tests(page, session)?;
    write!(
        page,
        "</main>\n<footer>Made by <code>cargo cratedb report</code> {}.</footer>\n<script>\n{SCRIPT}</script>\n\
         </body>\n</html>\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn facts(page: &mut String, session: &Session) -> fmt::Result {
    let bill = &session.bill;
    let at_least = if bill.at_least { "at least " } else { "" };
    let tests = Some(results(session)).filter(|text| !text.is_empty()).unwrap_or_else(|| "none".to_owned());
    let waited = session.slowest_waits.iter().find(|wait| wait.reason == WaitReason::Cluster);
    let cost = bill.cost.as_ref();
    let facts = [
        ("Length", span(session.length), String::new()),
        ("Wait for the cluster", waited.map_or("none".into(), |wait| span(wait.length)), "the longest one".to_owned()),
        ("Tests", tests, String::new()),
        ("Running", format!("{at_least}{}", span(bill.running_ms)), "the time of all clusters".to_owned()),
        ("In tests", span(bill.in_tests_ms), share(bill.in_tests_ms, bill.running_ms)),
        ("Idle", span(bill.idle_ms), share(bill.idle_ms, bill.running_ms)),
        (
            "Cost",
            cost.map_or("not known".into(), |cost| format!("{at_least}{}", cost.text())),
            cost.map_or("no price is given".into(), |cost| price::of(cost).trim().to_owned()),
        ),
    ];
    page.push_str("<dl class=\"facts\">\n");
    for (name, value, more) in facts {
        writeln!(page, "<div><dt>{name}</dt><dd>{}<small>{}</small></dd></div>", escaped(&value), escaped(&more))?;
    }
    page.push_str("</dl>\n");
    Ok(())
}

fn share(part: u64, whole: u64) -> String {
    let percent = (part * 100 + whole / 2).checked_div(whole);
    percent.map(|percent| format!("{percent} % of the running time")).unwrap_or_default()
}

fn cluster_section(page: &mut String, at: usize, used: &ClusterUse, length: u64) -> fmt::Result {
    let name = if used.name.is_empty() { "No cluster" } else { &used.name };
    writeln!(page, "<section aria-labelledby=\"c{at}\">\n<h2 id=\"c{at}\">{}</h2>", escaped(name))?;
    writeln!(page, "<p>{}</p>", escaped(fate(used).trim_start_matches([',', ';', ' '])))?;
    chart::draw(page, used, length)?;
    write!(
        page,
        "<details>\n<summary>What the keeper did</summary>\n<div class=\"scroll\" role=\"region\" tabindex=\"0\" \
         aria-label=\"What the keeper did\">\n<table>\n<thead><tr><th>at</th><th>for</th><th>what</th>\
         <th>messages</th></tr></thead>\n<tbody>\n"
    )?;
    let mut steps: Vec<&Phase> = used.phases.iter().chain(used.steps.iter().filter(|step| is_long(step))).collect();
    steps.sort_by_key(|step| (step.from, step.kind));
    for step in &steps {
        let says: Vec<String> = step.says.iter().map(|text| escaped(text)).collect();
        let (at, took) = (span(step.from), span(step.to - step.from));
        writeln!(
            page,
            "<tr><td>{at}</td><td>{took}</td><td>{}</td><td>{}</td></tr>",
            step.kind.word(),
            says.join("<br>")
        )?;
    }
    page.push_str("</tbody>\n</table>\n</div>\n");
    let recycled = &used.recycled;
    if recycled.untouched + recycled.emptied > 0 || !recycled.dropped.is_empty() {
        let dropped: Vec<String> =
            recycled.dropped.iter().map(|(why, count)| format!("{count} ({})", escaped(why))).collect();
        let dropped = if dropped.is_empty() { "none".to_owned() } else { dropped.join(", ") };
        writeln!(
            page,
            "<p>Schemas that were made ahead, after their tests: {} given on as they were, {} given on emptied, \
             dropped: {dropped}.</p>",
            recycled.untouched, recycled.emptied
        )?;
    }
    page.push_str("</details>\n</section>\n");
    Ok(())
}

/// Returns whether a step is worth a row: schemas are dropped after every test.
fn is_long(step: &Phase) -> bool {
    step.kind != PhaseKind::Cleaning || step.to - step.from >= 100
}

fn waits(page: &mut String, session: &Session) -> fmt::Result {
    if session.slowest_waits.is_empty() {
        return Ok(());
    }
    page.push_str(
        "<section aria-labelledby=\"waits\">\n<h2 id=\"waits\">Slowest waits</h2>\n\
         <div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Slowest waits\">\n<table>\n\
         <thead><tr><th class=\"n\">waited</th><th>for</th>\
         <th>who</th><th class=\"n\">process</th></tr></thead>\n<tbody>\n",
    );
    for wait in &session.slowest_waits {
        let reason = match (wait.reason, &wait.behind) {
            (WaitReason::Cluster, _) => "the cluster".to_owned(),
            (WaitReason::Turn, Some(test)) => format!("its turn, behind the exclusive {}", code(test)),
            (WaitReason::Turn, None) => "its turn".to_owned(),
            (WaitReason::Schema, _) => "a schema with migrations".to_owned(),
        };
        writeln!(
            page,
            "<tr><td class=\"n\">{}</td><td>{reason}</td><td>{}</td><td class=\"n\">{}</td></tr>",
            span(wait.length),
            code(&wait.who),
            wait.pid
        )?;
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
    Ok(())
}

fn tests(page: &mut String, session: &Session) -> fmt::Result {
    let count = session.clusters.iter().map(|used| used.attempts.len()).sum::<usize>();
    page.push_str("<section aria-labelledby=\"tests\">\n<h2 id=\"tests\">Tests</h2>\n");
    if count == 0 {
        page.push_str("<p>No test asked for its turn.</p>\n</section>\n");
        return Ok(());
    }
    // The script shows what needs it.
    page.push_str(
        "<p id=\"filter\" hidden><label>Show tests with <input type=\"search\" autocomplete=\"off\"></label> \
         <span role=\"status\"></span></p>\n\
         <div class=\"scroll tests\" role=\"region\" tabindex=\"0\" aria-label=\"Tests\">\n\
         <table class=\"sortable\">\n<thead><tr><th>test</th><th>result</th><th class=\"n\">asked at</th>\
         <th class=\"n\">waited</th><th class=\"n\">ran</th><th class=\"n\">process</th>\
         <th>schema</th></tr></thead>\n<tbody>\n",
    );
    for used in &session.clusters {
        for one in &used.attempts {
            test(page, used, one)?;
        }
    }
    page.push_str("</tbody>\n</table>\n</div>\n</section>\n");
    Ok(())
}

fn test(page: &mut String, used: &ClusterUse, one: &Attempt) -> fmt::Result {
    let pid = used.processes.get(one.process).map_or(0, |process| process.pid);
    let why = match &one.result {
        AttemptResult::Refused(why) => format!(": {}", escaped(why)),
        _ => String::new(),
    };
    let mut kinds = String::new();
    for (is, word) in [(one.exclusive, "exclusive"), (one.inside, "inside another"), (one.kept, "schema kept")] {
        if is {
            write!(kinds, " <small>{word}</small>")?;
        }
    }
    write!(
        page,
        "<tr class=\"{}\"><td>{}{kinds}</td><td>{}{why}</td>",
        class(&one.result),
        code(&one.test),
        one.result.word()
    )?;
    number(page, Some(one.asked))?;
    number(page, one.began.map(|began| began.saturating_sub(one.asked)))?;
    number(page, one.began.zip(one.ended).map(|(began, ended)| ended.saturating_sub(began)))?;
    writeln!(page, "<td class=\"n\">{pid}</td><td>{}</td></tr>", code(&one.schema))
}

/// Writes a cell with a time, by whose number rows are sorted.
fn number(page: &mut String, millis: Option<u64>) -> fmt::Result {
    match millis {
        Some(millis) => write!(page, "<td class=\"n\" data-v=\"{millis}\">{}</td>", span(millis)),
        None => write!(page, "<td class=\"n\" data-v=\"-1\">–</td>"),
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("<code>{}</code>", escaped(text)) }
}

/// Returns the class of a result, which has its colour.
fn class(result: &AttemptResult) -> &'static str {
    match result {
        AttemptResult::Passed => "passed",
        AttemptResult::Open => "open",
        AttemptResult::Failed | AttemptResult::Lost | AttemptResult::Refused(_) => "failed",
    }
}

#[cfg(test)]
mod tests_of_text {
    use super::*;

    #[test]
    fn text_from_elsewhere_ends_neither_an_element_nor_an_attribute() {
        let shown = escaped("</script><img src=x onerror=\"alert('x')\">&amp;\u{1b}[31m\u{202e}");
        assert!(!shown.contains(['<', '>', '"', '\'', '\u{1b}', '\u{202e}']), "{shown}");
        assert!(shown.contains("&amp;amp;"), "{shown}");
    }
}
