//! What is decided in each situation, and random histories against a small model of the world.

use super::*;

const SET: &str = "a";

fn client(id: u64) -> ClientId {
    ClientId(id)
}

/// A set whose text is known, with one test of it running since `0`.
fn known() -> Prepared {
    let mut prepared = Prepared::default();
    prepared.open();
    assert_eq!(prepared.begin(0, client(1), AttemptId(1), SET), Turn { schema: None, wants: true });
    assert!(prepared.knows(SET));
    prepared
}

/// Makes whatever it wants made.
fn fill(prepared: &mut Prepared, now: Millis, made: Made) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((_, name)) = prepared.next(now, || format!("{now}_{}", names.len())) {
        prepared.made(now, &name, made);
        names.push(name);
    }
    names
}

const READY: Made = Made::Ready { measured: true };

#[test]
fn the_text_is_asked_of_one_process_and_of_another_only_if_that_is_gone() {
    let mut prepared = Prepared::default();
    prepared.open();
    let wants = |prepared: &mut Prepared, id| prepared.begin(0, client(id), AttemptId(1), SET).wants;
    assert!(wants(&mut prepared, 1));
    assert!(!wants(&mut prepared, 2));
    prepared.leave(0, client(2));
    assert!(!wants(&mut prepared, 3));
    prepared.leave(0, client(1));
    assert!(wants(&mut prepared, 4));
    assert!(prepared.next(0, || "early".into()).is_none());
    assert!(prepared.knows(SET) && !prepared.knows(SET) && !prepared.knows("unheard of"));
    assert!(!wants(&mut prepared, 5));
}

#[test]
fn nothing_is_made_while_dropping_lags_behind() {
    let mut prepared = known();
    prepared.dropping(3);
    assert!(fill(&mut prepared, 1, READY).is_empty());
    prepared.dropping(2);
    assert_eq!(fill(&mut prepared, 2, READY).len(), 4);
}

#[test]
fn as_many_are_kept_as_tests_run_at_once_and_two_more() {
    let mut prepared = known();
    assert_eq!(fill(&mut prepared, 1, READY).len(), 4);
    for id in 2..=9 {
        prepared.begin(2, client(id), AttemptId(1), SET);
    }
    // Four of the nine took one.
    assert_eq!(fill(&mut prepared, 3, READY).len(), 11);
    for id in 10..=40 {
        prepared.begin(4, client(id), AttemptId(1), SET);
    }
    assert_eq!(fill(&mut prepared, 5, READY).len(), 16);
}

#[test]
fn a_cluster_that_does_not_tell_its_room_gets_no_more_than_the_least() {
    let mut prepared = known();
    for id in 2..=20 {
        prepared.begin(0, client(id), AttemptId(1), SET);
    }
    assert_eq!(fill(&mut prepared, 1, Made::Ready { measured: false }).len(), 4);
}

#[test]
fn two_are_made_at_once() {
    let mut prepared = known();
    let first = prepared.next(1, || "first".into()).unwrap();
    assert_eq!(first, (SET.to_owned(), "first".to_owned()));
    assert!(prepared.next(1, || "second".into()).is_some() && prepared.next(1, || "third".into()).is_none());
    // Nobody gets what is not ready.
    assert_eq!(prepared.begin(1, client(2), AttemptId(1), SET).schema, None);
    assert!(!prepared.made(2, "first", READY));
    assert_eq!(prepared.begin(2, client(3), AttemptId(1), SET).schema.unwrap(), "first");
    assert_eq!(prepared.begin(2, client(4), AttemptId(1), "other").schema, None);
}

#[test]
fn a_set_that_fails_is_left_to_its_tests() {
    let mut prepared = known();
    assert_eq!(fill(&mut prepared, 1, Made::Failed).len(), 2);
    prepared.begin(2, client(2), AttemptId(1), SET);
    assert!(prepared.next(2, || "again".into()).is_none());
    // Others are not.
    prepared.begin(2, client(2), AttemptId(2), "other");
    prepared.knows("other");
    assert_eq!(fill(&mut prepared, 3, READY).len(), 4);
}

#[test]
fn after_a_failure_what_is_being_made_counts_as_the_next_try() {
    let mut prepared = known();
    let (_, one) = prepared.next(1, || "one".into()).unwrap();
    let (_, two) = prepared.next(1, || "two".into()).unwrap();
    assert!(prepared.made(2, &one, Made::Failed));
    assert!(prepared.next(2, || "three".into()).is_none());
    assert!(!prepared.made(3, &two, READY));
    assert!(prepared.next(3, || "three".into()).is_some());
}

#[test]
fn a_full_cluster_is_left_alone_for_a_while() {
    let mut prepared = known();
    let (_, name) = prepared.next(1, || "n".into()).unwrap();
    assert!(!prepared.made(1, &name, Made::Full), "nothing was made, so nothing is dropped");
    assert!(prepared.next(5_000, || "n".into()).is_none());
    assert!(prepared.next(5_001, || "n".into()).is_some());
}

#[test]
fn what_nobody_wants_is_not_made_and_dropped_in_the_end() {
    let mut prepared = known();
    prepared.end(1_000, client(1), AttemptId(1));
    let (_, late) = prepared.next(10_999, || "late".into()).unwrap();
    assert!(prepared.next(11_000, || "n".into()).is_none());
    assert!(!prepared.made(20_000, &late, READY));
    assert_eq!(prepared.deadline(), Some(61_000));
    assert!(prepared.expired(60_999).is_empty());
    assert_eq!(prepared.expired(61_000), ["late"]);
    assert_eq!(prepared.deadline(), None);
}

#[test]
fn at_the_end_everything_is_dropped_and_nothing_made() {
    let mut prepared = known();
    let (_, one) = prepared.next(1, || "one".into()).unwrap();
    let (_, two) = prepared.next(1, || "two".into()).unwrap();
    prepared.made(1, &one, READY);
    assert_eq!(prepared.close(), ["one"]);
    assert!(prepared.next(2, || "n".into()).is_none());
    assert!(prepared.made(3, &two, READY), "what was on its way is dropped when it arrives");
    assert_eq!(prepared.begin(3, client(2), AttemptId(1), SET), Turn::default());
    // On the next cluster nothing is ready, but the text is known.
    prepared.open();
    prepared.leave(4, client(1));
    assert_eq!(prepared.begin(4, client(2), AttemptId(2), SET), Turn::default());
    assert_eq!(fill(&mut prepared, 4, READY).len(), 4);
}

/// What is true of one schema.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Making,
    Ready,
    Handed,
    Dropped,
}

struct World {
    random: fastrand::Rng,
    now: Millis,
    prepared: Prepared,
    fates: BTreeMap<String, (String, Fate)>,
    clients: BTreeSet<ClientId>,
    attempts: Vec<(ClientId, AttemptId)>,
    asked: BTreeMap<String, ClientId>,
    known: BTreeSet<String>,
    seen: BTreeMap<String, Millis>,
    open: bool,
    next: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            now: 0,
            prepared: Prepared::default(),
            fates: BTreeMap::new(),
            clients: BTreeSet::new(),
            attempts: Vec::new(),
            asked: BTreeMap::new(),
            known: BTreeSet::new(),
            seen: BTreeMap::new(),
            open: false,
            next: 0,
        }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn set(&mut self) -> String {
        ["a", "b", "c"][self.random.usize(..3)].to_owned()
    }

    fn dropped(&mut self, names: Vec<String>) {
        for name in names {
            let fate = &mut self.fates.get_mut(&name).expect("dropped what was never made").1;
            assert_eq!(*fate, Fate::Ready, "{name} was dropped");
            *fate = Fate::Dropped;
        }
    }

    fn step(&mut self) {
        self.now += [0, 1, 30, 900, 12_000][self.random.usize(..5)];
        match self.random.u8(..100) {
            0..30 => self.begin(),
            30..45 => self.end(),
            45..50 => self.leave(),
            50..60 => self.tell(),
            60..90 => self.finish(),
            90..93 => self.close(),
            _ => {
                self.open = true;
                self.prepared.open();
            }
        }
        let expired = self.prepared.expired(self.now);
        self.dropped(expired);
        assert!(self.prepared.deadline().is_none_or(|at| at > self.now), "a deadline that stays");
        self.make();
        self.check();
    }

    fn begin(&mut self) {
        let (set, client, attempt) = (self.set(), ClientId(self.random.u64(..6)), AttemptId(self.id()));
        self.clients.insert(client);
        let Turn { schema, wants } = self.prepared.begin(self.now, client, attempt, &set);
        self.attempts.push((client, attempt));
        self.seen.insert(set.clone(), self.now);
        if wants {
            assert!(self.open && !self.known.contains(&set), "asked for what is known");
            assert!(self.asked.insert(set.clone(), client).is_none(), "asked twice");
        }
        if let Some(name) = schema {
            assert!(self.open, "handed out what is let go of");
            let (of, fate) = self.fates.get_mut(&name).expect("handed out what was never made");
            assert_eq!((&*of, &*fate), (&set, &Fate::Ready), "{name} was handed out");
            *fate = Fate::Handed;
        }
    }

    fn end(&mut self) {
        if !self.attempts.is_empty() {
            let (client, attempt) = self.attempts.swap_remove(self.random.usize(..self.attempts.len()));
            self.prepared.end(self.now, client, attempt);
            self.touch();
        }
    }

    fn leave(&mut self) {
        if let Some(client) = self.clients.pop_first() {
            self.prepared.leave(self.now, client);
            self.attempts.retain(|(owner, _)| *owner != client);
            self.asked.retain(|_, of| *of != client);
            self.touch();
        }
    }

    /// Which set it was does not matter to the model: it only asks whether any was seen too long ago.
    fn touch(&mut self) {
        let now = self.now;
        self.seen.values_mut().for_each(|seen| *seen = now);
    }

    fn tell(&mut self) {
        if let Some((set, _)) = self.asked.pop_first() {
            assert!(self.prepared.knows(&set));
            self.known.insert(set);
        }
    }

    fn finish(&mut self) {
        let making = self.fates.iter().filter(|(_, (_, fate))| *fate == Fate::Making);
        let names: Vec<String> = making.map(|(name, _)| name.clone()).collect();
        let Some(name) = self.random.choice(&names) else { return };
        let made = match self.random.u8(..10) {
            0 => Made::Full,
            1 => Made::Stopped,
            2 => Made::Failed,
            other => Made::Ready { measured: other > 4 },
        };
        let drop = self.prepared.made(self.now, name, made);
        assert!(drop || matches!(made, Made::Ready { .. } | Made::Full), "half of a schema was kept");
        let fate = &mut self.fates.get_mut(name).unwrap().1;
        *fate = if drop || made == Made::Full { Fate::Dropped } else { Fate::Ready };
    }

    fn close(&mut self) {
        self.open = false;
        let rest = self.prepared.close();
        self.dropped(rest);
    }

    fn make(&mut self) {
        loop {
            let name = format!("s{}", self.id());
            let Some((set, name)) = self.prepared.next(self.now, || name) else { return };
            assert!(self.open && self.known.contains(&set), "made without a cluster or a text");
            assert!(self.now < self.seen[&set] + 10_000, "made for nobody");
            self.fates.insert(name, (set, Fate::Making));
        }
    }

    fn check(&self) {
        let count = |wanted: Fate| self.fates.values().filter(|(_, fate)| *fate == wanted).count();
        assert!(count(Fate::Ready) <= 16);
        assert!(self.open || count(Fate::Ready) == 0, "something is ready on no cluster");
    }
}

#[test]
fn every_schema_is_handed_out_once_or_dropped_whatever_happens() {
    let mut handed = 0;
    for seed in 0..3_000 {
        let mut world = World::new(seed);
        for _ in 0..150 {
            world.step();
        }
        world.close();
        while world.fates.values().any(|(_, fate)| *fate == Fate::Making) {
            world.finish();
        }
        let left: Vec<_> = world.fates.iter().filter(|(_, (_, fate))| *fate == Fate::Ready).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?} are left");
        handed += world.fates.values().filter(|(_, fate)| *fate == Fate::Handed).count();
    }
    // Or the histories prove nothing.
    assert!(handed > 3_000, "{handed}");
}

#[test]
fn a_set_that_always_fails_is_not_tried_for_ever() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        let mut tries = 0;
        for _ in 0..300 {
            world.begin();
            world.open = true;
            world.prepared.open();
            world.tell();
            world.now += 100;
            while let Some((_, name)) = world.prepared.next(world.now, || format!("s{tries}")) {
                tries += 1;
                assert!(world.prepared.made(world.now, &name, Made::Failed));
            }
        }
        assert!(tries <= 3 * 2, "seed {seed}: {tries}");
    }
}
