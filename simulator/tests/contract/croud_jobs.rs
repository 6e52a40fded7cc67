//! `croud` and data: import and export jobs, files, snapshots and their restore.

use std::fs;

use serde_json::{Value, json};

use super::support::cloud::{Cloud, text};
use super::support::program::{Home, Ran};
use super::support::python;
use super::support::web::Web;

const WEATHER: &str = "id,city,degrees\n1,Dornbirn,21.5\n2,Berlin,19.0\n3,Wien,\n";

fn start(arguments: &[&str]) -> Option<(Cloud, Home)> {
    let environment = python::clients()?;
    let cloud = Cloud::serve(arguments);
    let home = Home::new(environment, &cloud);
    Some((cloud, home))
}

/// Runs `croud clusters <command> --cluster-id <ci> <rest>`. The command ends before the first option.
fn clusters(home: &Home, cloud: &Cloud, command: &str) -> Ran {
    let (name, rest) =
        command.split_once(" -").map_or((command, String::new()), |(name, rest)| (name, format!("-{rest}")));
    let arguments = ["clusters"].into_iter().chain(name.split(' ')).chain(["--cluster-id", cloud.id("ci")]);
    home.run("croud", &arguments.chain(rest.split_whitespace()).collect::<Vec<_>>())
}

/// Returns the rows of a statement, by the toolkit's shell.
#[track_caller]
fn rows(home: &Home, cloud: &Cloud, statement: &str) -> Value {
    let arguments = ["shell", "--cluster-id", cloud.id("ci"), "--format", "json", "--command", statement];
    let rows = home.run("ctk", &arguments).exits(0).json();
    cloud.asked();
    rows
}

#[track_caller]
fn succeeded(ran: &Ran) {
    assert_eq!(ran.said().last().map(String::as_str), Some("Success: Operation completed."), "{ran}");
}

#[test]
fn import_from_a_url() {
    let web = Web::serve([("/weather.csv", WEATHER)]);
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let url = web.url("/weather.csv");
    let ran =
        clusters(&home, &cloud, &format!("import-jobs create from-url --url {url} --file-format csv --table weather"));
    let ran = ran.exits(0);
    succeeded(&ran);
    assert!(ran.said().contains(&"Info: Done importing 3 records".to_owned()), "{ran}");
    let body =
        format!(r#"{{"destination":{{"table":"weather"}},"format":"csv","type":"url","url":{{"url":"{url}"}}}}"#);
    // Making the table is the service's default, and not sent.
    let asked = [format!("POST clusters/{{ci}}/import-jobs/ {body}"), "GET clusters/{ci}/import-jobs/{id}/".into()];
    assert_eq!(cloud.asked(), asked);
    assert_eq!(web.asked(), ["/weather.csv"]);
    let found = rows(&home, &cloud, "SELECT city, degrees FROM weather ORDER BY id");
    assert_eq!(found[0], json!({ "city": "Dornbirn", "degrees": 21.5 }));

    let id = text(&ran.documents()[0]["id"]);
    let list = clusters(&home, &cloud, "import-jobs list --format table").exits(0);
    list.prints("| weather ").prints("| SUCCEEDED ").prints(&id);
    let progress = clusters(&home, &cloud, &format!("import-jobs progress --import-job-id {id} --summary true"));
    assert_eq!(progress.exits(0).json()["records"], 3);
    clusters(&home, &cloud, &format!("import-jobs progress --import-job-id {id} --limit 5")).exits(0).json();
    let gone = clusters(&home, &cloud, &format!("import-jobs delete --import-job-id {id}")).exits(0);
    assert_eq!(gone.said(), ["Success: Success."]);
    let asked = [
        "GET clusters/{ci}/import-jobs/",
        "GET clusters/{ci}/import-jobs/{id}/progress/",
        "GET clusters/{ci}/import-jobs/{id}/progress/?limit=5",
        "DELETE clusters/{ci}/import-jobs/{id}/",
    ];
    assert_eq!(cloud.asked(), asked);
    assert_eq!(cloud.get(&format!("/api/v2/clusters/{}/import-jobs/", cloud.id("ci"))), json!([]));
}

#[test]
fn import_of_compressed_json() {
    let lines = "{\"id\":1,\"tags\":[\"a\",\"b\"]}\n{\"id\":2,\"tags\":[]}\n";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, lines.as_bytes()).unwrap();
    let web = Web::serve_bytes([("/tags.json.gz", gzip.finish().unwrap())]);
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let url = web.url("/tags.json.gz");
    let create = format!("import-jobs create from-url --url {url} --file-format json --compression gzip --table tags");
    let ran = clusters(&home, &cloud, &create).exits(0);
    succeeded(&ran);
    assert!(cloud.asked()[0].contains(r#""compression":"gzip""#));
    assert_eq!(rows(&home, &cloud, "SELECT id, tags FROM tags ORDER BY id")[0], json!({ "id": 1, "tags": ["a", "b"] }));
}

#[test]
fn import_of_a_local_file() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    fs::write(home.path().join("weather.csv"), WEATHER).unwrap();
    let create = "import-jobs create from-file --file-path weather.csv --file-format csv --table weather";
    let ran = clusters(&home, &cloud, create).exits(0);
    succeeded(&ran);
    let asked = cloud.asked();
    let expected = [
        "GET clusters/{ci}/",
        "GET projects/{project}/",
        r#"POST organizations/{org}/files/ {"name":"weather.csv"}"#,
        "PUT ",
        r#"POST clusters/{ci}/import-jobs/ {"destination":{"table":"weather"},"file":{"id":"{id}"},"format":"csv","type":"file"}"#,
        "GET clusters/{ci}/import-jobs/{id}/",
    ];
    assert_eq!(asked.len(), expected.len(), "{asked:?}");
    assert!(asked.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{asked:?}");
    assert_eq!(rows(&home, &cloud, "SELECT count(*) AS n FROM weather"), json!([{ "n": 3 }]));
}

#[test]
fn imports_that_fail() {
    let web = Web::serve([("/weather.csv", WEATHER)]);
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let create = |url: &str, rest: &str| {
        clusters(&home, &cloud, &format!("import-jobs create from-url --url {url} --file-format csv --table t{rest}"))
            .exits(0)
    };
    let gone = create(&web.url("/gone.csv"), "");
    assert_eq!(gone.documents()[0]["cluster_id"], cloud.id("ci"));
    assert!(gone.said().last().unwrap().starts_with("Error: "), "{gone}");
    let nobody = create("http://127.0.0.1:9/weather.csv", "");
    assert!(nobody.said().last().unwrap().starts_with("Error: "), "{nobody}");
    let no_table = create(&web.url("/weather.csv"), " --create-table false");
    assert!(no_table.said().last().unwrap().starts_with("Error: "), "{no_table}");
    assert!(!no_table.said().contains(&"Success: Operation completed.".to_owned()), "{no_table}");
    let jobs = cloud.get(&format!("/api/v2/clusters/{}/import-jobs/", cloud.id("ci")));
    let states: Vec<&Value> = jobs.as_array().unwrap().iter().map(|job| &job["status"]).collect();
    assert_eq!(states, [&json!("FAILED"); 3]);
}

#[test]
fn import_into_a_suspended_cluster_is_no_success() {
    let web = Web::serve([("/weather.csv", WEATHER)]);
    let Some((cloud, home)) = start(&["--cluster", "name=ci,state=suspended"]) else { return };
    let create = format!("import-jobs create from-url --url {} --file-format csv --table t", web.url("/weather.csv"));
    let ran = clusters(&home, &cloud, &create).exits(0);
    assert!(ran.said().last().unwrap().starts_with("Error: "), "{ran}");
}

#[test]
fn files_of_an_organization() {
    let Some((cloud, home)) = start(&[]) else { return };
    fs::write(home.path().join("weather.csv"), WEATHER).unwrap();
    let files = |rest: &str| {
        let arguments = format!("organizations files {rest} --org-id {}", cloud.organization);
        home.run("croud", &arguments.split(' ').collect::<Vec<_>>()).exits(0)
    };
    let made = files("create --file-path weather.csv --name weather");
    assert_eq!(made.said().last().map(String::as_str), Some("Success: File upload completed!"));
    let id = text(&made.json()[0]["id"]);
    let listed = files("list").json();
    assert_eq!((&listed[0]["name"], &listed[0]["status"]), (&json!("weather"), &json!("UPLOADED")));
    let one = files(&format!("get --file-id {id}")).json();
    assert_eq!(one["file_size"], WEATHER.len());
    assert!(one["download_url"].is_string(), "{one}");
    assert_eq!(files(&format!("delete --file-id {id}")).said(), ["Success: File upload deleted."]);
    assert_eq!(files(&format!("get --file-id {id}")).said(), ["Error: Resource not found."]);
    files("create --file-path nobody.csv").says("The file path does not exist.");
}

/// Makes a table with two rows.
fn fill(home: &Home, cloud: &Cloud) {
    let statements = "CREATE TABLE weather (id INT PRIMARY KEY, city TEXT); \
                      INSERT INTO weather (id, city) VALUES (1, 'Dornbirn'), (2, 'Berlin'); REFRESH TABLE weather;";
    let arguments = ["shell", "--cluster-id", cloud.id("ci"), "--command", statements];
    home.run("ctk", &arguments).exits(0);
    cloud.asked();
}

#[test]
fn export_to_a_local_file() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    fill(&home, &cloud);
    let ran = clusters(&home, &cloud, "export-jobs create --table weather --file-format csv --save-as out/weather.csv")
        .exits(0);
    succeeded(&ran);
    let asked = cloud.asked();
    let expected = [
        r#"POST clusters/{ci}/export-jobs/ {"destination":{"format":"csv"},"source":{"table":"weather"}}"#,
        "GET clusters/{ci}/export-jobs/{id}/",
        "GET clusters/{ci}/export-jobs/{id}/",
        "GET clusters/{ci}/",
        "GET projects/{project}/",
        "GET organizations/{org}/files/{id}/",
        "GET ",
    ];
    assert_eq!(asked.len(), expected.len(), "{asked:?}");
    assert!(asked.iter().zip(expected).all(|(line, start)| line.starts_with(start)), "{asked:?}");
    let saved = fs::read_to_string(home.path().join("out/weather.csv")).unwrap();
    let mut lines: Vec<&str> = saved.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(lines, ["id,city", "1,Dornbirn", "2,Berlin"]);

    let id = text(&ran.documents()[0]["id"]);
    clusters(&home, &cloud, "export-jobs list --format table").exits(0).prints("| weather ").prints("Format: csv");
    let gone = clusters(&home, &cloud, &format!("export-jobs delete --export-job-id {id}")).exits(0);
    assert_eq!(gone.said(), ["Success: Success."]);
}

#[test]
fn export_as_compressed_json_by_its_address() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    fill(&home, &cloud);
    let ran =
        clusters(&home, &cloud, "export-jobs create --table weather --file-format json --compression gzip").exits(0);
    let said = ran.said();
    assert!(said.iter().any(|line| line.starts_with("Success: Download URL: http")), "{ran}");
    assert!(cloud.asked()[0].contains(r#""compression":"gzip""#));
}

#[test]
fn export_of_a_table_that_does_not_exist() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let ran = clusters(&home, &cloud, "export-jobs create --table nobody --file-format csv").exits(0);
    assert!(ran.said().last().unwrap().starts_with("Error: "), "{ran}");
}

#[test]
fn snapshots_are_listed_and_restored() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    fill(&home, &cloud);
    // The first backup of a new cluster is taken through `/_simulator/`, as the schedule takes it at night.
    let path = format!("/_simulator/clusters/{}/snapshots/", cloud.id("ci"));
    assert!(cloud.api("POST", &path, None).0 < 300);
    let listed = clusters(&home, &cloud, "snapshots list").exits(0).json();
    let asked = cloud.asked();
    assert!(asked[0].starts_with("GET clusters/{ci}/snapshots/?start=2"), "{asked:?}");
    assert!(asked[0].ends_with("%2B00%3A00"), "{asked:?}");
    let (repository, snapshot) = (text(&listed[0]["repository"]), text(&listed[0]["snapshot"]));
    assert_eq!(listed[0]["tables"], json!(["doc.weather"]));

    let drop = ["shell", "--cluster-id", cloud.id("ci"), "--command", "DROP TABLE weather"];
    home.run("ctk", &drop).exits(0);
    cloud.asked();
    let restore = format!("snapshots restore --snapshot {snapshot} --repository {repository} --tables doc.weather");
    let ran = clusters(&home, &cloud, &restore).exits(0);
    assert!(ran.said().contains(&"Success: Operation completed.".to_owned()), "{ran}");
    let body =
        format!(r#"{{"repository":"{repository}","snapshot":"{snapshot}","tables":["doc.weather"],"type":"tables"}}"#);
    let expected = [
        format!("POST clusters/{{ci}}/snapshots/restore/ {body}"),
        "GET clusters/{ci}/operations/?type=RESTORE_SNAPSHOT&limit=1".into(),
    ];
    assert_eq!(cloud.asked(), expected);
    assert_eq!(rows(&home, &cloud, "SELECT count(*) AS n FROM weather"), json!([{ "n": 2 }]));
}

#[test]
fn no_snapshots_and_no_such_snapshot() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let none = clusters(&home, &cloud, "snapshots list --days-ago 1").exits(0);
    assert!(none.said()[0].starts_with("Info: Looks like there are no snapshots for the last 1 days."), "{none}");
    let ran = clusters(&home, &cloud, "snapshots restore --snapshot s --repository r --type all").exits(0);
    assert!(ran.said()[0].starts_with("Error: "), "{ran}");
    let asked = cloud.asked();
    assert!(asked.len() == 2 && asked[1].contains(" -> 4"), "{asked:?}");
}

#[test]
fn an_import_that_the_service_gives_up_is_told() {
    let web = Web::serve([("/weather.csv", WEATHER)]);
    let arguments = ["--cluster", "name=ci", "--fault", "cluster=ci,fail_job=The importer is away."];
    let Some((cloud, home)) = start(&arguments) else { return };
    let create = format!("import-jobs create from-url --url {} --file-format csv --table t", web.url("/weather.csv"));
    let ran = clusters(&home, &cloud, &create).exits(0);
    assert_eq!(ran.said().last().map(String::as_str), Some("Error: The importer is away."), "{ran}");
}

#[test]
fn secrets_of_an_organization() {
    let Some((cloud, home)) = start(&[]) else { return };
    let secrets = |rest: &str| {
        let arguments = format!("organizations secrets {rest} --org-id {}", cloud.organization);
        home.run("croud", &arguments.split(' ').collect::<Vec<_>>()).exits(0)
    };
    let made = secrets("create --name bucket --type AWS --access-key some-access-key --secret-key some-secret-key");
    assert_eq!(made.said(), ["Success: Secret created."]);
    let id = text(&made.json()["id"]);
    let listed = secrets("list");
    assert!(!listed.stdout.contains("some-secret-key"), "{listed}");
    assert_eq!((&listed.json()[0]["id"], &listed.json()[0]["type"]), (&json!(id), &json!("AWS")));
    assert!(!cloud.log().contains("some-secret-key"), "the log has the secret");
    assert_eq!(secrets(&format!("delete --secret-id {id}")).said(), ["Success: Secret deleted."]);
    assert_eq!(secrets("list").json(), json!([]));
}

#[test]
fn an_import_from_a_bucket_is_asked_for_and_fails_here() {
    let Some((cloud, home)) = start(&["--cluster", "name=ci"]) else { return };
    let secret =
        json!({ "name": "b", "type": "AWS", "data": { "aws_secret": { "access_key": "a", "secret_key": "s" } } });
    let (_, made) = cloud.api("POST", &format!("/api/v2/organizations/{}/secrets/", cloud.organization), Some(&secret));
    let id = text(&made["id"]);
    let create = format!(
        "import-jobs create from-s3 --bucket b --file-path a/b.csv --secret-id {id} --file-format csv --table t"
    );
    let ran = clusters(&home, &cloud, &create).exits(0);
    let body = r#"{"destination":{"table":"t"},"format":"csv","s3":{"bucket":"b","file_path":"a/b.csv","secret_id":"{id}"},"type":"s3"}"#;
    let asked = [format!("POST clusters/{{ci}}/import-jobs/ {body}"), "GET clusters/{ci}/import-jobs/{id}/".into()];
    assert_eq!(cloud.asked(), asked);
    assert!(ran.said().last().unwrap().starts_with("Error: "), "{ran}");
}
