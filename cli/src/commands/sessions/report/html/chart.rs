//! The chart of a cluster: its phases, the keeper's steps, and who ran when, drawn as SVG that scales in width.

use std::fmt::{self, Write as _};

use cratedb_test::private::control::report::{ClusterUse, Phase, PhaseKind, span};

use super::super::lanes::{self, end_of};
use super::{class, escaped};

/// The heights of a title, of a lane, and of the time line, in pixels.
const TITLE: usize = 18;
const LANE: usize = 14;
const AXIS: usize = 22;
/// Narrower bars, in percent of the width, are drawn together.
const NARROW: f64 = 0.15;
/// The number of parts of the time line.
const PARTS: u64 = 4;

/// A bar that is about to be drawn. Others may join it.
struct Bar {
    from: f64,
    to: f64,
    class: &'static str,
    count: usize,
    title: String,
}

/// Draws the chart with its legend.
pub(super) fn draw(page: &mut String, used: &ClusterUse, length: u64) -> fmt::Result {
    let scale = |at: u64| at as f64 * 100.0 / length.max(1) as f64;
    let groups = lanes::groups(used, length);
    let steps = usize::from(!used.steps.is_empty());
    let lanes: usize = groups.iter().map(|group| group.lanes.len()).sum();
    let height = TITLE * (1 + steps + groups.len()) + LANE * (1 + steps + lanes) + AXIS;
    // The tables have the same facts, and more, for those who don't see the chart.
    write!(
        page,
        "<figure>\n<svg role=\"img\" \
         aria-label=\"Time line of the cluster and its tests; the tables below have the same\" \
         width=\"100%\" height=\"{height}\">\n"
    )?;
    let mut y = axis(page, height, length)?;
    y = title(page, y, "cluster")?;
    for phase in &used.phases {
        bar(page, y, &of_phase(phase, &scale))?;
    }
    y += LANE;
    if steps > 0 {
        y = title(page, y, "cleaning, and what surrounds exclusive tests")?;
        joined(page, y, used.steps.iter().map(|step| of_phase(step, &scale)))?;
        y += LANE;
    }
    for group in &groups {
        y = title(page, y, &group.title)?;
        for lane in &group.lanes {
            joined(page, y, lane.iter().flat_map(|at| of_attempt(used, *at, length, &scale)))?;
            y += LANE;
        }
    }
    page.push_str("</svg>\n");
    legend(page, used)?;
    page.push_str("</figure>\n");
    Ok(())
}

/// Draws the time line, and returns where the first title is.
fn axis(page: &mut String, height: usize, length: u64) -> Result<usize, fmt::Error> {
    for part in 0..=PARTS {
        let (x, anchor) =
            (part * 100 / PARTS, ["start", "middle", "end"][usize::from(part > 0) + usize::from(part == PARTS)]);
        let time = span(length * part / PARTS);
        writeln!(page, "<line class=\"tick\" x1=\"{x}%\" x2=\"{x}%\" y1=\"{AXIS}\" y2=\"{height}\"/>")?;
        // Three of five fit on the narrowest screens.
        let rare = if part % 2 == 1 { " rare" } else { "" };
        writeln!(page, "<text class=\"axis{rare}\" x=\"{x}%\" y=\"14\" text-anchor=\"{anchor}\">{time}</text>")?;
    }
    Ok(AXIS)
}

fn title(page: &mut String, y: usize, text: &str) -> Result<usize, fmt::Error> {
    writeln!(page, "<text class=\"lane\" x=\"0\" y=\"{}\">{}</text>", y + TITLE - 5, escaped(text))?;
    Ok(y + TITLE)
}

/// Draws bars of one lane. Those that are too narrow to be told apart are drawn as one.
fn joined(page: &mut String, y: usize, bars: impl Iterator<Item = Bar>) -> fmt::Result {
    let mut last: Option<Bar> = None;
    for next in bars {
        match &mut last {
            Some(before) if fits(before, &next) => {
                before.to = before.to.max(next.to);
                before.count += 1;
            }
            _ => {
                if let Some(before) = last.replace(next) {
                    bar(page, y, &before)?;
                }
            }
        }
    }
    last.map_or(Ok(()), |last| bar(page, y, &last))
}

fn fits(before: &Bar, next: &Bar) -> bool {
    before.class == next.class && next.to - next.from < NARROW && next.from - before.to < NARROW
}

fn bar(page: &mut String, y: usize, bar: &Bar) -> fmt::Result {
    let Bar { from, to, class, count, title } = bar;
    let more = if *count > 1 { format!(" and {} more", count - 1) } else { String::new() };
    let (y, height) = if *class == "waits" { (y + LANE / 2 - 2, 3) } else { (y, LANE - 3) };
    writeln!(
        page,
        "<rect class=\"{class}\" x=\"{from:.3}%\" y=\"{y}\" width=\"{:.3}%\" height=\"{height}\">\
         <title>{title}{more}</title></rect>",
        (to - from).max(NARROW)
    )
}

fn of_phase(phase: &Phase, scale: &impl Fn(u64) -> f64) -> Bar {
    let says = phase.says.last().map(|text| format!(": {}", escaped(text))).unwrap_or_default();
    let title = format!("{} for {}{says}", phase.kind.word(), span(phase.to - phase.from));
    Bar { from: scale(phase.from), to: scale(phase.to), class: class_of(phase.kind), count: 1, title }
}

/// Returns the bars of an attempt: its wait, if that can be seen, and the test.
fn of_attempt(used: &ClusterUse, at: usize, end: u64, scale: &impl Fn(u64) -> f64) -> Vec<Bar> {
    let one = &used.attempts[at];
    let process = &used.processes[one.process];
    let began = one.began.unwrap_or_else(|| end_of(one, end));
    let mut bars = Vec::new();
    let waited = began.saturating_sub(one.asked);
    if scale(waited) >= NARROW {
        let title = format!("{} waited {}", escaped(&one.test), span(waited));
        bars.push(Bar { from: scale(one.asked), to: scale(began), class: "waits", count: 1, title });
    }
    if one.began.is_some() {
        let to = end_of(one, end);
        let title = format!(
            "{} {}, {} in process {} ({}), schema {}",
            escaped(&one.test),
            one.result.word(),
            span(to.saturating_sub(began)),
            process.pid,
            escaped(&process.program),
            escaped(&one.schema)
        );
        bars.push(Bar { from: scale(began), to: scale(to), class: class(&one.result), count: 1, title });
    }
    bars
}

fn class_of(kind: PhaseKind) -> &'static str {
    match kind {
        PhaseKind::Starting => "starting",
        PhaseKind::Up => "up",
        PhaseKind::Warm => "warm",
        PhaseKind::Releasing => "releasing",
        PhaseKind::Owed | PhaseKind::Failed => "failed",
        PhaseKind::Cleaning => "cleaning",
        PhaseKind::Look | PhaseKind::Restore => "aftermath",
        PhaseKind::Looking | PhaseKind::Down | PhaseKind::Unknown => "down",
    }
}

/// Explains the colours that are used.
fn legend(page: &mut String, used: &ClusterUse) -> fmt::Result {
    page.push_str("<figcaption>");
    let phases = used.phases.iter().chain(&used.steps).map(|phase| class_of(phase.kind));
    let results = used.attempts.iter().map(|one| class(&one.result));
    let seen: Vec<&str> = phases.chain(results).collect();
    let all = [
        ("down", "no cluster"),
        ("starting", "starting"),
        ("up", "up"),
        ("warm", "kept warm"),
        ("releasing", "releasing"),
        ("cleaning", "cleaning"),
        ("aftermath", "around an exclusive test"),
        ("passed", "passed"),
        ("failed", "failed"),
        ("open", "not ended"),
    ];
    for (class, word) in all.iter().filter(|(class, _)| seen.contains(class)) {
        write!(page, "<span><i class=\"{class}\"></i>{word}</span> ")?;
    }
    if !used.attempts.is_empty() {
        page.push_str("<span><i class=\"waits\"></i>waits</span>");
    }
    page.push_str("</figcaption>\n");
    Ok(())
}
