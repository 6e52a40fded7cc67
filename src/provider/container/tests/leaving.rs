//! Containers whose journal is gone, and which of them a sweep removes.

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::labels;
use super::*;
use crate::host::process::Identity;

/// Runs a container as if `keeper` had started it.
fn started_by(image: &str, keeper: &Identity, change: impl FnOnce(&mut HashMap<String, String>)) -> String {
    let name = format!("cratedb-test-{:08x}", fastrand::u32(..));
    let mut all = labels::of(Some(&LocalTarget::of_image(image)), Some(keeper), Some(Path::new("/nowhere/journal")));
    change(&mut all);
    let all: Vec<String> = all.into_iter().map(|(name, value)| format!("--label={name}={value}")).collect();
    let mut arguments = vec!["run", "--detach", "--name", &name];
    arguments.extend(all.iter().map(String::as_str));
    arguments.extend([image, "-Cdiscovery.type=single-node"]);
    docker(&arguments).unwrap();
    name
}

fn dead() -> Identity {
    let mut child = Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().unwrap();
    let identity = Identity::of_pid(child.id()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    identity
}

/// Sweeps, but leaves what other tests have at the moment. Returns what the sweep did with `all`.
async fn sweep(all: &[String], dry_run: bool, owed: Option<&str>) -> Vec<(String, bool)> {
    let (mine, owed) = (all.to_vec(), owed.map(str::to_owned));
    let owes = move |_: &Path, name: &str| !mine.iter().any(|one| one == name) || owed.as_deref() == Some(name);
    let swept = labels::sweep(dry_run, owes).await.unwrap();
    swept.into_iter().filter(|one| all.contains(&one.name)).map(|one| (one.name, one.removed.is_some())).collect()
}

#[tokio::test]
async fn a_sweep_removes_what_dead_keepers_left_and_nothing_else() {
    let Some(image) = standin::image() else { return };
    let (alive, gone) = (Identity::own().unwrap(), dead());
    let label = |name: &str| format!("io.crate.cratedb-test.{name}");
    let left = started_by(&image, &gone, |_| ());
    let volumes = volumes(&left);
    let owed = started_by(&image, &gone, |_| ());
    let stay = [
        started_by(&image, &alive, |_| ()),
        started_by(&image, &gone, |all| drop(all.insert(label("user"), "4242".to_owned()))),
        started_by(&image, &gone, |all| drop(all.insert(label("kept"), "true".to_owned()))),
        started_by(&image, &gone, |all| {
            all.extend([(label("boot"), "another".to_owned()), (label("host"), "another".to_owned())]);
        }),
        owed.clone(),
    ];
    let all: Vec<String> = stay.iter().cloned().chain([left.clone()]).collect();
    assert_eq!(sweep(&all, true, Some(&owed)).await, [(left.clone(), false)]);
    assert!(docker(&["inspect", &left]).is_ok(), "it was only to be looked at");
    assert_eq!(sweep(&all, false, Some(&owed)).await, [(left.clone(), true)]);
    is_gone(&left, &volumes);
    for name in &stay {
        assert!(docker(&["inspect", name]).is_ok(), "{name} is gone");
        docker(&["rm", "-f", "-v", name]).unwrap();
    }
}
