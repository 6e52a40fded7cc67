//! Imports, exports, files and snapshots.

use cratedb_cloud_simulator::ClusterOptions;
use cratedb_test::cloud::model::{NewExportJob, NewImportJob, Restore};

use crate::script::{Say, Server};
use crate::support::{Bench, says};

fn csv() -> Server {
    Server::new(|_| Say::text("200 OK", "id,name\n1,Lyon\n2,Bonn\n"))
}

#[tokio::test]
async fn an_import_is_waited_for_and_its_data_are_there() {
    let (bench, server) = (Bench::with(ClusterOptions::running("ci")).await, csv());
    let cluster = bench.ci();
    let job = NewImportJob::from_url(format!("{}/towns.csv", server.url), "csv", "towns").create_table(true);
    let done = cluster.import(&job).await.unwrap();
    assert_eq!(done.progress.records, Some(2));
    cluster.execute("REFRESH TABLE towns").await.unwrap();
    assert_eq!(cluster.query("SELECT count(*) FROM towns").scalar::<i64>().await.unwrap(), 2);
    assert_eq!(cluster.client().import_jobs(&done.cluster_id).await.unwrap()[0].id, done.id);
}

#[tokio::test]
async fn an_import_that_fails_is_an_error_with_the_words_of_the_service() {
    let (bench, server) = (Bench::with(ClusterOptions::running("ci")).await, csv());
    bench.cloud().fail_next_job("ci", "No such file.");
    let job = NewImportJob::from_url(format!("{}/towns.csv", server.url), "csv", "towns").create_table(true);
    says(
        bench.ci().import(&job).await.unwrap_err(),
        &["importing into towns of cluster `ci` (", "failed: No such file."],
    );
}

#[tokio::test]
async fn a_file_is_uploaded_and_imported() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let cluster = bench.ci();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("towns.csv");
    std::fs::write(&path, "id,name\n1,Lyon\n").unwrap();
    let file = cluster.upload(&path).await.unwrap();
    let job = NewImportJob::from_file(&file.id, "csv", "towns").create_table(true);
    assert_eq!(cluster.import(&job).await.unwrap().progress.records, Some(1));
    let error = cluster.upload(dir.path().join("nothing.csv")).await.unwrap_err();
    assert!(error.is_usage());
    says(error, &["cannot upload", "nothing.csv"]);
}

#[tokio::test]
async fn a_table_is_exported() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let cluster = bench.ci();
    cluster.execute("CREATE TABLE doc.t (id INT)").await.unwrap();
    let done = cluster.export(&NewExportJob::new("doc.t", "csv")).await.unwrap();
    assert!(!done.destination.file.unwrap().id.is_empty());
}

#[tokio::test]
async fn a_snapshot_is_restored_and_an_older_restore_is_not_taken_for_it() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let cluster = bench.ci();
    cluster.execute("CREATE TABLE doc.t (id INT)").await.unwrap();
    assert!(bench.cloud().take_snapshot("ci"));
    let id = cluster.info().await.unwrap().id;
    let snapshot = cluster.client().snapshots(&id, None, None).await.unwrap().remove(0);
    let restore = Restore::tables(&snapshot.repository, &snapshot.snapshot, ["doc.t"]);
    for _ in 0..2 {
        cluster.execute("DROP TABLE doc.t").await.unwrap();
        cluster.restore(&restore).await.unwrap();
        cluster.execute("SELECT * FROM doc.t").await.unwrap();
    }
    bench.cloud().fail_next_operation("ci", "No such repository.");
    says(cluster.restore(&restore).await.unwrap_err(), &["restoring snapshot", "failed: No such repository."]);
}
