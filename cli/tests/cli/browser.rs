//! The page of `report` in a browser: it is drawn without an error, fits narrow and wide screens, can be read in light
//! and dark, works by keyboard and without scripts, and holds 5,000 attempts.
//!
//! Without Chromium the tests say so and do nothing. `CRATEDB_TEST_REQUIRE=chromium` makes that a failure.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::World;

/// The names of Debian and of other systems.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];
/// A browser that takes longer hangs.
const LIFE: &str = "120";
/// The time that 5,000 attempts may take until they are laid out.
const LIMIT: f64 = 2_000.0;
/// The least contrast of text that people can read, as the Web's guidelines have it.
const CONTRAST: f64 = 4.5;

const PROBE: &str = include_str!("browser/probe.js");

/// Returns the program of a browser, and says so if there is none.
fn browser() -> Option<&'static str> {
    let found = NAMES
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success()));
    if found.is_none() {
        let required = std::env::var("CRATEDB_TEST_REQUIRE").unwrap_or_default();
        let required = required.split(',').any(|name| name == "chromium");
        assert!(!required, "CRATEDB_TEST_REQUIRE names chromium, and none of {NAMES:?} runs");
        eprintln!("skipped: Chromium is missing");
    }
    found
}

/// Runs a browser on a file. Returns what it wrote.
fn run(browser: &str, world: &World, page: &Path, more: &[&str]) -> (String, String) {
    let profile = format!("--user-data-dir={}", world.home().join("profile").display());
    let mut command = Command::new("timeout");
    command.args(["-k", "5", LIFE, browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]);
    command.args([&profile, "--no-first-run", "--disable-dev-shm-usage"]).args(more);
    let output = command.arg(format!("file://{}", page.display())).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{output:?}");
    (text(&output.stdout), text(&output.stderr))
}

/// Returns the lines of a page's console.
fn console(stderr: &str) -> Vec<&str> {
    stderr.lines().filter(|line| line.contains("CONSOLE")).collect()
}

/// Looks at a page in a frame of this width.
fn seen(browser: &str, world: &World, page: &str, width: u32, more: &[&str]) -> Value {
    let frame = page.replace('&', "&amp;").replace('"', "&quot;");
    let wrapper = world.home().join("wrapper.html");
    let text = format!(
        "<!doctype html><meta charset=utf-8><iframe id=f style=\"width:{width}px;height:900px;border:0\" \
         srcdoc=\"{frame}\"></iframe>\
         <pre id=out></pre><script>{PROBE}</script>"
    );
    fs::write(&wrapper, text).unwrap();
    let (dom, stderr) = run(browser, world, &wrapper, &[more, &["--dump-dom"]].concat());
    assert_eq!(console(&stderr), [""; 0]);
    let (_, rest) = dom.split_once("<pre id=\"out\">").expect("the probe was run");
    let found = rest.split("</pre>").next().unwrap().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&found).unwrap_or_else(|error| panic!("{error}: {found}"))
}

const NASTY: &str = "</script></td><script>alert(1)</script><img src=x onerror=\"alert('x')\">";

/// Writes a recording with so many attempts, on several threads of three processes, or each in a process of its own.
fn recorded(world: &World, attempts: u64, nextest: bool) {
    // Most names are as usual.
    let strange = |a: u64| if a % 100 == 7 || attempts < 100 { NASTY } else { "" };
    let mut text = json!({
        "format": 1,
        "project": format!("/home/ada/{NASTY}"),
        "run": "0".repeat(16),
        "name": "many",
        "key": "1".repeat(16),
        "keeper": { "pid": 1, "start": 0, "namespace": 0, "boot": "", "name": "k" },
        "began": 1_790_000_000_000_u64,
        "version": "0.1.0",
    })
    .to_string();
    let mut line = |value: Value| write!(text, "\n{value}").unwrap();
    line(json!({ "t": 0, "e": "state", "is": "acquiring" }));
    line(json!({ "t": 5, "e": "says", "text": format!("resuming {NASTY}") }));
    let name = format!("cluster {NASTY}");
    let cluster =
        json!({ "t": 20_000, "e": "cluster", "provider": "cloud", "name": name, "version": "6.4.3", "how": "resumed" });
    line(cluster);
    line(json!({ "t": 20_000, "e": "state", "is": "up" }));
    let mut t = 20_000;
    for a in 0..attempts {
        let (c, test) = (if nextest { a } else { a % 3 }, format!("orders::of_a_long_name_{}::number_{a}", strange(a)));
        if nextest || a < 3 {
            line(json!({ "t": t, "e": "joined", "c": c, "pid": 4000 + c, "binary": format!("it-{NASTY}") }));
            line(json!({ "t": t, "e": "ready", "c": c }));
        }
        line(json!({ "t": t, "e": "begin", "c": c, "a": a, "test": test, "exclusive": a % 100 == 0 }));
        let schema = format!("cratedb_test_{a}_{}", strange(a));
        line(json!({ "t": t + a % 7, "e": "grant", "c": c, "a": a, "schema": schema }));
        if a >= 6 {
            let (c, a) = (if nextest { a - 6 } else { (a - 6) % 3 }, a - 6);
            line(json!({ "t": t + 6, "e": "end", "c": c, "a": a, "passed": a % 50 != 0, "kept": a % 50 == 0 }));
        }
        t += 7 + a % 5;
    }
    line(json!({ "t": t, "e": "state", "is": "releasing" }));
    line(json!({ "t": t + 4_000, "e": "closed", "outcome": "suspended", "detail": NASTY }));
    let name = format!("{0}.{0}.{0}.{1}.ndjson", "0".repeat(16), "1".repeat(16));
    let directory = world.home().join("state/recordings");
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join(name), text + "\n").unwrap();
}

fn page(world: &World) -> (PathBuf, String) {
    world.cli(&["report", "--all", "--price", "0.35 USD", "--html", "page.html"]).done().expect(0);
    let path = world.home().join("page.html");
    let text = fs::read_to_string(&path).unwrap();
    (path, text)
}

#[test]
fn a_page_is_drawn_narrow_and_wide_in_light_and_dark() {
    let Some(browser) = browser() else { return };
    let world = World::without_cloud();
    recorded(&world, 60, false);
    let (_, text) = page(&world);
    for width in [360, 1600] {
        for dark in [false, true] {
            let mode = if dark {
                "--blink-settings=preferredColorScheme=0"
            } else {
                "--blink-settings=preferredColorScheme=1"
            };
            let seen = seen(browser, &world, &text, width, &[mode, "--window-size=1700,1000"]);
            assert_eq!((seen["dark"].as_bool(), seen["inner"].as_u64()), (Some(dark), Some(width.into())), "{seen:#}");
            assert!(seen["scroll"].as_u64() <= Some(width.into()) && seen["wide"] == json!([]), "{width} {seen:#}");
            assert!(seen["contrast"].as_f64().unwrap() >= CONTRAST, "dark: {dark}, {seen:#}");
            assert_eq!(
                (&seen["rows"], &seen["foreign"], &seen["scripts"]),
                (&json!(60), &json!(0), &json!(1)),
                "{seen:#}"
            );
            assert!(seen["bars"].as_u64() > Some(60), "{seen:#}");
            for fact in ["focus", "up", "down"] {
                assert_eq!(seen[fact], true, "{fact}: {seen:#}");
            }
            assert_eq!(
                (&seen["buttons"], &seen["found"], &seen["status"]),
                (&json!(7), &json!(1), &json!("1 of 60")),
                "{seen:#}"
            );
            let shown = seen["text"].as_str().unwrap();
            assert!(shown.contains(NASTY) && shown.contains("USD"), "{shown}");
        }
    }
}

#[test]
fn a_page_is_whole_without_scripts() {
    let Some(browser) = browser() else { return };
    let world = World::without_cloud();
    recorded(&world, 60, true);
    let (path, text) = page(&world);
    let (before, rest) = text.split_once("<script>").unwrap();
    fs::write(&path, before.to_owned() + rest.split_once("</script>").unwrap().1).unwrap();
    let (dom, stderr) = run(browser, &world, &path, &["--dump-dom"]);
    assert_eq!(console(&stderr), [""; 0]);
    assert!(dom.matches("::number_").count() >= 60, "{dom}");
    assert!(
        dom.contains("<p id=\"filter\" hidden=\"\">") && !dom.contains("<button"),
        "nothing is there that would do nothing"
    );
}

#[test]
fn an_error_on_a_page_would_be_seen() {
    let Some(browser) = browser() else { return };
    let world = World::without_cloud();
    recorded(&world, 3, false);
    let (path, text) = page(&world);
    for bad in ["<script>null.x</script>", "<img src=\"https://localhost:1/x.png\">"] {
        fs::write(&path, text.replace("</body>", &format!("{bad}</body>"))).unwrap();
        let (_, stderr) = run(browser, &world, &path, &["--dump-dom"]);
        assert_eq!(console(&stderr).len(), 1, "{bad}: {stderr}");
    }
}

#[test]
fn five_thousand_attempts_are_there_within_two_seconds() {
    let Some(browser) = browser() else { return };
    for nextest in [false, true] {
        let world = World::without_cloud();
        recorded(&world, 5_000, nextest);
        let begun = Instant::now();
        let (_, text) = page(&world);
        let made = begun.elapsed();
        assert!(made < Duration::from_secs(10), "the page was made in {made:?}");
        // Other tests run on the same processors, so the best of some tries counts.
        let mut best = f64::MAX;
        for _ in 0..5 {
            let seen = seen(browser, &world, &text, 1600, &["--window-size=1700,1000"]);
            assert_eq!(seen["rows"], 5_000);
            best = best.min(seen["ms"].as_f64().unwrap());
            if best < LIMIT {
                break;
            }
        }
        println!(
            "5,000 attempts, nextest: {nextest}: made in {made:?}, laid out after {best:.0} ms, {} KiB",
            text.len() / 1024
        );
        assert!(best < LIMIT, "laid out after {best} ms");
    }
}
