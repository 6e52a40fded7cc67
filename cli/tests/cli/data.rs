//! `query`, `import`, `snapshots`.

use std::io::{Read, Write};

use cratedb_cloud_simulator::ClusterOptions;
use serde_json::json;

use crate::support::{Done, PASSWORD, World};

fn world() -> World {
    World::with([ClusterOptions::running("ci")])
}

fn query(world: &World, arguments: &[&str]) -> Done {
    world.cli(&[&["query", "--cluster-name", "ci"], arguments].concat()).done()
}

#[test]
fn a_statement_comes_from_the_argument_from_stdin_or_from_a_file() {
    let world = world();
    world.write("one.sql", "SELECT 41 + 1 AS answer;\n\n");
    let base = ["query", "--cluster-name", "ci", "--output", "csv"];
    let run = |more: &[&str]| world.cli(&[&base, more].concat());
    let expected = "answer\n42\n";
    for run in [
        run(&["SELECT 41 + 1 AS answer"]),
        run(&[]).input("SELECT 41 + 1 AS answer\n;"),
        run(&["-"]).input("SELECT 41 + 1 AS answer"),
        run(&["--file", "one.sql"]),
        run(&["--file", "-"]).input("SELECT 41 + 1 AS answer"),
    ] {
        let done = run.done().expect(0);
        assert_eq!(done.stdout, expected);
        done.says(&["1 row ("]);
    }
    run(&[]).input(" ;\n").done().expect(2).says(&["empty", "--file"]);
    run(&["--file", "missing.sql"]).done().expect(2).says(&["missing.sql"]);
    run(&["SELECT 1", "--file", "one.sql"]).done().expect(2).says(&["--file"]);
}

#[test]
fn a_byte_order_mark_and_comments_are_no_part_of_a_statement() {
    let world = world();
    world.write("marked.sql", "\u{feff}-- report; of today\nSELECT ';' AS mark; -- done\n");
    let done = query(&world, &["--file", "marked.sql", "--output", "csv"]).expect(0);
    assert_eq!(done.stdout, "mark\n;\n");
}

#[test]
fn several_statements_are_run_one_after_another() {
    let world = world();
    world.write("all.sql", "CREATE TABLE t (s TEXT); INSERT INTO t VALUES ('a;b'), ('c'); REFRESH TABLE t;\nSELECT s FROM t ORDER BY s; SELECT count(*) AS n FROM t;");
    let done = query(&world, &["--file", "all.sql", "--output", "csv"]).expect(0);
    assert_eq!(done.stdout, "s\na;b\nc\n\nn\n2\n");
    done.says(&["2 rows affected (", "2 rows (", "1 row ("]);
    let list = query(&world, &["SELECT 1 AS a; SELECT 2 AS b", "--output", "json"]).expect(0).json();
    assert_eq!((&list[0]["rows"], &list[1]["columns"][0]["name"]), (&json!([[1]]), &json!("b")));
    let failed = query(&world, &["INSERT INTO t VALUES ('d'); SELECT nonsense FROM t; DROP TABLE t"]).expect(1);
    failed.says(&["nonsense", "statement 2 of 3", "keep their effect"]);
    let left = query(&world, &["REFRESH TABLE t; SELECT count(*) AS n FROM t", "--output", "csv"]).expect(0);
    assert_eq!(left.stdout, "n\n3\n");
}

#[test]
fn values_of_every_kind_are_written_in_every_form() {
    let world = world();
    let create = "CREATE TABLE t (id INTEGER, big BIGINT, n NUMERIC(18, 9), d DOUBLE PRECISION, b BOOLEAN, s TEXT, \
                  at TIMESTAMP WITH TIME ZONE, o OBJECT, tags ARRAY(TEXT), p GEO_POINT)";
    query(&world, &[create, "--quiet"]).expect(0);
    // A point that an index keeps as it is: of another one, ORDER BY may read the rounded one.
    let insert = "INSERT INTO t VALUES (1, 9007199254740993, 1234567.125, 0.1, true, 'a \"b\", 富士', \
                  '2026-01-05T11:00:00.123Z', {a = {b = [1, 2]}}, ['x', 'y'], [11.25, 45.0]), \
                  (2, null, null, null, null, '', null, null, null, null)";
    query(&world, &[insert]).expect(0).says(&["2 rows affected"]);
    query(&world, &["REFRESH TABLE t"]).expect(0);
    let select = "SELECT * FROM t ORDER BY id";

    let csv = query(&world, &[select, "--output", "csv"]).expect(0).stdout;
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(lines[0], "id,big,n,d,b,s,at,o,tags,p");
    assert_eq!(
        lines[1],
        "1,9007199254740993,1234567.125000000,0.1,true,\"a \"\"b\"\", 富士\",2026-01-05T11:00:00.123Z,\
         \"{\"\"a\"\":{\"\"b\"\":[1,2]}}\",\"[\"\"x\"\", \"\"y\"\"]\",\"[11.25,45.0]\""
    );
    assert_eq!(lines[2], "2,,,,,\"\",,,,");

    let done = query(&world, &[select, "--output", "json"]).expect(0);
    let document = done.json();
    assert_eq!(document["columns"][2], json!({ "name": "n", "type": "NUMERIC" }));
    assert_eq!(document["rows"][1], json!([2, null, null, null, null, "", null, null, null, null]));
    assert_eq!(document["rows"][0][6], 1_767_610_800_123_i64);
    assert!(done.stdout.contains("1234567.125000000"), "digits were lost: {done:?}");

    let table = query(&world, &[select]).expect(0).stdout;
    assert!(table.contains("NULL") && table.contains("富士") && table.contains("2026-01-05T11:00:00.123Z"), "{table}");
}

#[test]
fn what_is_stored_does_nothing_to_a_terminal() {
    let world = world();
    query(&world, &["CREATE TABLE t (s TEXT)"]).expect(0);
    query(&world, &["INSERT INTO t VALUES ('\u{1b}[2J\nx')"]).expect(0);
    query(&world, &["REFRESH TABLE t"]).expect(0);
    let done = query(&world, &["SELECT s FROM t", "--color", "always"]).expect(0);
    assert!(done.stdout.contains("\\u{1b}[2J\\nx") && !done.stdout.contains("\u{1b}[2J"), "{done:?}");
    let csv = query(&world, &["SELECT s FROM t", "--output", "csv"]).expect(0).stdout;
    assert_eq!(csv, "s\n\"\u{1b}[2J\nx\"\n", "csv is data");
}

#[test]
fn a_statement_that_returns_no_rows_tells_how_many_it_changed() {
    let world = world();
    let document = query(&world, &["CREATE TABLE t (id INTEGER)", "--output", "json"]).expect(0).json();
    assert_eq!((document["columns"].clone(), document["rows"].clone()), (json!([]), json!([])));
    let done = query(&world, &["INSERT INTO t VALUES (1), (2)"]).expect(0).says(&["2 rows affected"]);
    assert_eq!(done.stdout, "");
}

#[test]
fn a_statement_that_crate_db_refuses_is_a_failure_with_its_words() {
    let world = world();
    let done = query(&world, &["SELECT * FROM nonsense", "--output", "json"]).expect(1);
    assert!(done.json()["error"]["message"].as_str().unwrap().contains("nonsense"));
    done.says(&["nonsense", "4041"]);
    query(&world, &["SELEC 1"]).expect(1).says(&["SELEC"]);
}

#[test]
fn a_suspended_cluster_says_what_helps() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    query(&world, &["SELECT 1"]).expect(1).says(&["suspended", "start"]);
}

#[test]
fn a_server_that_is_no_cloud_needs_no_cloud() {
    let world = World::with([ClusterOptions::running("ci")]);
    let cluster = world.cloud().cluster("ci");
    let sent = world.simulator().requests().len();
    let run = world.stranger(&["query", "--cluster-url", &cluster.url, "SELECT 1 AS one", "--output", "csv"]);
    let done = run.env("CRATEDB_USERNAME", &cluster.username).env("CRATEDB_PASSWORD", PASSWORD).done().expect(0);
    assert_eq!(done.stdout, "one\n1\n");
    let requests = world.simulator().requests();
    assert!(requests[sent..].iter().all(|one| one.path.starts_with("/_sql") || one.path == "/"), "{requests:?}");
    let wrong = world.stranger(&["query", "--cluster-url", &cluster.url, "SELECT 1"]);
    wrong.env("CRATEDB_USERNAME", "admin").env("CRATEDB_PASSWORD", "wrong").done().expect(3).says(&["401"]);
}

#[test]
fn a_statement_that_takes_too_long_is_timed_out() {
    let world = world();
    world.cloud().fault(cratedb_cloud_simulator::Fault::on("POST", "/_sql").hang().always());
    let run = world.cli(&["query", "--cluster-name", "ci", "SELECT 1", "--timeout", "200ms", "--output", "json"]);
    let done = run.done().expect(5).says(&["200ms"]);
    assert_eq!(done.json()["error"]["exit_code"], 5);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let world = world();
    let script = format!(
        "{} query --cluster-name ci 'SELECT 1' --output csv | true; exit ${{PIPESTATUS[0]}}",
        crate::support::PROGRAM
    );
    let run = crate::support::Run::of(&world, "bash", &["-c", &script]);
    let done = run.with_the_key().done().expect(0);
    assert!(!done.stderr.contains("error"), "{done:?}");
}

#[test]
fn a_local_file_is_imported() {
    let world = world();
    world.write("weather.csv", "place,degrees\nOslo,-3\n\"Bad, Town\",21\n");
    let arguments = ["import", "--cluster-name", "ci", "weather.csv", "--table", "weather"];
    let done = world.cli(&arguments).done().expect(0).says(&["uploading", "2 records imported into weather"]);
    assert!(done.stdout.contains("SUCCEEDED"), "{done:?}");
    query(&world, &["REFRESH TABLE weather"]).expect(0);
    let rows = query(&world, &["SELECT place FROM weather ORDER BY degrees", "--output", "csv"]).expect(0).stdout;
    assert_eq!(rows, "place\nOslo\n\"Bad, Town\"\n");
    let document = world.cli(&[&arguments[..], &["--output", "json"]].concat()).done().expect(0).json();
    assert_eq!(document["status"], "SUCCEEDED");
}

#[test]
fn a_url_is_imported_by_the_cloud_itself() {
    let world = world();
    let url = serve("{\"a\": 1}\n{\"a\": 2}\n");
    let done = world.cli(&["import", "--cluster-name", "ci", &format!("{url}/data.json"), "--table", "t"]).done();
    done.expect(0).says(&["2 records imported into t"]);
    query(&world, &["REFRESH TABLE t"]).expect(0);
    assert_eq!(query(&world, &["SELECT sum(a) AS s FROM t", "--output", "csv"]).expect(0).stdout, "s\n3\n");
}

/// Starts a web server that answers one request after another until the test ends.
fn serve(body: &'static str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _ = stream.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

#[test]
fn an_import_that_can_not_work_is_a_mistake_before_anything_is_sent() {
    let world = world();
    world.write("data.unknown", "x");
    for (source, part) in [("missing.csv", "missing.csv"), ("data.unknown", "--format"), (".", "--format")] {
        let done = world.cli(&["import", "--cluster-name", "ci", source, "--table", "t", "--output", "json"]).done();
        assert!(done.expect(2).says(&[part]).json()["error"]["message"].is_string());
    }
    world.cli(&["import", "--cluster-name", "ci", "a.csv"]).done().expect(2).says(&["--table"]);
    assert!(world.simulator().requests().is_empty());
}

#[test]
fn an_import_that_fails_is_a_failure_with_the_services_words() {
    let world = world();
    world.write("data.csv", "a\n1\n");
    let arguments = ["import", "--cluster-name", "ci", "data.csv", "--table", "missing", "--no-create-table"];
    let done = world.cli(&arguments).done().expect(1).says(&["missing"]);
    assert!(!done.stderr.contains("suspended"), "{}", done.stderr);
}

#[test]
fn an_import_into_a_suspended_cluster_says_that_it_is_suspended() {
    let world = World::with([ClusterOptions::suspended("ci")]);
    world.write("data.csv", "a\n1\n");
    let done = world.cli(&["import", "--cluster-name", "ci", "data.csv", "--table", "t"]).done().expect(1);
    done.says(&["is suspended: `start` resumes it"]);
}

#[test]
fn snapshots_of_a_new_cluster_are_none_and_too_far_back_is_a_mistake() {
    let world = world();
    let done = world.cli(&["snapshots", "--cluster-name", "ci", "--output", "json"]).done().expect(0);
    assert_eq!(done.says(&["--since"]).json(), json!([]));
    let csv = world.cli(&["snapshots", "list", "--cluster-name", "ci", "--output", "csv"]).done().expect(0).stdout;
    assert_eq!(csv, "created,snapshot,repository,tables\n");
    world.cli(&["snapshots", "list", "--cluster-name", "ci", "--since", "15d"]).done().expect(2).says(&["14 days"]);
}

#[test]
fn a_job_that_fails_in_the_cloud_is_a_failure() {
    let world = world();
    world.write("data.csv", "a\n1\n");
    world.cloud().fail_next_job("ci", "The disk is full.");
    let done = world.cli(&["import", "--cluster-name", "ci", "data.csv", "--table", "t", "--output", "json"]).done();
    let done = done.expect(1).says(&["The disk is full."]);
    assert!(done.json()["error"]["message"].as_str().unwrap().contains("The disk is full."));
}

#[test]
fn an_import_that_takes_too_long_is_timed_out_and_goes_on() {
    let world = world();
    world.write("data.csv", "a\n1\n");
    world.cloud().hold_next_job("ci");
    let arguments = ["import", "--cluster-name", "ci", "data.csv", "--table", "t", "--timeout", "300ms"];
    world.cli(&arguments).done().expect(5).says(&["importing into t"]);
}

#[test]
fn a_snapshot_is_listed_and_restored() {
    let world = world();
    query(&world, &["CREATE TABLE kept (a INTEGER)"]).expect(0);
    query(&world, &["INSERT INTO kept VALUES (1), (2)"]).expect(0);
    query(&world, &["REFRESH TABLE kept"]).expect(0);
    assert!(world.cloud().take_snapshot("ci"));
    let list = world.cli(&["snapshots", "--cluster-name", "ci", "--output", "json"]).done().expect(0).json();
    let name = list[0]["snapshot"].as_str().unwrap().to_owned();
    assert_eq!(list[0]["tables"], json!(["doc.kept"]));
    query(&world, &["DROP TABLE kept"]).expect(0);
    let restore = ["snapshots", "restore", "--cluster-name", "ci", &name, "--table", "doc.kept"];
    let done = world.cli(&restore).done().expect(0);
    assert!(done.stdout.contains("doc.kept"), "{done:?}");
    done.says(&["is restored after"]);
}

#[test]
fn a_restoration_that_can_not_work_says_why() {
    let world = world();
    let restore = |more: &[&str]| world.cli(&[&["snapshots", "restore", "--cluster-name", "ci"], more].concat()).done();
    restore(&["nope"]).expect(4).says(&["nope", "snapshots list --since 14d"]);
    restore(&["s", "--type", "all", "--table", "t"]).expect(2).says(&["--table", "all"]);
    restore(&["s", "--type", "sections"]).expect(2).says(&["--section"]);
    restore(&["s", "--section", "views"]).expect(2).says(&["--type sections"]);
    let unknown = restore(&["nope", "--repository", "none", "--table", "doc.t"]);
    assert!(matches!(unknown.code, Some(1 | 4)), "{unknown:?}");
}

#[test]
fn schemas_of_tests_are_listed_and_dropped_and_no_others() {
    let world = world();
    let (one, other) = ("cratedb_test_hrfjq_k3rr7p8w_imports", "cratedb_test_hrfjz_aaaaaaaa_exports");
    let kept = |arguments: &[&str]| world.cli(&[&["kept", "--cluster-name", "ci"], arguments].concat()).done();
    kept(&[]).expect(0).says(&["no test left a schema"]);
    for table in [&format!("{one}.a"), &format!("{one}.b"), &format!("{other}.a"), "cratedb_test_data.a", "mine.a"] {
        query(&world, &[&format!("CREATE TABLE {table} (id INT)")]).expect(0);
    }
    let listed = kept(&["--output", "json"]).expect(0).json();
    let said = |row: usize, field: &str| listed[row][field].clone();
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!((said(0, "schema"), said(0, "test"), said(0, "tables")), (json!(one), json!("imports"), json!(2)));
    assert_eq!((said(1, "schema"), said(1, "used_by")), (json!(other), json!(null)));
    let table = kept(&[]).expect(0).stdout;
    assert!(table.contains(one) && table.contains("2026-09-22 14:14 UTC"), "{table}");

    world.cli(&["kept"]).done().expect(2).says(&["--cluster-name", "no local server now"]);
    kept(&["--drop"]).expect(2).says(&["--drop --all"]);
    kept(&["--all"]).expect(2);
    kept(&["--drop", one, "--all"]).expect(2).says(&["no name"]);
    kept(&["--drop", "mine"]).expect(4).says(&["no schema of a test named `mine`"]);
    kept(&["--drop", one]).expect(0).says(&[one, "is dropped"]);
    kept(&["--drop", one]).expect(4);
    kept(&["--drop", "--all"]).expect(0).says(&[other]);
    kept(&["--drop", "--all"]).expect(0).says(&["nothing to drop"]);
    let left = query(
        &world,
        &["SELECT table_schema FROM information_schema.tables WHERE table_name = 'a' ORDER BY 1", "--output", "csv"],
    );
    assert_eq!(left.expect(0).stdout, "table_schema\ncratedb_test_data\nmine\n");
}
