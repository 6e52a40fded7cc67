//! Tests the decisions about bytes on their way, with a clock of numbers.

use proptest::prelude::*;

use super::*;

const CLEAR: Conditions = Conditions {
    latency: Duration::ZERO,
    jitter: Duration::ZERO,
    bandwidth: None,
    reset: None,
    black_hole: false,
    severed: 0,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn lane() -> Lane {
    Lane::new(1, CLEAR)
}

fn bandwidth(bytes: u64) -> Conditions {
    Conditions { bandwidth: NonZeroU64::new(bytes), ..CLEAR }
}

fn reset(bytes: u64, number: u64) -> Conditions {
    Conditions { reset: Some(ResetAfter { bytes, number }), ..CLEAR }
}

fn delivered(bytes: usize) -> Step {
    Step::Deliver { bytes, held: None }
}

fn held(bytes: usize, time: Duration) -> Step {
    Step::Deliver { bytes, held: Some(Held { bytes, time }) }
}

/// Goes on by the lane's own times, from `now` on, and lists when how many bytes arrived, and how it ended.
fn drain(lane: &mut Lane, mut now: Moment, conditions: &Conditions) -> (Vec<(Moment, usize)>, Step) {
    let mut all = Vec::new();
    loop {
        match lane.next(now, conditions) {
            Step::Deliver { bytes, .. } => all.push((now, bytes)),
            Step::WaitUntil(until) => {
                assert!(until > now, "waits for {until:?} at {now:?}");
                now = until;
            }
            last => return (all, last),
        }
    }
}

#[test]
fn without_faults_everything_goes_on_at_once_in_order() {
    let mut lane = lane();
    assert_eq!(lane.next(ms(0), &CLEAR), Step::Wait);
    lane.push(3, ms(1));
    lane.push(5, ms(1));
    lane.finish(End::Close, ms(1));
    for step in [delivered(3), delivered(5), Step::End(End::Close)] {
        assert_eq!(lane.next(ms(1), &CLEAR), step);
    }
}

#[test]
fn latency_holds_each_chunk_and_the_end() {
    let slow = Conditions { latency: ms(200), ..CLEAR };
    let mut lane = lane();
    lane.push(3, ms(10));
    assert_eq!(lane.next(ms(10), &slow), Step::WaitUntil(ms(210)));
    lane.push(4, ms(50));
    lane.finish(End::Reset, ms(60));
    assert_eq!(lane.next(ms(209), &slow), Step::WaitUntil(ms(210)));
    assert_eq!(lane.next(ms(211), &slow), held(3, ms(201)));
    assert_eq!(lane.next(ms(211), &slow), Step::WaitUntil(ms(250)));
    assert_eq!(lane.next(ms(250), &slow), held(4, ms(200)));
    assert_eq!(lane.next(ms(250), &slow), Step::WaitUntil(ms(260)));
    assert_eq!(lane.next(ms(260), &slow), Step::End(End::Reset));
}

#[test]
fn a_fault_that_is_lifted_lets_go_of_what_it_held() {
    let mut lane = lane();
    lane.push(3, ms(0));
    let slow = Conditions { latency: ms(1000), ..CLEAR };
    assert_eq!(lane.next(ms(0), &slow), Step::WaitUntil(ms(1000)));
    assert_eq!(lane.next(ms(20), &CLEAR), held(3, ms(20)));
    lane.push(3, ms(30));
    assert_eq!(lane.next(ms(30), &CLEAR), delivered(3), "it waited for nothing");
}

#[test]
fn jitter_adds_up_to_itself_keeps_the_order_and_is_the_same_for_the_same_seed() {
    let shaky = Conditions { latency: ms(100), jitter: ms(50), ..CLEAR };
    let arrivals = |seed| {
        let mut lane = Lane::new(seed, CLEAR);
        (0..100).for_each(|_| lane.push(1, ms(0)));
        let parts: Vec<f64> = lane.on_the_way.iter().map(|chunk| chunk.part).collect();
        (drain(&mut lane, ms(0), &shaky).0, parts)
    };
    let ((one, parts), (same, _), (other, _)) = (arrivals(1), arrivals(1), arrivals(2));
    assert_eq!(one.len(), 100);
    assert!(one.is_sorted() && one.iter().all(|(at, _)| (ms(100)..=ms(150)).contains(at)), "{one:?}");
    let mean = parts.iter().sum::<f64>() / 100.0;
    assert!((0.4..0.6).contains(&mean), "{mean}");
    assert_eq!(one, same);
    assert_ne!(one, other);
}

#[test]
fn a_chunk_draws_the_same_part_whether_or_not_there_is_jitter_before() {
    let first_and_second = |conditions: &Conditions| {
        let mut lane = Lane::new(7, CLEAR);
        lane.push(1, ms(0));
        drain(&mut lane, ms(0), conditions);
        lane.push(1, ms(1000));
        lane.on_the_way[0].part
    };
    assert_eq!(first_and_second(&CLEAR), first_and_second(&Conditions { jitter: ms(5), ..CLEAR }));
}

#[test]
fn bandwidth_carries_so_many_bytes_a_second_in_pieces() {
    let slow = bandwidth(1000);
    let mut lane = lane();
    lane.push(1000, ms(0));
    lane.push(500, ms(0));
    let (all, _) = drain(&mut lane, ms(0), &slow);
    assert_eq!(all.iter().map(|(_, bytes)| bytes).sum::<usize>(), 1500);
    assert_eq!((all[0], *all.last().unwrap()), ((ms(50), 50), (ms(1500), 50)));
}

#[test]
fn a_line_that_was_idle_has_saved_nothing_up() {
    let slow = bandwidth(1000);
    let mut lane = lane();
    lane.push(100, ms(0));
    assert_eq!(drain(&mut lane, ms(0), &slow).0.last(), Some(&(ms(100), 50)));
    lane.push(100, ms(5000));
    assert_eq!(drain(&mut lane, ms(5000), &slow).0, [(ms(5050), 50), (ms(5100), 50)]);
}

#[test]
fn a_late_timer_costs_no_bandwidth_and_a_receiver_that_stalls_earns_none() {
    let slow = bandwidth(1000);
    let mut lane = lane();
    lane.push(10_000, ms(0));
    assert_eq!(lane.next(ms(0), &slow), Step::WaitUntil(ms(50)));
    assert_eq!(lane.next(ms(70), &slow), delivered(50));
    assert_eq!(lane.next(ms(70), &slow), Step::WaitUntil(ms(100)), "counted from the time that it was due");
    assert_eq!(lane.next(ms(5000), &slow), delivered(50));
    assert_eq!(lane.next(ms(5000), &slow), delivered(50), "one piece, as after a late timer");
    assert_eq!(lane.next(ms(5000), &slow), Step::WaitUntil(ms(5050)));
}

#[test]
fn a_black_hole_is_no_time_in_which_a_line_carries_something() {
    let mut lane = lane();
    lane.push(1000, ms(0));
    let hole = Conditions { black_hole: true, ..bandwidth(1000) };
    assert_eq!(lane.next(ms(0), &hole), Step::Wait);
    assert_eq!(lane.next(ms(60_000), &bandwidth(1000)), Step::WaitUntil(ms(60_050)));
}

#[test]
fn bandwidth_may_be_one_byte_or_more_than_there_is() {
    let mut lane = lane();
    lane.push(2, ms(0));
    assert_eq!(drain(&mut lane, ms(0), &bandwidth(1)).0, [(ms(1000), 1), (ms(2000), 1)]);
    lane.push(1 << 20, ms(3000));
    let (all, _) = drain(&mut lane, ms(3000), &bandwidth(u64::MAX));
    assert_eq!(all, [(ms(3000), 1 << 20)]);
}

#[test]
fn a_reset_comes_after_exactly_so_many_bytes() {
    let mut lane = lane();
    lane.push(6, ms(0));
    lane.push(6, ms(0));
    let broken = reset(10, 1);
    assert_eq!(lane.next(ms(0), &broken), delivered(6));
    assert_eq!(lane.next(ms(0), &broken), delivered(4));
    assert_eq!(lane.next(ms(0), &broken), Step::Reset { after: 10 });
}

#[test]
fn a_reset_counts_from_when_it_is_set_and_anew_when_it_is_set_again() {
    let mut lane = lane();
    lane.push(100, ms(0));
    assert_eq!(lane.next(ms(0), &CLEAR), delivered(100));
    lane.push(9, ms(0));
    assert_eq!(lane.next(ms(0), &reset(10, 1)), delivered(9));
    lane.push(9, ms(0));
    assert_eq!(lane.next(ms(0), &reset(10, 2)), delivered(9));
    lane.push(9, ms(0));
    assert_eq!(lane.next(ms(0), &reset(10, 2)), delivered(1));
    assert_eq!(lane.next(ms(0), &reset(10, 2)), Step::Reset { after: 10 });
}

#[test]
fn connections_that_are_severed_are_reset_even_when_that_is_lifted_before_anyone_looks() {
    let severed = Conditions { severed: 1, black_hole: true, ..CLEAR };
    let mut open = lane();
    assert_eq!(open.next(ms(0), &severed), Step::Reset { after: 0 });
    let mut open = lane();
    assert_eq!(open.next(ms(0), &severed.cleared()), Step::Reset { after: 0 });
    let mut made_later = Lane::new(1, severed.cleared());
    assert_eq!(made_later.next(ms(0), &severed.cleared()), Step::Wait);
}

#[test]
fn a_black_hole_holds_everything_and_takes_no_more_than_fits() {
    let hole = Conditions { black_hole: true, ..CLEAR };
    let mut lane = lane();
    lane.push(3, ms(0));
    lane.finish(End::Close, ms(0));
    assert_eq!(lane.next(ms(0), &hole), Step::Wait);
    assert_eq!(lane.next(ms(100_000), &hole), Step::Wait);
    assert_eq!(lane.next(ms(100_001), &CLEAR), held(3, ms(100_001)));
    assert_eq!(lane.next(ms(100_001), &CLEAR), Step::End(End::Close));
}

#[test]
fn the_sender_waits_while_too_much_is_on_the_way() {
    let mut lane = lane();
    assert_eq!(lane.room(), WINDOW);
    lane.push(WINDOW, ms(0));
    assert_eq!(lane.room(), 0);
    lane.next(ms(0), &CLEAR);
    assert_eq!(lane.room(), WINDOW);
    (0..CHUNKS).for_each(|_| lane.push(1, ms(0)));
    assert_eq!(lane.room(), 0);
    lane.next(ms(0), &CLEAR);
    assert_eq!(lane.room(), WINDOW - CHUNKS + 1);
    lane.finish(End::Close, ms(0));
    assert_eq!(lane.room(), 0, "nothing comes after the end");
}

#[test]
fn times_beyond_all_clocks_do_no_harm() {
    let forever = Conditions { latency: Duration::MAX, jitter: Duration::from_secs(3600), ..bandwidth(1) };
    let mut lane = lane();
    lane.push(usize::MAX >> 1, ms(1));
    assert_eq!(lane.next(ms(1), &forever), Step::WaitUntil(Duration::MAX));
}

/// An event in the life of a lane.
#[derive(Clone, Debug)]
enum Happens {
    Push(usize),
    Pass(u64),
    Set(Conditions),
}

fn anything() -> impl Strategy<Value = Happens> {
    let conditions = (0..300_u64, 0..100_u64, proptest::option::of(1..100_000_u64), any::<bool>()).prop_map(
        |(latency, jitter, bandwidth, black_hole)| Conditions {
            latency: ms(latency),
            jitter: ms(jitter),
            bandwidth: bandwidth.and_then(NonZeroU64::new),
            black_hole,
            ..CLEAR
        },
    );
    prop_oneof![
        (1..500_usize).prop_map(Happens::Push),
        (0..500_u64).prop_map(Happens::Pass),
        conditions.prop_map(Happens::Set),
    ]
}

proptest! {
    /// Whatever is set and lifted meanwhile: no byte is lost or made, none is earlier than the latency that holds while
    /// it arrives, and once all faults are lifted, all arrives at once.
    #[test]
    fn bytes_are_neither_lost_nor_early(happens in proptest::collection::vec(anything(), 1..60)) {
        let (mut lane, mut conditions, mut now) = (lane(), CLEAR, ms(0));
        let (mut pushed, mut arrived) = (Vec::new(), 0);
        for one in happens {
            match one {
                Happens::Push(bytes) => {
                    lane.push(bytes, now);
                    pushed.extend(std::iter::repeat_n(now, bytes));
                }
                Happens::Pass(time) => now += ms(time),
                Happens::Set(set) => conditions = set,
            }
            while let Step::Deliver { bytes, .. } = lane.next(now, &conditions) {
                prop_assert!(!conditions.black_hole && bytes > 0);
                for entered in &pushed[arrived..arrived + bytes] {
                    prop_assert!(now >= *entered + conditions.latency);
                }
                arrived += bytes;
            }
            prop_assert!(arrived <= pushed.len());
        }
        lane.finish(End::Close, now);
        let (all, last) = drain(&mut lane, now, &CLEAR);
        prop_assert!(all.iter().all(|(at, _)| *at == now));
        prop_assert_eq!(arrived + all.iter().map(|(_, bytes)| bytes).sum::<usize>(), pushed.len());
        prop_assert_eq!(last, Step::End(End::Close));
        prop_assert_eq!(lane.bytes_on_the_way, 0);
    }

    /// However late timers are and whenever bytes come: in no span of time does a line carry more than its bandwidth
    /// and two pieces.
    #[test]
    fn a_line_never_carries_more_than_its_bandwidth(
        bandwidth_of in 100..1_000_000_u64,
        steps in proptest::collection::vec((0..20_000_usize, 0..400_u64), 1..60),
    ) {
        let conditions = bandwidth(bandwidth_of);
        let (mut lane, mut now, mut carried) = (lane(), ms(0), Vec::<(Moment, usize)>::new());
        for (bytes, pause) in steps {
            if bytes > 0 {
                lane.push(bytes, now);
            }
            now += ms(pause);
            while let Step::Deliver { bytes, .. } = lane.next(now, &conditions) {
                carried.push((now, bytes));
            }
        }
        let piece = carried_in(PIECE, NonZeroU64::new(bandwidth_of).unwrap());
        for (index, (from, _)) in carried.iter().enumerate() {
            let mut sum = 0;
            for (until, bytes) in &carried[index..] {
                sum += bytes;
                let may = bandwidth_of as f64 * (*until - *from).as_secs_f64() + 3.0 * piece as f64;
                prop_assert!(sum as f64 <= may + 1.0, "{sum} bytes in {:?}, at {bandwidth_of}/s", *until - *from);
            }
        }
    }
}
