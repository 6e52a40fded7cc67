//! The command line in small: prints what `private::control` answers as JSON, one value a line.

use std::io::Read as _;
use std::process::ExitCode;
use std::time::Duration;

use cratedb_test::{Error, ManagedCluster};
use cratedb_test::private::control;
use serde_json::Value;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| words.iter().any(|word| word == flag);
    let plain: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    let wait = has("--wait").then_some(Duration::from_secs(30));
    let done = match plain[..] {
        ["status"] => control::keys().map(|keys| {
            keys.iter().for_each(|key| eprintln!("{key}"));
            lines(&keys)
        }),
        ["finish"] => control::finish(None, wait, &|_| {}).map(|all| lines(&all)),
        ["finish", selector] => control::finish(Some(selector), wait, &|_| {}).map(|all| lines(&all)),
        ["sweep"] => control::sweep(has("--dry-run"), None).map(|all| lines(&all)),
        ["forget", key] => control::sweep(has("--dry-run"), Some(key)).map(|all| lines(&all)),
        ["log"] => control::log_path(None).map(|path| vec![path.display().to_string().into()]),
        ["log", selector] => control::log_path(Some(selector)).map(|path| vec![path.display().to_string().into()]),
        ["hold", session] => hold(session, wait),
        ["kept"] => kept(),
        _ => panic!("{words:?}"),
    };
    match done {
        Ok(values) => {
            values.iter().for_each(|value| println!("{value}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(if control::is_unknown(&error) { 4 } else { 1 })
        }
    }
}

fn lines<T: Into<Json> + Clone>(all: &[T]) -> Vec<Value> {
    all.iter().cloned().map(|one| one.into().0).collect()
}

struct Json(Value);

macro_rules! json {
    ($($name:ident),*) => {$(
        impl From<control::$name> for Json {
            fn from(value: control::$name) -> Self {
                Self(serde_json::to_value(value).unwrap())
            }
        }
    )*};
}

json!(KeyStatus, Finished, Swept, Kept);

/// Lists the schemas of tests on the local server of the working directory.
fn kept() -> Result<Vec<Value>, Error> {
    let url = control::local_server()?.expect("a local server is up");
    eprintln!("{url}");
    let cluster = ManagedCluster::builder().cluster_url(url).build()?;
    cratedb_test::blocking::wait(control::kept(&cluster)).map(|all| lines(&all))
}

/// Holds a session until its input ends.
fn hold(session: &str, wait: Option<Duration>) -> Result<Vec<Value>, Error> {
    let held = control::hold(&std::env::current_dir().unwrap(), session)?;
    println!("{}", serde_json::to_value(held.environment()).unwrap());
    eprintln!("{}", held.describe());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    match wait {
        Some(_) => Ok(lines(&[held.release(wait, &|_| {})?])),
        None => Ok(Vec::new()),
    }
}
