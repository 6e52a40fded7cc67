//! Imports, exports, files and snapshots, with real data.

use std::io::{Read, Write};
use std::net::TcpListener;

use cratedb_cloud_simulator::{ClusterOptions, ClusterView, Options, Simulator};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::support::{Connection, api, path, start};

fn running() -> (Simulator, ClusterView) {
    let simulator = start(Options::default().cluster(ClusterOptions::running("ci")));
    let cluster = simulator.cloud().cluster("ci");
    (simulator, cluster)
}

fn sql(cluster: &ClusterView, stmt: &str) -> Value {
    Connection::open(&cluster.url).basic(&cluster.username, &cluster.password).sql(stmt).expect(200)
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Starts a web server that answers one request with these bytes. Returns its address.
pub(crate) fn web(status: &'static str, bytes: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/data.csv", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).unwrap();
        let length = bytes.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        stream.write_all(&[answer.as_bytes(), &bytes].concat()).unwrap();
    });
    url
}

pub(crate) fn request(url: &str, format: &str, table: &str) -> Value {
    json!({ "type": "url", "format": format, "destination": { "table": table }, "url": { "url": url } })
}

/// Runs an import job to its end, as a client does that polls.
pub(crate) fn import(simulator: &Simulator, cluster: &ClusterView, body: &Value) -> Value {
    let mut api = api(simulator);
    let made = api.post(&path(&cluster.id, "import-jobs/"), body).expect(201);
    assert_eq!(made["status"], "REGISTERED");
    let job = made["id"].as_str().unwrap();
    let polled = api.get(&path(&cluster.id, &format!("import-jobs/{job}/"))).expect(200);
    assert!(["SUCCEEDED", "FAILED"].contains(&polled["status"].as_str().unwrap()), "over at the first poll: {polled}");
    polled
}

const WEATHER: &str = "city,at,celsius,wet,code\nWien,2026-01-05T10:00:00Z,1.50,true,007\n\"Graz, Süd\",2026-01-05T11:00:00Z,-2,false,010\n,,,,\n";

#[test]
fn a_csv_file_is_fetched_and_loaded_into_a_table_of_its_own() {
    let (simulator, cluster) = running();
    let url = web("200 OK", WEATHER.into());
    let job = import(&simulator, &cluster, &request(&url, "csv", "weather"));
    assert_eq!((&job["status"], &job["progress"]["message"]), (&json!("SUCCEEDED"), &json!("Import succeeded")));
    let progress = &job["progress"];
    assert_eq!(
        [&progress["records"], &progress["failed_records"], &progress["total_records"], &progress["bytes"]],
        [&json!(3), &json!(0), &json!(3), &json!(WEATHER.len())]
    );
    assert_eq!(
        (&progress["percent"], &progress["processed_files"], &progress["details"]),
        (&json!(100.0), &json!(1), &json!({}))
    );
    assert_eq!(job["destination"], json!({ "table": "weather", "create_table": true }));
    let types = "SELECT column_name, data_type FROM information_schema.columns WHERE table_name = 'weather' ORDER BY ordinal_position";
    assert_eq!(
        sql(&cluster, types)["rows"],
        json!([
            ["city", "text"],
            ["at", "timestamp with time zone"],
            ["celsius", "double precision"],
            ["wet", "boolean"],
            ["code", "text"]
        ])
    );
    assert_eq!(
        sql(&cluster, "SELECT city, celsius, wet, code FROM weather ORDER BY celsius")["rows"],
        json!([["Graz, Süd", -2.0, false, "010"], ["Wien", 1.5, true, "007"], [null, null, null, null]])
    );
    let listed = api(&simulator).get(&path(&cluster.id, "import-jobs/")).expect(200);
    assert_eq!(listed, json!([job]));
    let id = job["id"].as_str().unwrap();
    let files =
        api(&simulator).get(&path(&cluster.id, &format!("import-jobs/{id}/progress/?limit=ALL&offset=0"))).expect(200);
    assert_eq!((&files["job_id"], &files["progress"]["files"][0]["name"]), (&json!(id), &json!("data.csv")));
}

#[test]
fn zipped_json_is_loaded_into_a_table_that_is_there() {
    let (simulator, cluster) = running();
    sql(&cluster, "CREATE TABLE s.t (id INTEGER PRIMARY KEY, name TEXT)");
    let lines = "{\"id\": 1, \"name\": \"a\"}\n{\"name\": \"b\", \"id\": 2}\n{\"id\": 1, \"name\": \"again\"}\n";
    let mut body = request(&web("200 OK", zip(lines.as_bytes())), "json", "\"s\".\"t\"");
    body["compression"] = "gzip".into();
    body["destination"]["create_table"] = false.into();
    let job = import(&simulator, &cluster, &body);
    assert_eq!(job["status"], "SUCCEEDED");
    assert_eq!((&job["progress"]["records"], &job["progress"]["failed_records"]), (&json!(2), &json!(1)));
    assert_eq!(job["destination"], json!({ "table": "s.t", "create_table": false }), "as the service tells it");
    assert_eq!(sql(&cluster, "SELECT id, name FROM s.t ORDER BY id")["rows"], json!([[1, "a"], [2, "b"]]));
}

#[test]
fn a_failed_import_says_why_and_stays_in_the_list() {
    let (simulator, cluster) = running();
    let url = web("404 Not Found", b"gone".to_vec());
    let why = |body: &Value| {
        let job = import(&simulator, &cluster, body);
        assert_eq!(job["status"], "FAILED", "{job}");
        assert!(job["progress"]["records"].is_u64() && job["progress"]["percent"].is_number());
        job["progress"]["message"].as_str().unwrap().to_owned()
    };
    assert!(why(&request(&url, "csv", "t")).contains("404 Not Found"));
    assert!(why(&request("https://127.0.0.1:1/x.csv", "csv", "t")).contains("http:// only"));
    assert!(why(&request("http://127.0.0.1:1/x.csv", "csv", "t")).contains("cannot be fetched"));
    let url = web("200 OK", b"a,b\n1\n".to_vec());
    assert_eq!(why(&request(&url, "csv", "t")), "Record 2: 1 fields where the header has 2.");
    let url = web("200 OK", b"[1, 2]".to_vec());
    assert_eq!(why(&request(&url, "json", "t")), "Record 1: not a JSON object.");
    let mut missing = request(&web("200 OK", b"a\n1\n".to_vec()), "csv", "nowhere");
    missing["destination"]["create_table"] = false.into();
    assert!(why(&missing).contains("nowhere"), "the database's own words");
    let mut zipped = request(&web("200 OK", b"a\n1\n".to_vec()), "csv", "t");
    zipped["compression"] = "gzip".into();
    assert!(why(&zipped).contains("not compressed with gzip"));
    api(&simulator).put(&path(&cluster.id, "suspend/"), &json!({ "suspended": true })).expect(200);
    assert_eq!(why(&request(&web("200 OK", b"a\n1\n".to_vec()), "csv", "t")), "The cluster is not running.");
    assert_eq!(api(&simulator).get(&path(&cluster.id, "import-jobs/")).expect(200).as_array().unwrap().len(), 8);
}

#[test]
fn problems_of_a_job_are_named_at_their_fields() {
    let (simulator, cluster) = running();
    let mut api = api(&simulator);
    let jobs = path(&cluster.id, "import-jobs/");
    let nothing = api.post(&jobs, &json!({})).expect(400)["errors"].clone();
    assert_eq!(nothing.as_object().unwrap().keys().collect::<Vec<_>>(), ["destination", "format", "type"]);
    let mut body = request("ftp://x", "parquet", "a.b.c");
    body["compression"] = "zip".into();
    let errors = api.post(&jobs, &body).expect(400)["errors"].clone();
    assert_eq!(errors["url"]["url"], json!(["Not a valid URL."]));
    assert_eq!(errors["format"], json!(["The simulator reads and writes csv and json only."]));
    assert_eq!(errors["destination"]["table"], json!(["Not a valid name of a table."]));
    assert_eq!(errors["compression"], json!(["Must be one of: gzip, none."]));
    let s3 = json!({ "type": "s3", "format": "csv", "destination": { "table": "t" },
        "s3": { "bucket": "b", "secret_id": "00000000-0000-4000-8000-000000000000", "endpoint": "" } });
    let errors = api.post(&jobs, &s3).expect(400)["errors"].clone();
    assert_eq!(
        errors["s3"],
        json!({ "file_path": ["Missing data for required field."], "secret_id": ["No such secret."] })
    );
    assert_eq!(api.get(&jobs).expect(200), json!([]));
    assert_eq!(api.get(&path(&cluster.id, "import-jobs/nothing/")).status, 404);
}

#[test]
fn a_bucket_is_refused_by_a_job_that_fails() {
    let (simulator, cluster) = running();
    let mut api = api(&simulator);
    let organization = api.get("/api/v2/organizations/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let secrets = format!("/api/v2/organizations/{organization}/secrets/");
    let secret =
        json!({ "name": "s", "type": "AWS", "data": { "aws_secret": { "access_key": "a", "secret_key": "b" } } });
    let made = api.post(&secrets, &secret).expect(201);
    assert_eq!(api.get(&secrets).expect(200)[0]["id"], made["id"]);
    let body = json!({ "type": "s3", "format": "csv", "destination": { "table": "t" },
        "s3": { "bucket": "b", "file_path": "x/y.csv", "secret_id": made["id"], "endpoint": "" } });
    let job = import(&simulator, &cluster, &body);
    assert_eq!((&job["status"], &job["s3"]["bucket"]), (&json!("FAILED"), &json!("b")));
    let own = format!("{secrets}{}/", made["id"].as_str().unwrap());
    assert_eq!(api.send("DELETE", &own, None).unwrap().status, 204);
    assert_eq!(api.send("DELETE", &own, None).unwrap().status, 404);
}

#[test]
fn a_file_is_uploaded_loaded_and_exported_again() {
    let (simulator, cluster) = running();
    let mut api = api(&simulator);
    let organization = api.get("/api/v2/organizations/").expect(200)[0]["id"].as_str().unwrap().to_owned();
    let files = format!("/api/v2/organizations/{organization}/files/");
    let made = api.post(&files, &json!({ "name": "numbers.csv" })).expect(201);
    assert_eq!((&made["status"], &made["download_url"]), (&json!("PENDING"), &Value::Null));
    let job =
        json!({ "type": "file", "format": "csv", "destination": { "table": "numbers" }, "file": { "id": made["id"] } });
    let early = api.post(&path(&cluster.id, "import-jobs/"), &job).expect(400);
    assert_eq!(early["errors"]["file"]["id"], json!(["The file was not uploaded yet."]));

    let target = made["upload_url"].as_str().unwrap().strip_prefix(simulator.url()).unwrap().to_owned();
    let mut anybody = Connection::open(simulator.url());
    assert_eq!(anybody.send("PUT", target.split('?').next().unwrap(), Some("x")).unwrap().status, 403);
    assert_eq!(anybody.send("PUT", &target, Some("a,b\n1,x\n2,\"y,z\"\n")).unwrap().status, 200);
    let own = format!("{files}{}/", made["id"].as_str().unwrap());
    assert_eq!(api.get(&own).expect(200)["status"], "UPLOADED");
    let done = import(&simulator, &cluster, &job);
    assert_eq!((&done["status"], &done["file"]["name"]), (&json!("SUCCEEDED"), &json!("numbers.csv")));

    let exports = path(&cluster.id, "export-jobs/");
    let body =
        json!({ "source": { "table": "doc.numbers" }, "destination": { "format": "csv" }, "compression": "gzip" });
    let made = api.post(&exports, &body).expect(201);
    let polled = api.get(&format!("{exports}{}/", made["id"].as_str().unwrap())).expect(200);
    assert_eq!((&polled["status"], &polled["progress"]["records"]), (&json!("SUCCEEDED"), &json!(2)));
    let file = polled["destination"]["file"]["id"].as_str().unwrap();
    let written = api.get(&format!("{files}{file}/")).expect(200);
    assert_eq!((&written["name"], &written["status"]), (&json!("numbers.csv.gz"), &json!("UPLOADED")));
    let bytes = download(written["download_url"].as_str().unwrap());
    let mut text = String::new();
    GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines[1..].sort_unstable();
    assert_eq!(lines, ["a,b", "1,x", "2,\"y,z\""]);
    for request in simulator.requests().iter().filter(|one| one.path.starts_with("/_storage/")) {
        assert_eq!(
            (&request.body, request.query.as_str()),
            (&Value::Null, if request.query.is_empty() { "" } else { "signature=***" })
        );
    }
    assert_eq!(api.send("DELETE", &own, None).unwrap().status, 204);
    assert_eq!(anybody.get(&target).status, 403, "gone with its signature");
}

/// Uploads a body that is no text.
fn download(url: &str) -> Vec<u8> {
    let (host, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = std::net::TcpStream::connect(host).unwrap();
    stream.write_all(format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    let at = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200"));
    all.split_off(at + 4)
}

#[test]
fn an_export_of_what_is_not_there_fails() {
    let (simulator, cluster) = running();
    let mut api = api(&simulator);
    let exports = path(&cluster.id, "export-jobs/");
    let body = json!({ "source": { "table": "nowhere" }, "destination": { "format": "json" } });
    let made = api.post(&exports, &body).expect(201);
    let own = format!("{exports}{}/", made["id"].as_str().unwrap());
    let polled = api.get(&own).expect(200);
    assert_eq!((&polled["status"], &polled["destination"]), (&json!("FAILED"), &json!({ "format": "json" })));
    assert!(polled["progress"]["message"].as_str().unwrap().contains("nowhere"));
    assert_eq!(api.send("DELETE", &own, None).unwrap().status, 204);
    api.get(&own).expect(404);
    let refused = api.post(&exports, &json!({ "source": {}, "destination": { "format": "xml" } })).expect(400);
    assert_eq!(
        refused["errors"],
        json!({ "source": { "table": ["Missing data for required field."] },
            "destination": { "format": ["Must be one of: csv, json, parquet."] } })
    );
}

/// Starts a simulator whose clusters are the database of another one.
fn in_front_of(other: &Simulator, cluster: ClusterOptions) -> Simulator {
    let engine = format!("{},auth=server", other.cloud().cluster("ci").url).parse().unwrap();
    start(Options { engine, ..Options::default().cluster(cluster) })
}

#[test]
fn data_is_moved_through_the_gateway_into_a_database_behind_it() {
    let (database, real) = running();
    let simulator = in_front_of(&database, ClusterOptions::running("front"));
    let front = simulator.cloud().cluster("front");
    let job = import(&simulator, &front, &request(&web("200 OK", b"a\n1\n2\n".to_vec()), "csv", "t"));
    assert_eq!((&job["status"], &job["progress"]["records"]), (&json!("SUCCEEDED"), &json!(2)), "{job}");
    assert_eq!(sql(&real, "SELECT a FROM t ORDER BY a")["rows"], json!([[1], [2]]));
    let mut api = api(&simulator);
    let exports = path(&front.id, "export-jobs/");
    let body = json!({ "source": { "table": "t" }, "destination": { "format": "json" } });
    let made = api.post(&exports, &body).expect(201);
    let done = api.get(&format!("{exports}{}/", made["id"].as_str().unwrap())).expect(200);
    let bytes = download(done["destination"]["file"]["download_url"].as_str().unwrap());
    let mut lines: Vec<_> = std::str::from_utf8(&bytes).unwrap().lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["{\"a\":1}", "{\"a\":2}"]);
    assert!(!simulator.cloud().take_snapshot("front"), "its data is not here to be copied");
    assert_eq!(api.get(&path(&front.id, "snapshots/")).expect(200), json!([]));
}

#[test]
fn a_database_that_lets_nobody_in_fails_the_job() {
    let (database, _) = running();
    let stranger = ClusterOptions::running("front").with("password", "not-the-one-it-knows").unwrap();
    let simulator = in_front_of(&database, stranger);
    let front = simulator.cloud().cluster("front");
    let job = import(&simulator, &front, &request(&web("200 OK", b"a\n1\n".to_vec()), "csv", "t"));
    let message = job["progress"]["message"].as_str().unwrap();
    assert!(message.starts_with("The database refuses the simulator:"), "{message}");
    assert!(!message.contains("not-the-one-it-knows"));
    drop(database);
    let job = import(&simulator, &front, &request(&web("200 OK", b"a\n1\n".to_vec()), "csv", "t"));
    assert!(job["progress"]["message"].as_str().unwrap().contains("cannot be reached"), "{job}");
}
