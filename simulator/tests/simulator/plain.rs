//! A gateway in front of a plain CrateDB, which knows no tokens of the Cloud: who is let in, as whom, and what becomes
//! of servers that are not there. And the server that the simulator starts itself.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cratedb_cloud_simulator::{ClusterOptions, ClusterView, CrateServer, EngineKind, Options, Simulator};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use serde_json::{Value, json};

use super::serve::{ended, pid};
use super::support::{Connection, api, eventually, path, start};
use super::{crate_program, executable, jobs};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cratedb-cloud-simulator");
const PASSWORD: &str = "simulated-password-of-32-letters";

/// A CrateDB with passwords and without tokens, as far as gateways use one. It trusts `crate`, the superuser, if no
/// password is given, and knows `ada`, who may do nothing special.
#[derive(Clone, Default)]
struct Server {
    passwords: Arc<Mutex<HashMap<String, String>>>,
    statements: Arc<Mutex<Vec<String>>>,
}

/// One connection, which is a session.
#[derive(Default)]
struct Session {
    /// The user who logged in, and the one as whom the session acts.
    users: Option<(String, String)>,
    schema: Option<String>,
}

impl Server {
    fn start() -> (Self, String) {
        let server = Self::default();
        server.passwords.lock().unwrap().insert("ada".into(), "adas".into());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let every = server.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, mut session) = (every.clone(), Session::default());
                std::thread::spawn(move || while server.serve(&stream, &mut session).is_some() {});
            }
        });
        (server, address)
    }

    fn count(&self, stmt: &str) -> usize {
        self.statements.lock().unwrap().iter().filter(|sent| sent.contains(stmt)).count()
    }

    fn serve(&self, stream: &TcpStream, session: &mut Session) -> Option<()> {
        let mut reader = BufReader::new(stream);
        let mut headers = HashMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
            match line.trim().split_once(": ") {
                Some((name, value)) => drop(headers.insert(name.to_lowercase(), value.to_owned())),
                None if line.trim().is_empty() => break,
                None => {}
            }
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
        reader.read_exact(&mut body).ok()?;
        let (status, answer) = match self.who(headers.get("authorization")) {
            Ok(user) => self.answer(session, &user, headers.get("default-schema"), &body),
            Err(why) => (401, Value::String(why)),
        };
        let told = answer.as_str().map_or_else(|| answer.to_string(), |text| format!("{text}\n"));
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{told}", told.len()).ok()
    }

    fn who(&self, authorization: Option<&String>) -> Result<String, String> {
        let no_entry =
            |user: &str| format!("No valid auth.host_based.config entry found for host \"h\", user \"{user}\"");
        let Some(header) = authorization else { return Ok("crate".into()) };
        let basic = header.strip_prefix("Basic ").ok_or_else(|| no_entry("null"))?;
        let decoded = String::from_utf8(STANDARD.decode(basic).unwrap()).unwrap();
        let (user, password) = decoded.split_once(':').unwrap();
        match self.passwords.lock().unwrap().get(user) {
            None if user == "crate" => Ok(user.to_owned()),
            Some(right) if right == password => Ok(user.to_owned()),
            Some(_) => Err(format!("password authentication failed for user \"{user}\"")),
            None => Err(no_entry(user)),
        }
    }

    fn answer(&self, session: &mut Session, user: &str, schema: Option<&String>, body: &[u8]) -> (u16, Value) {
        if session.users.as_ref().is_none_or(|(login, _)| login != user) {
            *session = Session { users: Some((user.to_owned(), user.to_owned())), schema: schema.cloned() };
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else { return (200, json!({ "ok": true })) };
        let stmt = body["stmt"].as_str().unwrap();
        self.statements.lock().unwrap().push(stmt.to_owned());
        let refused = |status: u16, code: u16| (status, json!({ "error": { "message": "no", "code": code } }));
        let named = || stmt.split('"').nth(1).unwrap().to_owned();
        let mut passwords = self.passwords.lock().unwrap();
        let (login, acting) = session.users.as_mut().unwrap();
        let rows = match stmt {
            _ if stmt.starts_with("CREATE USER") => {
                if !["crate", "admin"].contains(&acting.as_str()) {
                    return refused(401, 4011);
                }
                if passwords.contains_key(&named()) {
                    return refused(409, 4099);
                }
                passwords.insert(named(), body["args"][0].as_str().unwrap().to_owned());
                json!([[]])
            }
            _ if stmt.starts_with("SET SESSION AUTHORIZATION") => {
                if login != "crate" {
                    return refused(401, 4011);
                }
                if !passwords.contains_key(&named()) {
                    return refused(404, 40410);
                }
                *acting = named();
                json!([[]])
            }
            "SELECT current_user" => json!([[acting]]),
            "SELECT current_schema" => json!([[session.schema]]),
            _ => json!([[]]),
        };
        (200, json!({ "cols": [], "rows": rows, "rowcount": 1 }))
    }
}

fn options(engine: CrateServer, cluster: ClusterOptions) -> Options {
    Options { engine: EngineKind::Server(engine), ..Options::default() }.cluster(cluster)
}

fn behind(engine: CrateServer) -> (Simulator, ClusterView) {
    let simulator = start(options(engine, ClusterOptions::running("ci")));
    let cluster = simulator.cloud().cluster("ci");
    (simulator, cluster)
}

fn token(simulator: &Simulator, id: &str) -> String {
    api(simulator).get(&path(id, "jwt/")).expect(200)["token"].as_str().unwrap().to_owned()
}

fn one(connection: &mut Connection, stmt: &str) -> Value {
    connection.sql(stmt).expect(200)["rows"][0][0].clone()
}

#[test]
fn the_gateway_checks_tokens_and_the_server_sees_none() {
    let (server, address) = Server::start();
    let (simulator, cluster) = behind(CrateServer::at(&address).login("crate", ""));
    let token = token(&simulator, &cluster.id);
    let mut sql = Connection::open(&cluster.url).bearer(&token);
    assert_eq!([one(&mut sql, "SELECT current_user"), one(&mut sql, "SELECT current_user")], ["admin", "admin"]);
    sql.get("/").expect(200);
    let asked = server.statements.lock().unwrap().len();
    for bad in ["opaque", "a.b.c"] {
        let reply = Connection::open(&cluster.url).bearer(bad).sql("SELECT 1");
        assert!(reply.status == 401 && reply.text.contains("jwt authentication failed for user admin"), "{reply:?}");
    }
    simulator.cloud().revoke_tokens();
    assert_eq!(sql.sql("SELECT 1").status, 401);
    assert_eq!(server.statements.lock().unwrap().len(), asked, "the server was asked");
}

#[test]
fn a_suspended_cluster_refuses_and_the_server_keeps_its_data() {
    let (server, address) = Server::start();
    let (simulator, cluster) = behind(CrateServer::at(&address));
    let suspend = |suspended: bool| {
        api(&simulator).put(&path(&cluster.id, "suspend/"), &json!({ "suspended": suspended })).expect(200);
    };
    let open = || Connection::open(&cluster.url).basic("admin", PASSWORD);
    open().sql("SELECT before").expect(200);
    suspend(true);
    assert_eq!(open().sql("SELECT meanwhile").status, 503);
    suspend(false);
    open().sql("SELECT afterwards").expect(200);
    assert_eq!(["before", "meanwhile", "afterwards"].map(|stmt| server.count(stmt)), [1, 0, 1]);
}

#[test]
fn users_that_were_made_by_sql_log_in_with_their_own_passwords() {
    let (server, address) = Server::start();
    let (_simulator, cluster) = behind(CrateServer::at(&address));
    let create = json!({ "stmt": "CREATE USER \"wilma\" WITH (password = ?)", "args": ["wilmas"] });
    Connection::open(&cluster.url).basic("admin", PASSWORD).post("/_sql", &create).expect(200);
    let who =
        |user: &str, password: &str| Connection::open(&cluster.url).basic(user, password).sql("SELECT current_user");
    assert_eq!(who("wilma", "wilmas").expect(200)["rows"], json!([["wilma"]]));
    let refused = |user: &str, password: &str, why: &str| {
        let reply = who(user, password);
        assert!(reply.status == 401 && reply.text.contains(why), "{user}: {reply:?}");
    };
    refused("wilma", "wrong", "password authentication failed for user \"wilma\"");
    refused("fred", "freds", "user \"fred\"");
    refused("wilma", "", "No valid auth.host_based.config entry");
    let asked = server.count("current_user");
    // The server would let the superuser in.
    refused("crate", "anything", "password authentication failed for user \"crate\"");
    refused("admin", "wrong", "password authentication failed for user \"admin\"");
    assert_eq!(server.count("current_user"), asked, "the server was asked");
}

#[test]
fn the_clusters_user_is_made_once_and_one_that_is_there_is_left_alone() {
    let (server, address) = Server::start();
    let (_simulator, cluster) = behind(CrateServer::at(&address));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let open = || Connection::open(&cluster.url).basic("admin", PASSWORD);
            scope.spawn(move || assert_eq!(one(&mut open(), "SELECT current_user"), "admin"));
        }
    });
    assert_eq!((server.count("CREATE USER"), server.count("GRANT ALL PRIVILEGES TO \"admin\"")), (1, 1));
    let (_again, cluster) = behind(CrateServer::at(&address));
    assert_eq!(one(&mut Connection::open(&cluster.url).basic("admin", PASSWORD), "SELECT current_user"), "admin");
    assert_eq!((server.count("CREATE USER"), server.count("GRANT")), (2, 1));
}

#[test]
fn a_session_and_its_schema_belong_to_the_clients_connection() {
    let (_server, address) = Server::start();
    let (_simulator, cluster) = behind(CrateServer::at(&address));
    let open = |schema: &str| Connection::open(&cluster.url).basic("admin", PASSWORD).with("default-schema", schema);
    let (mut a, mut b) = (open("a"), open("b"));
    let schema = |connection: &mut Connection| one(connection, "SELECT current_schema");
    assert_eq!([schema(&mut a), schema(&mut b), schema(&mut a)], ["a", "b", "a"]);
}

#[test]
fn an_account_that_cannot_act_as_others_does_the_clusters_work_itself() {
    let (_server, address) = Server::start();
    let (_simulator, cluster) = behind(CrateServer::at(&address).login("ada", "adas"));
    assert_eq!(one(&mut Connection::open(&cluster.url).basic("admin", PASSWORD), "SELECT current_user"), "ada");
    assert_eq!(
        Connection::open(&cluster.url).basic("ada", "adas").sql("SELECT 1").status,
        401,
        "it is not the client's"
    );
}

#[test]
fn without_authentication_names_are_enough() {
    let (_server, address) = Server::start();
    let cluster = ClusterOptions::running("ci").with("auth", "off").unwrap();
    let simulator = start(options(CrateServer::at(&address), cluster));
    let url = simulator.cloud().cluster("ci").url;
    assert_eq!(one(&mut Connection::open(&url), "SELECT current_user"), "crate");
    assert_eq!(one(&mut Connection::open(&url).basic("ada", ""), "SELECT current_user"), "ada");
    let reply = Connection::open(&url).basic("fred", "").sql("SELECT 1");
    assert!(reply.status == 401 && reply.text.contains("user \"fred\""), "{reply:?}");
}

#[test]
fn a_server_that_cannot_be_used_is_an_error_that_names_the_option() {
    let (_server, address) = Server::start();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    std::thread::spawn({
        let silent = silent.try_clone().unwrap();
        move || silent.incoming().for_each(drop)
    });
    let closing = silent.local_addr().unwrap().to_string();
    let other = start(Options::default());
    let not_crate = other.url().strip_prefix("http://").unwrap();
    let ada = CrateServer::at(&address).login("ada", "s3cret-s3cret");
    for (engine, part) in [
        (CrateServer::at("127.0.0.1:1"), "refused"),
        (CrateServer::at(closing), ""),
        (CrateServer::at(not_crate), ": it "),
        (ada, "it refuses the user: password authentication failed for user \"ada\""),
    ] {
        let expected = format!("cannot use --engine {engine}: ");
        let told = Simulator::start_blocking(options(engine, ClusterOptions::running("ci"))).unwrap_err().to_string();
        assert!(told.starts_with(&expected) && told.contains(part) && !told.contains("s3cret"), "{told}");
    }
}

#[test]
fn a_server_that_is_gone_later_is_named_by_the_gateway() {
    let mut crates = Command::new(PROGRAM);
    crates.args(["crate", "-Chttp.port=0", "-Cnode.name=n1", "-Cpsql.port=0", "-Ctransport.tcp.port=0"]);
    let (node, url) = crate_program::started(crates);
    let engine = format!("http://crate@{}", url.strip_prefix("http://").unwrap()).parse().unwrap();
    let simulator = start(Options { engine, ..Options::default() }.cluster(ClusterOptions::running("ci")));
    let cluster = simulator.cloud().cluster("ci");
    let open = || Connection::open(&cluster.url).bearer(&token(&simulator, &cluster.id));
    open().sql("CREATE TABLE doc.t (a INT)").expect(200);
    drop(node);
    let reply = eventually("it is gone", || Some(open().sql("SELECT 1")).filter(|reply| reply.status == 503));
    assert!(reply.text.contains(&format!("--engine {url} (")), "{reply:?}");
}

/// An installation of a server that notes its process and its directory before it does anything else.
struct Installation {
    home: tempfile::TempDir,
    notes: tempfile::TempDir,
}

impl Installation {
    /// With a shell script of this text as `bin/crate`.
    fn of(script: &str) -> Self {
        let made = Self { home: tempfile::tempdir().unwrap(), notes: tempfile::tempdir().unwrap() };
        std::fs::create_dir(made.home.path().join("bin")).unwrap();
        let note = format!("cd {}; echo $$ $OLDPWD > new; mv new server", made.notes.path().display());
        executable::script(&made.home.path().join("bin/crate"), &format!("{note}\n{script}"));
        // If these tests run as root, the server runs as another user.
        for path in [made.home.path(), &made.home.path().join("bin")] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        std::fs::set_permissions(made.notes.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        made
    }

    /// The stand-in, which has no authentication.
    fn stand_in() -> Self {
        let made = Self::of(
            "for it; do case $it in -Cauth.*) ;; *) set -- \"$@\" \"$it\" ;; esac; shift; done
             exec \"$(dirname \"$0\")/simulator\" crate \"$@\"",
        );
        executable::copy(Path::new(PROGRAM), &made.home.path().join("bin/simulator"));
        made
    }

    fn engine(&self) -> EngineKind {
        EngineKind::Home(self.home.path().into())
    }

    /// Returns the process and the directory of the server that was started last.
    fn noted(&self) -> (i32, PathBuf) {
        let text = std::fs::read_to_string(self.notes.path().join("server")).unwrap();
        let (pid, dir) = text.trim().split_once(' ').unwrap();
        (pid.parse().unwrap(), dir.into())
    }
}

#[track_caller]
fn gone((server, dir): &(i32, PathBuf)) {
    let lives = || test_kill_process(Pid::from_raw(*server).unwrap()).is_ok();
    eventually("the server and its data are gone", || (!lives() && !dir.exists()).then_some(()));
}

#[test]
fn a_server_of_the_simulators_own_ends_with_it() {
    let installation = Installation::stand_in();
    let options = Options { engine: installation.engine(), ..Options::default() };
    let simulator = start(options.cluster(ClusterOptions::suspended("ci")));
    let cluster = simulator.cloud().cluster("ci");
    let server = installation.noted();
    assert!(server.1.join("data").is_dir());
    let open = || Connection::open(&cluster.url).bearer(&token(&simulator, &cluster.id));
    assert_eq!(open().sql("SELECT 1").status, 503);
    api(&simulator).put(&path(&cluster.id, "suspend/"), &json!({ "suspended": false })).expect(200);
    open().sql("CREATE TABLE doc.t (a INT)").expect(200);
    drop(simulator);
    assert!(!server.1.exists(), "its end is waited for");
    gone(&server);
}

#[test]
fn it_ends_with_a_killed_program_too() {
    let installation = Installation::stand_in();
    for signal in [Signal::TERM, Signal::KILL] {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--cluster", "name=ci", "--engine"]).arg(installation.home.path());
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
        let server = installation.noted();
        assert!(server.1.exists());
        kill_process(pid(&child), signal).unwrap();
        ended(&mut child);
        gone(&server);
    }
}

#[test]
fn a_server_that_does_not_start_is_quoted_and_nothing_is_left() {
    for (script, quoted) in [("echo no memory >&2; exit 3", "its log:\n  no memory"), ("exit 0", "its log:\n  ")] {
        let installation = Installation::of(script);
        let options = Options { engine: installation.engine(), ..Options::default() };
        let told = Simulator::start_blocking(options).unwrap_err().to_string();
        let expected = format!("cannot use --engine {}: it was started", installation.home.path().display());
        assert!(told.starts_with(&expected) && told.ends_with(&format!("and it ended; {quoted}")), "{told}");
        gone(&installation.noted());
    }
}

#[test]
fn jobs_load_into_the_server_as_the_clusters_user() {
    let mut crates = Command::new(PROGRAM);
    crates.args(["crate", "-Chttp.port=0", "-Cnode.name=n1", "-Cpsql.port=0", "-Ctransport.tcp.port=0"]);
    let (_node, url) = crate_program::started(crates);
    let (simulator, cluster) = behind(CrateServer::at(url.strip_prefix("http://").unwrap()));
    let data = jobs::web("200 OK", "id,name\n1,Lyon\n2,Bern\n".into());
    let job = jobs::import(&simulator, &cluster, &jobs::request(&data, "csv", "stations"));
    assert_eq!(job["status"], "SUCCEEDED", "{job}");
    let mut server = Connection::open(&url);
    server.sql("REFRESH TABLE doc.stations").expect(200);
    assert_eq!(one(&mut server, "SELECT count(*) FROM doc.stations"), 2);
}
