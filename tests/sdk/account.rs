//! Calls every method of the client against the simulator, and reads answers that no real API gives.

use cratedb_cloud_simulator::ClusterOptions;
use cratedb_test::cloud::Client;
use cratedb_test::cloud::model::{Cidr, Deployment, NewCluster, OperationFilter};
use serde_json::json;

use crate::script::{Say, Server};
use crate::support::{Bench, says};

#[tokio::test]
async fn every_read_of_an_account_is_understood() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let client = bench.client();
    let user = client.me().await.unwrap();
    assert!(!user.email.is_empty() && !user.uid.is_empty());
    let organization = client.organizations().await.unwrap().remove(0);
    assert_eq!(client.organization(&organization.id).await.unwrap().name, organization.name);
    assert!(!client.quotas(&organization.id).await.unwrap().is_empty());
    let project = client.projects().await.unwrap().remove(0);
    assert_eq!(project.organization_id, organization.id);
    assert_eq!(client.projects_of(&organization.id).await.unwrap()[0].id, project.id);
    assert_eq!(client.project(&project.id).await.unwrap().region, project.region);
    let subscription = client.subscriptions().await.unwrap().remove(0);
    assert!(!client.subscriptions_of(&organization.id).await.unwrap().is_empty());
    assert_eq!(client.subscription(&subscription.id).await.unwrap().id, subscription.id);
    assert!(client.products(Some("cluster")).await.unwrap().iter().any(|product| product.name == "cr1"));
    assert!(
        !client.regions().await.unwrap().is_empty() && !client.regions_of(&organization.id).await.unwrap().is_empty()
    );
    assert!(!client.meta().await.unwrap().crate_versions.stable.is_empty());
    assert!(client.jwk().await.unwrap()["keys"].is_array());
    assert!(client.files(&organization.id).await.unwrap().is_empty());

    let cluster = client.clusters().await.unwrap().remove(0);
    assert_eq!((cluster.name.as_str(), cluster.num_nodes), ("ci", 1));
    assert!(cluster.fqdn.ends_with('.') && cluster.hardware_specs.is_some() && !cluster.crate_version.is_empty());
    assert_eq!(client.clusters_of(&organization.id).await.unwrap()[0].id, cluster.id);
    assert_eq!(client.clusters_in(&cluster.project_id).await.unwrap()[0].id, cluster.id);
    assert!(!client.available_products(&cluster.id).await.unwrap().is_empty());
    client.available_upgrades(&cluster.id).await.unwrap();
    let operations = client.operations(&cluster.id, &OperationFilter::newest(1)).await.unwrap();
    assert!(operations.len() <= 1);
    let jwt = client.jwt(&cluster.id).await.unwrap();
    assert!(jwt.expires().is_some());
    let fresh = client.refresh_jwt(jwt.refresh()).await.unwrap();
    assert!(!fresh.token().is_empty());
    assert!(client.export_jobs(&cluster.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_is_made_can_be_changed_and_removed() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let client = bench.client();
    let key = client.create_api_key().await.unwrap();
    assert!(key.secret().is_some_and(|secret| !secret.is_empty()) && !key.key.is_empty());
    assert!(!client.set_api_key_active(&key.key, false).await.unwrap().active);
    assert!(client.api_keys().await.unwrap().iter().any(|other| other.key == key.key && other.secret().is_none()));
    client.delete_api_key(&key.key).await.unwrap();

    let organization = client.create_organization("Team C").await.unwrap();
    client.rename_organization(&organization.id, "Team D").await.unwrap();
    let project = client.create_project(&organization.id, "ci", Some("eks1.eu-west-1.aws")).await.unwrap();
    assert_eq!(client.rename_project(&project.id, "cd").await.unwrap().name, "cd");
    client.delete_project(&project.id).await.unwrap();
    assert!(client.project(&project.id).await.unwrap_err().is_not_found());
    let file = client.create_file(&organization.id, "a.csv").await.unwrap();
    assert_eq!(client.file(&organization.id, &file.id).await.unwrap().name, "a.csv");
    client.delete_file(&organization.id, &file.id).await.unwrap();
    client.delete_organization(&organization.id).await.unwrap();
}

#[tokio::test]
async fn a_cluster_is_changed_in_every_way() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let (client, cluster) = (bench.client(), bench.ci());
    let id = cluster.info().await.unwrap().id;
    async fn done(cluster: &cratedb_test::ManagedCluster, answer: cratedb_test::cloud::model::ClusterInfo) {
        cluster.follow(&answer.last_async_operation.unwrap().id).await.unwrap();
    }
    let allowed = [Cidr::new("127.0.0.0/8").described("this machine")];
    done(&cluster, client.set_ip_restrictions(&id, &allowed).await.unwrap()).await;
    assert_eq!(cluster.info().await.unwrap().ip_whitelist, allowed);
    done(&cluster, client.set_backup_schedule(&id, "2,4,6").await.unwrap()).await;
    done(&cluster, client.change_product(&id, "cr2").await.unwrap()).await;
    assert_eq!(cluster.info().await.unwrap().product_name, "cr2");
    done(&cluster, client.change_password(&id, "a-password-of-more-than-24-letters").await.unwrap()).await;
    client.restart_node(&id, 0).await.unwrap();
    let error = client.change_password(&id, "too-short-a-password").await.unwrap_err();
    assert_eq!(error.status(), Some(400));
    assert!(!error.to_string().contains("too-short-a-password"), "{error}");
}

#[tokio::test]
async fn an_api_key_is_read_nested_and_flat() {
    for body in [
        json!({ "key": { "key": "k", "active": true }, "secret": "s", "success": true }),
        json!({ "key": "k", "active": true, "secret": "s" }),
    ] {
        let server = Server::new(move |_| Say::ok(&body));
        let client = Client::builder().env(false).endpoint(&server.url).api_key("a", "b").build().unwrap();
        let key = client.create_api_key().await.unwrap();
        assert_eq!((key.key.as_str(), key.secret(), key.active), ("k", Some("s"), true));
    }
}

#[tokio::test]
async fn a_page_with_status_200_is_no_answer() {
    let server = Server::new(|_| Say::text("200 OK", "<html>Please log in</html>"));
    let client = Client::builder().env(false).endpoint(&server.url).api_key("a", "b").build().unwrap();
    says(client.clusters().await.unwrap_err(), &["answered GET /api/v2/clusters/ strangely", "Please log in"]);
    says(client.set_suspended("c", true).await.unwrap_err(), &["answered PUT /api/v2/clusters/c/suspend/ strangely"]);
}

#[tokio::test]
async fn an_answer_that_may_hold_a_secret_is_not_shown_when_it_is_strange() {
    let server = Server::new(|_| Say::ok(json!({ "token": "geheim-token", "expiry": 5, "key": ["geheim-key"] })));
    let client = Client::builder().env(false).endpoint(&server.url).api_key("a", "b").build().unwrap();
    for error in [
        client.jwt("c").await.unwrap_err(),
        client.refresh_jwt("r").await.unwrap_err(),
        client.create_api_key().await.unwrap_err(),
    ] {
        says(&error, &["strangely"]);
        assert!(!error.to_string().contains("geheim"), "{error}");
    }
}

#[tokio::test]
async fn a_deployment_that_is_refused_with_its_password_does_not_show_it() {
    let server = Server::new(|asked| Say::json("400 Bad Request", json!({ "message": asked.body })));
    let client = Client::builder().env(false).endpoint(&server.url).api_key("a", "b").build().unwrap();
    let cluster = NewCluster::new("ci", "6.4.3", "cr1", "admin", "geheim-password-of-24-letters");
    let error = client.deploy("o", &Deployment::new(cluster, "s").in_project("p")).await.unwrap_err();
    assert_eq!((error.status(), error.message().unwrap().contains("geheim")), (Some(400), false));
    assert!(!error.to_string().contains("geheim"), "{error}");
}

#[tokio::test]
async fn nothing_is_asked_for_a_thing_without_an_id() {
    let server = Server::new(|_| Say::ok("[]"));
    let client = Client::builder().env(false).endpoint(&server.url).api_key("a", "b").build().unwrap();
    for error in [client.delete_cluster("").await.unwrap_err(), client.delete_cluster("..").await.unwrap_err()] {
        assert!(error.is_usage());
    }
    client.delete_cluster("a/b?c").await.unwrap();
    assert_eq!(server.asked().len(), 1);
    assert_eq!(server.asked()[0].path, "/api/v2/clusters/a%2Fb%3Fc/");
}

#[test]
fn futures_can_be_awaited_without_any_runtime() {
    let server = Server::new(|_| Say::ok(json!([{ "id": "c" }])));
    let client = Client::builder().env(false).endpoint(&server.url).api_key("a", "b").build().unwrap();
    let clusters = cratedb_test::blocking::wait(async { client.clusters().await });
    assert_eq!(clusters.unwrap()[0].id, "c");
    fn can_be_sent<T: Send>(_: &T) {}
    can_be_sent(&client.clusters());
    let cluster = cratedb_test::ManagedCluster::builder().env(false).client(client).cluster_name("c").build().unwrap();
    can_be_sent(&cluster.start());
    can_be_sent(&cluster.clone().run(|cluster| async move { cluster.execute("SELECT 1").await }));
}
