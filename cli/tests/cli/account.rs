//! `whoami`, `list`, `logout`, and where credentials come from.

use cratedb_cloud_simulator::ClusterOptions;

use crate::support::{KEY, SECRET, World};

fn profile(endpoint: &str, rest: &str) -> String {
    format!(
        "current-profile: local\ndefault-format: table\nprofiles:\n  local:\n    endpoint: {endpoint}\n    region: _any_\n{rest}"
    )
}

fn write_profile(world: &World, endpoint: &str, rest: &str) {
    std::fs::create_dir_all(world.profile_file().parent().unwrap()).unwrap();
    std::fs::write(world.profile_file(), profile(endpoint, rest)).unwrap();
}

#[test]
fn whoami_shows_the_user_and_the_credentials() {
    let world = World::with([]);
    let done = world.cli(&["whoami"]).done().expect(0);
    let parts =
        ["ada@example.org", "org_admin in ", &format!("API key `{KEY}` of the environment"), world.simulator().url()];
    assert!(parts.iter().all(|part| done.stdout.contains(part)), "{done:?}");
    assert_eq!(done.stderr, "");
    let document = world.cli(&["whoami", "--output", "json"]).done().expect(0).json();
    assert_eq!(document["user"]["email"], "ada@example.org");
    assert_eq!(document["endpoint"], world.simulator().url());
}

#[test]
fn without_credentials_the_error_says_how_to_get_some() {
    let world = World::with([]);
    for command in ["whoami", "list", "info"] {
        let done = world.stranger(&[command, "--output", "json"]).env("CRATEDB_CLUSTER_NAME", "ci");
        let done = done.done().expect(3);
        let done = done.says(&["error: ", "CRATEDB_CLOUD_API_KEY", "cargo cratedb login --idp"]);
        assert_eq!(done.json()["error"]["exit_code"], 3);
    }
    assert!(world.simulator().requests().is_empty(), "nothing was sent");
}

#[test]
fn a_wrong_key_is_not_allowed_in() {
    let world = World::with([]);
    let done = world.cli(&["list"]).env("CRATEDB_CLOUD_API_SECRET", "wrong").done().expect(3);
    let done = done.says(&["401", "CRATEDB_CLOUD_API_SECRET"]);
    assert_eq!(done.stdout, "");
}

#[test]
fn the_profile_file_is_for_its_own_endpoint_only() {
    let (world, other) = (World::with([]), World::with([]));
    write_profile(&world, world.simulator().url(), &format!("    key: {KEY}\n    secret: {SECRET}\n"));
    let done = world.stranger(&["whoami"]).without("CRATEDB_CLOUD_ENDPOINT").done().expect(0);
    assert!(done.stdout.contains("profile `local`"), "{done:?}");
    world.stranger(&["whoami", "--endpoint", other.simulator().url()]).done().expect(3);
    assert!(other.simulator().requests().is_empty(), "the key was sent to another endpoint");
}

#[test]
fn an_invalid_profile_file_is_a_mistake_and_its_content_is_not_shown() {
    let world = World::with([]);
    std::fs::create_dir_all(world.profile_file().parent().unwrap()).unwrap();
    std::fs::write(world.profile_file(), format!("profiles: [ {SECRET}")).unwrap();
    world.stranger(&["whoami"]).done().expect(2).says(&["croud.yaml"]);
}

#[test]
fn variables_may_stand_in_a_file_of_the_working_directory() {
    let world = World::with([ClusterOptions::running("ci")]);
    let lines = format!("CRATEDB_CLOUD_API_KEY={KEY}\nCRATEDB_CLOUD_API_SECRET={SECRET}\nCRATEDB_CLUSTER_NAME=ci\n");
    world.write(".env", &lines);
    let done = world.stranger(&["info", "--output", "json"]).done().expect(0);
    assert_eq!(done.json()["name"], "ci");
}

#[test]
fn variables_may_stand_in_a_file_of_the_project_around_the_working_directory() {
    let world = World::with([ClusterOptions::running("ci")]);
    let lines = format!("CRATEDB_CLOUD_API_KEY={KEY}\nCRATEDB_CLOUD_API_SECRET={SECRET}\nCRATEDB_CLUSTER_NAME=ci\n");
    world.write(".env", &lines);
    world.write("Cargo.toml", "[workspace]\nmembers = [\"member\"]\n");
    std::fs::create_dir_all(world.home().join("member/src")).unwrap();
    world.write("member/Cargo.toml", "[package]\nname = \"member\"\n");
    let done = world.stranger(&["info", "--output", "json"]).within("member/src").done().expect(0);
    assert_eq!(done.json()["name"], "ci");
    let done = world.stranger(&["finish", "--output", "json"]).within("member").done().expect(0);
    assert_eq!(done.json(), serde_json::json!([]));
    std::fs::create_dir(world.home().join("member/.env")).unwrap();
    let done = world.stranger(&["info"]).within("member").done().expect(2);
    done.says(&["member/.env", "it is a directory"]);
}

#[test]
fn list_shows_all_clusters_in_every_form() {
    let world = World::with([ClusterOptions::suspended("b"), ClusterOptions::running("a")]);
    let table = world.cli(&["list"]).done().expect(0).stdout;
    let lines: Vec<_> = table.lines().collect();
    assert!(lines[0].starts_with(" name | state"), "{table}");
    assert!(lines[2].starts_with(" a    | running") && lines[3].starts_with(" b    | suspended"), "{table}");
    let csv = world.cli(&["list", "--output", "csv"]).done().expect(0).stdout;
    assert!(csv.starts_with("name,state,health,version,product,nodes,id,url\na,running,GREEN,"), "{csv}");
    let json = world.cli(&["list", "--output", "json"]).done().expect(0).json();
    let names: Vec<_> = json.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(json[1]["suspended"], true);
}

#[test]
fn an_empty_list_is_a_list_and_says_what_helps() {
    let world = World::with([]);
    let done = world.cli(&["list", "--output", "json"]).done().expect(0).says(&["cargo cratedb deploy"]);
    assert_eq!(done.json(), serde_json::json!([]));
    assert_eq!(world.cli(&["list", "--quiet"]).done().expect(0).stderr, "");
}

#[test]
fn list_of_an_unknown_project_finds_nothing() {
    let world = World::with([ClusterOptions::running("ci")]);
    let project = world.cli(&["info", "--cluster-name", "ci", "--output", "json"]).done().expect(0).json();
    let project = project["project_id"].as_str().unwrap();
    let found = world.cli(&["list", "--project-id", project, "--output", "json"]).done().expect(0).json();
    assert_eq!(found.as_array().unwrap().len(), 1);
    let unknown = "11111111-1111-4111-8111-111111111111";
    let done = world.cli(&["list", "--project-id", unknown, "--output", "json"]).done();
    assert!(done.code == Some(4) || done.json() == serde_json::json!([]), "{done:?}");
}

#[test]
fn logout_forgets_the_session_even_without_an_answer() {
    let world = World::without_cloud();
    write_profile(&world, "http://127.0.0.1:9", "    auth-token: token-of-the-tests-1\n    organization-id: x\n");
    let done = world.stranger(&["logout", "--output", "json"]).done().expect(0).says(&["logged out", "was not told"]);
    assert_eq!(done.json()["logged_out"], true);
    let file = std::fs::read_to_string(world.profile_file()).unwrap();
    assert!(!file.contains("token-of-the-tests") && file.contains("auth-token: null"), "{file}");
    world.stranger(&["logout"]).done().expect(0).says(&["was not logged in"]);
}
