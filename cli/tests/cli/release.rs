//! The programs of a release: `cargo binstall` finds what the workflow packs.

use std::fs;
use std::path::Path;
use std::process::Command;

use yaml_serde::Value;

const PROJECT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Fills in a template of `cargo binstall`, as it does on Unix.
fn filled(template: &str, target: &str) -> String {
    let values = [
        ("repo", env!("CARGO_PKG_REPOSITORY")),
        ("version", env!("CARGO_PKG_VERSION")),
        ("name", env!("CARGO_PKG_NAME")),
        ("bin", "cargo-cratedb"),
        ("target", target),
        ("binary-ext", ""),
    ];
    let filled =
        values.iter().fold(template.to_owned(), |text, (name, value)| text.replace(&format!("{{ {name} }}"), value));
    assert!(!filled.contains('{'), "{filled}");
    filled
}

#[test]
fn binstall_finds_what_a_release_packs() {
    let manifest: toml::Table = include_str!("../../Cargo.toml").parse().unwrap();
    let binstall = &manifest["package"]["metadata"]["binstall"];
    assert_eq!(binstall["pkg-fmt"].as_str(), Some("tgz"));
    let workflow = fs::read_to_string(Path::new(PROJECT).join(".github/workflows/release.yml")).unwrap();
    let workflow: Value = yaml_serde::from_str(&workflow).unwrap();
    let job = &workflow["jobs"]["program"];
    let step = |name: &str| {
        let steps = job["steps"].as_sequence().unwrap().iter();
        steps.clone().find(|step| step["name"] == name).unwrap()["run"].as_str().unwrap().to_owned()
    };
    let targets = job["strategy"]["matrix"]["include"].as_sequence().unwrap();
    assert!(targets.len() >= 4);
    for target in targets.iter().map(|one| one["target"].as_str().unwrap()) {
        let dir = tempfile::tempdir().unwrap();
        let built = dir.path().join("target").join(target).join("release");
        fs::create_dir_all(&built).unwrap();
        fs::write(built.join("cargo-cratedb"), "the program").unwrap();
        let packed = Command::new("sh").args(["-ec", &step("Pack")]).current_dir(&dir).env("TARGET", target).status();
        assert!(packed.unwrap().success());

        let url = filled(binstall["pkg-url"].as_str().unwrap(), target);
        let (place, archive) = url.rsplit_once('/').unwrap();
        assert_eq!(
            place,
            format!("https://github.com/crate/cratedb-test/releases/download/v{}", env!("CARGO_PKG_VERSION"))
        );
        let program = filled(binstall["bin-dir"].as_str().unwrap(), target);
        let unpacked = Command::new("tar").args(["-xzOf", archive, &program]).current_dir(&dir).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&unpacked.stdout), "the program", "{unpacked:?}");
        assert!(step("Upload").contains("\"cargo-cratedb-$TARGET.tgz\""));
    }
}
