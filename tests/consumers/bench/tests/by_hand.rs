//! The same two hundred tests without a harness: with a hand-started server, their own client and their own schema, and
//! without cleaning up.

use serde_json::{Value, json};

/// The least that works: no certificates are read, and connections are this test's own.
struct Server {
    http: reqwest::Client,
    url: String,
    schema: String,
}

impl Server {
    fn new(test: &str) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        let url = std::env::var("BENCH_URL").expect("BENCH_URL");
        Self { http, url: format!("{url}/_sql"), schema: format!("by_hand_{}_{test}", std::process::id()) }
    }

    async fn sql(&self, stmt: &str, args: Value) -> Value {
        let request = self.http.post(&self.url).header("Default-Schema", &self.schema);
        let answer = request.json(&json!({ "stmt": stmt, "args": args })).send().await.unwrap();
        let (status, body) = (answer.status(), answer.json::<Value>().await.unwrap());
        assert!(status.is_success(), "{body}");
        body
    }
}

async fn sees_its_row(test: &str) {
    let server = Server::new(test);
    server.sql("CREATE TABLE readings (id INT PRIMARY KEY, value DOUBLE)", json!([])).await;
    server.sql("INSERT INTO readings VALUES (?, ?)", json!([1, 2.5])).await;
    server.sql("REFRESH TABLE readings", json!([])).await;
    let rows = server.sql("SELECT id, value FROM readings", json!([])).await;
    assert_eq!(rows["rows"], json!([[1, 2.5]]));
}

macro_rules! tests {
    ($($name:ident)*) => {$(
        #[tokio::test]
        async fn $name() {
            sees_its_row(stringify!($name)).await;
        }
    )*};
}

bench::two_hundred!(tests);

/// Not a test: what the tests left is dropped, so that the next run finds the server as this one did.
#[tokio::test]
#[ignore = "run by benches/session/by_hand.rs, after what it measures"]
async fn drop_all() {
    let server = Server::new("drop_all");
    let listed = server
        .sql("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'by_hand_%'", json!([]))
        .await;
    for row in listed["rows"].as_array().unwrap() {
        server.sql(&format!("DROP SCHEMA IF EXISTS \"{}\" CASCADE", row[0].as_str().unwrap()), json!([])).await;
    }
}
