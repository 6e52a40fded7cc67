//! Every order in which the events of an overlap can come.

use super::*;

const INT: i32 = 2;
const TERM: i32 = 15;

fn keys() -> News {
    News::Signal(Arrived { signal: INT, from_terminal: true })
}

fn sent(signal: i32) -> News {
    News::Signal(Arrived { signal, from_terminal: false })
}

/// Returns the steps for these events.
fn steps(builds: bool, news: &[News]) -> Vec<Step> {
    let mut overlap = Overlap::new(builds);
    news.iter().map(|one| overlap.on(*one)).collect()
}

#[test]
fn the_command_runs_once_both_are_done() {
    let [waits, acquired, built] = [News::Waits, News::Acquired, News::Built(0)];
    assert_eq!(steps(true, &[waits, built, acquired]), [Step::StartBuild, Step::Show, Step::Run]);
    assert_eq!(steps(true, &[waits, acquired, built]), [Step::StartBuild, Step::Wait, Step::Run]);
}

#[test]
fn a_build_starts_once_and_only_if_there_is_something_to_wait_for() {
    assert_eq!(steps(true, &[News::Acquired]), [Step::Run]);
    assert_eq!(steps(true, &[News::NotAcquired]), [Step::Refuse]);
    assert_eq!(steps(true, &[News::Waits; 3]), [Step::StartBuild, Step::Wait, Step::Wait]);
    assert_eq!(steps(false, &[News::Waits, News::Waits, News::Acquired]), [Step::Wait, Step::Wait, Step::Run]);
}

#[test]
fn a_build_that_fails_ends_the_session_with_its_code() {
    assert_eq!(steps(true, &[News::Waits, News::Built(101)]), [Step::StartBuild, Step::End(101)]);
    let late = steps(true, &[News::Waits, News::Acquired, News::Built(127)]);
    assert_eq!(late, [Step::StartBuild, Step::Wait, Step::End(127)]);
}

#[test]
fn a_cluster_that_is_refused_late_is_told_at_once_and_reported_after_the_build() {
    for code in [0, 101] {
        let all = steps(true, &[News::Waits, News::NotAcquired, News::Built(code)]);
        assert_eq!(all, [Step::StartBuild, Step::Warn, Step::Refuse]);
    }
    let after = steps(true, &[News::Waits, News::Built(0), News::NotAcquired]);
    assert_eq!(after, [Step::StartBuild, Step::Show, Step::Refuse]);
    // The user ended the build and knows.
    let ended = steps(true, &[News::Waits, keys(), News::NotAcquired, News::Built(130)]);
    assert_eq!(ended, [Step::StartBuild, Step::Wait, Step::Wait, Step::Refuse]);
}

#[test]
fn a_signal_during_the_build_is_the_builds() {
    assert_eq!(
        steps(true, &[News::Waits, sent(TERM), sent(INT), keys(), News::Built(143)]),
        [Step::StartBuild, Step::PassOn(TERM), Step::PassOn(INT), Step::Wait, Step::End(143)]
    );
    // It had succeeded just before, or took no notice. The command is not started all the same.
    for acquired in [&[][..], &[News::Acquired]] {
        let news = [&[News::Waits, keys()], acquired, &[News::Built(0)]].concat();
        assert_eq!(steps(true, &news).last(), Some(&Step::End(130)));
    }
}

#[test]
fn a_signal_while_only_the_cluster_is_waited_for_ends_the_wait() {
    assert_eq!(steps(false, &[keys()]), [Step::Interrupt(INT)]);
    assert_eq!(steps(true, &[sent(TERM)]), [Step::Interrupt(TERM)]);
    let late = steps(true, &[News::Waits, News::Built(0), keys()]);
    assert_eq!(late, [Step::StartBuild, Step::Show, Step::Interrupt(INT)]);
}

/// Adds to `all` every order of events that can come: a build ends after it has started, once, and so on.
fn orders(so_far: &mut Vec<News>, overlap: &Overlap, check: &mut dyn FnMut(&[News], Step, bool)) {
    let runs = overlap.build == Build::Runs;
    let signals = so_far.iter().filter(|news| matches!(news, News::Signal(_))).count();
    let mut next = vec![News::Waits];
    if overlap.cluster == Cluster::Awaited {
        next.extend([News::Acquired, News::NotAcquired]);
    }
    if runs {
        next.extend([News::Built(0), News::Built(101), News::Built(130)]);
    }
    if signals < 2 {
        next.extend([keys(), sent(INT), sent(TERM)]);
    }
    // The first step is heard any number of times, and changes nothing after the first.
    if so_far.iter().filter(|news| matches!(news, News::Waits)).count() > 1 {
        next.remove(0);
    }
    for news in next {
        let mut overlap = overlap.clone();
        so_far.push(news);
        let step = overlap.on(news);
        check(so_far, step, overlap.build == Build::Runs);
        if !matches!(step, Step::Run | Step::End(_) | Step::Refuse | Step::Interrupt(_)) {
            orders(so_far, &overlap, check);
        }
        so_far.pop();
    }
}

#[test]
fn in_every_order_the_end_comes_after_the_build_and_fits_what_happened() {
    let mut ends = 0;
    for builds in [true, false] {
        orders(&mut Vec::new(), &Overlap::new(builds), &mut |news, step, runs| {
            let any = |wanted: fn(&News) -> bool| news.iter().any(wanted);
            let signalled = any(|news| matches!(news, News::Signal(_)));
            let failed = any(|news| matches!(news, News::Built(1..)));
            let (here, refused) =
                (any(|news| matches!(news, News::Acquired)), any(|news| matches!(news, News::NotAcquired)));
            let last = matches!(step, Step::Run | Step::End(_) | Step::Refuse | Step::Interrupt(_));
            ends += usize::from(last);
            assert!(!(runs && (last || step == Step::Show)), "{step:?} while the build runs: {news:?}");
            match step {
                Step::Run => assert!(here && !signalled && !failed, "{news:?}"),
                Step::End(code) => assert!(code != 0 && (failed || signalled) && !refused, "{code}: {news:?}"),
                Step::Refuse => assert!(refused, "{news:?}"),
                Step::Interrupt(_) => assert!(signalled && !refused && !failed, "{news:?}"),
                Step::PassOn(_) | Step::Warn => assert!(runs, "{news:?}"),
                Step::StartBuild => assert!(runs && builds && !signalled && !here && !refused, "{news:?}"),
                Step::Show => assert!(!here && !refused && !signalled, "{news:?}"),
                // Nothing that ends the wait is left to be heard only if there is nothing to hear.
                Step::Wait => assert!(runs || !(here || refused || signalled), "{news:?}"),
            }
        });
    }
    assert!(ends > 500, "{ends}");
}

#[test]
fn one_line_tells_what_was_waited_for() {
    let after = told(Duration::from_millis(44_300), Duration::from_millis(300), Duration::from_millis(41_500));
    assert_eq!(after, "is ready after 44.3 s: 2.8 s after the build, which took 41.2 s");
    let before = told(Duration::from_millis(12_340), Duration::from_millis(300), Duration::from_millis(41_500));
    assert_eq!(before, "is ready: the cluster was there after 12.3 s, the build took 41.2 s");
    assert!(told(Duration::ZERO, Duration::from_secs(1), Duration::ZERO).contains("took 0.0 s"));
}
