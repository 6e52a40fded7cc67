//! Several keepers on one cluster, each of another machine.

use tokio::sync::mpsc::UnboundedReceiver;

use super::*;
use crate::sharing::News;
use crate::sharing::Turns;

/// A keeper with a lease of its own, and the news that it hears.
struct Keeper {
    provider: Provider,
    news: UnboundedReceiver<News>,
}

impl Keeper {
    fn new(bench: &Bench, id: &str) -> Self {
        let (sender, news) = mpsc::unbounded_channel();
        let hear = Arc::new(move |news| {
            let _ = sender.send(news);
        });
        let member = Member { id: id.to_owned(), session: format!("run of {id}"), hear };
        let provider = Provider::chain(&Target::Cloud(Box::new(bench.target.clone()))).unwrap();
        Self { provider: provider.shared_by(member), news }
    }

    async fn acquire(&self, bench: &Bench) -> Resource {
        bench.acquire_with(&self.provider).await.unwrap()
    }

    async fn release(&self, bench: &Bench, resource: &Resource) -> Released {
        self.provider.release(&resource.held, OnExit::Auto, &bench.progress).await.unwrap()
    }

    /// Waits until these tests may begin. Returns the number of the news.
    async fn may_begin(&mut self, awaited: Turns) -> u64 {
        loop {
            match self.news.recv().await.unwrap() {
                News::Turns { turns, number, .. } if turns == awaited => return number,
                _ => {}
            }
        }
    }
}

/// Returns the statements about leases since the first `from` requests.
fn about_leases(bench: &Bench, from: usize) -> Vec<String> {
    let all = bench.simulator.requests().into_iter().skip(from);
    all.filter_map(|one| one.body["stmt"].as_str().map(str::to_owned)).filter(|one| one.contains(".lease")).collect()
}

#[tokio::test]
async fn the_last_one_suspends_whoever_resumed() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let (one, two) = (Keeper::new(&bench, "one"), Keeper::new(&bench, "two"));
    let first = one.acquire(&bench).await;
    let second = two.acquire(&bench).await;
    assert_eq!((first.ours, second.ours), (Ours::Resumed, Ours::Resumed));
    assert!(!first.held.is_shared() && second.held.is_shared());
    let Released::Left(line) = one.release(&bench, &first).await else { panic!("it is suspended") };
    says(line, &["cluster `ci` (", "in use by", "(run of two)"]);
    assert_eq!((bench.resumes(), bench.suspends()), (1, 0));
    assert_eq!(two.release(&bench, &second).await, Released::Suspended);
    assert_eq!((bench.resumes(), bench.suspends()), (1, 1));
}

#[tokio::test]
async fn a_cluster_that_was_found_running_is_left_by_all() {
    let bench = Bench::with(ClusterOptions::running("ci")).await;
    let (one, two) = (Keeper::new(&bench, "one"), Keeper::new(&bench, "two"));
    let (first, second) = (one.acquire(&bench).await, two.acquire(&bench).await);
    assert_eq!((first.ours, second.ours), (Ours::No, Ours::No));
    for (keeper, resource) in [(&one, &first), (&two, &second)] {
        let Released::Left(line) = keeper.release(&bench, resource).await else { panic!("it is suspended") };
        says(line, &["was running before"]);
    }
    assert_eq!(bench.suspends(), 0);
}

#[tokio::test]
async fn an_acquisition_takes_two_statements_and_a_suspension_one() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let keeper = Keeper::new(&bench, "one");
    let first = keeper.acquire(&bench).await;
    assert_eq!(keeper.release(&bench, &first).await, Released::Suspended);
    let before = bench.simulator.requests().len();
    let again = keeper.acquire(&bench).await;
    let asked = about_leases(&bench, before);
    assert!(
        matches!(&asked[..], [read, write] if read.starts_with("SELECT") && write.starts_with("UPDATE")),
        "{asked:?}"
    );
    let before = bench.simulator.requests().len();
    assert_eq!(keeper.release(&bench, &again).await, Released::Suspended);
    let asked = about_leases(&bench, before);
    assert!(matches!(&asked[..], [write] if write.starts_with("UPDATE")), "{asked:?}");
    assert_eq!((bench.resumes(), bench.suspends()), (2, 2));
}

#[tokio::test]
async fn a_keeper_that_wants_to_be_alone_waits_until_the_others_are_quiet() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let (mut one, mut two) = (Keeper::new(&bench, "one"), Keeper::new(&bench, "two"));
    let _held = (one.acquire(&bench).await, two.acquire(&bench).await);
    one.may_begin(Turns::Shared).await;
    two.may_begin(Turns::Shared).await;
    one.provider.want_alone(true, 1);
    let number = two.may_begin(Turns::None).await;
    let mut three = Keeper::new(&bench, "three");
    let _held = three.acquire(&bench).await;
    three.may_begin(Turns::None).await;
    two.provider.quiet(number);
    one.may_begin(Turns::Alone).await;
    one.provider.want_alone(false, 2);
    two.may_begin(Turns::Shared).await;
}

#[tokio::test]
async fn a_cluster_that_can_have_no_leases_is_used_as_by_one_machine_and_says_so() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let mut keeper = Keeper::new(&bench, "one");
    let first = keeper.acquire(&bench).await;
    let sql =
        crate::sql::SqlClient::new(&first.http_url, None, crate::sql::Wallet::new(first.credentials.clone())).unwrap();
    keeper.release(&bench, &first).await;
    bench.cloud().foreign_resume("ci", cratedb_cloud_simulator::Pace::Auto(Duration::ZERO));
    bench.acquire().await.unwrap();
    for stmt in ["DROP TABLE cratedb_test.lease", "CREATE TABLE cratedb_test.lease (id INTEGER PRIMARY KEY)"] {
        sql.send(stmt, &[]).await.unwrap();
    }
    bench.cloud().foreign_suspend("ci", cratedb_cloud_simulator::Pace::Auto(Duration::ZERO));
    let resource = keeper.acquire(&bench).await;
    assert_eq!(resource.ours, Ours::Resumed);
    assert_eq!(keeper.release(&bench, &resource).await, Released::Suspended);
    let mut lines = 0;
    while let Ok(news) = keeper.news.try_recv() {
        if let News::Line(line) = news {
            says(line, &["can't be written", "other machines do not see"]);
            lines += 1;
        }
    }
    assert_eq!(lines, 1);
}

#[tokio::test]
async fn a_cluster_whose_suspension_was_refused_is_joined_and_suspended_again() {
    let bench = Bench::with(ClusterOptions::suspended("ci")).await;
    let keeper = Keeper::new(&bench, "one");
    let first = keeper.acquire(&bench).await;
    bench.cloud().fault(cratedb_cloud_simulator::Fault::on("PUT", "/suspend/").status(403).always());
    keeper.provider.release(&first.held, OnExit::Auto, &bench.progress).await.unwrap_err();
    bench.cloud().clear_faults();
    let again = keeper.acquire(&bench).await;
    assert_eq!(again.ours, Ours::Resumed);
    assert_eq!(keeper.release(&bench, &again).await, Released::Suspended);
}
