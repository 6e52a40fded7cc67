//! The decision in each situation, and random histories against a small model of the world.

use super::*;

const SET: &str = "a";

fn client(id: u64) -> ClientId {
    ClientId(id)
}

/// Returns a set whose text is known, with one test of it that runs since `0`.
fn known() -> Premade {
    let mut premade = Premade::default();
    premade.open();
    assert_eq!(premade.begin(0, client(1), AttemptId(1), SET, false), Handout { schema: None, wants: true });
    assert!(premade.knows(SET));
    premade
}

/// Makes every schema that is to be made.
fn fill(premade: &mut Premade, now: Millis, made: PremadeOutcome) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((_, name)) = premade.next(now, || format!("{now}_{}", names.len())) {
        premade.made(now, &name, made);
        names.push(name);
    }
    names
}

const READY: PremadeOutcome = PremadeOutcome::Ready { measured: true };

#[test]
fn the_text_is_asked_of_one_process_and_of_another_only_if_that_is_gone() {
    let mut premade = Premade::default();
    premade.open();
    let wants = |premade: &mut Premade, id| premade.begin(0, client(id), AttemptId(1), SET, false).wants;
    assert!(wants(&mut premade, 1));
    assert!(!wants(&mut premade, 2));
    premade.leave(0, client(2));
    assert!(!wants(&mut premade, 3));
    premade.leave(0, client(1));
    assert!(wants(&mut premade, 4));
    assert!(premade.next(0, || "early".into()).is_none());
    assert!(premade.knows(SET) && !premade.knows(SET) && !premade.knows("unheard of"));
    assert!(!wants(&mut premade, 5));
}

#[test]
fn nothing_is_made_while_dropping_lags_behind() {
    let mut premade = known();
    premade.dropping(3);
    assert!(fill(&mut premade, 1, READY).is_empty());
    premade.dropping(2);
    assert_eq!(fill(&mut premade, 2, READY).len(), 4);
}

#[test]
fn as_many_are_kept_as_tests_run_at_once_and_two_more() {
    let mut premade = known();
    assert_eq!(fill(&mut premade, 1, READY).len(), 4);
    for id in 2..=9 {
        premade.begin(2, client(id), AttemptId(1), SET, false);
    }
    // Four of the nine took one.
    assert_eq!(fill(&mut premade, 3, READY).len(), 11);
    for id in 10..=40 {
        premade.begin(4, client(id), AttemptId(1), SET, false);
    }
    assert_eq!(fill(&mut premade, 5, READY).len(), 16);
}

#[test]
fn a_cluster_that_does_not_tell_its_room_gets_no_more_than_the_least() {
    let mut premade = known();
    for id in 2..=20 {
        premade.begin(0, client(id), AttemptId(1), SET, false);
    }
    assert_eq!(fill(&mut premade, 1, PremadeOutcome::Ready { measured: false }).len(), 4);
}

/// Returns a set with a long history, for which two tests wait.
fn waited_for() -> Premade {
    let mut premade = Premade::default();
    premade.open();
    for id in [1, 2] {
        assert_eq!(premade.begin(0, client(id), AttemptId(1), SET, false), Handout { schema: None, wants: id == 1 });
        assert!(premade.waits(0, (client(id), AttemptId(1)), SET, false, true));
    }
    premade
}

#[test]
fn tests_with_a_long_history_wait_for_one_maker_and_then_for_two() {
    let mut premade = waited_for();
    assert_eq!(premade.served(), None, "the text is on its way");
    premade.knows(SET);
    assert!(premade.next(1, || "first".into()).is_some());
    assert!(premade.next(1, || "beside".into()).is_none(), "it would go the same long way");
    assert_eq!(premade.served(), None);
    // Longer than it is made ahead for sets without tests.
    premade.made(60_000, "first", READY);
    assert!(premade.next(60_001, || "a".into()).is_some() && premade.next(60_001, || "b".into()).is_some());
    assert_eq!(premade.served(), Some((client(1), AttemptId(1), Some("first".into()))));
    assert_eq!(premade.served(), None);
    premade.made(60_002, "b", READY);
    assert_eq!(premade.served(), Some((client(2), AttemptId(1), Some("b".into()))));
    assert_eq!(premade.served(), None);
}

#[test]
fn a_test_that_waits_for_nothing_makes_its_own() {
    let served = |premade: &mut Premade| {
        [premade.served(), premade.served()].map(|one| one.map(|(id, _, schema)| (id.0, schema)))
    };
    let both = [Some((1, None)), Some((2, None))];
    // The one that was to send the text is gone: nobody else is asked.
    let mut premade = waited_for();
    premade.leave(1, client(1));
    assert_eq!(served(&mut premade), [Some((2, None)), None]);
    // Migrations that fail.
    let mut premade = waited_for();
    premade.knows(SET);
    assert_eq!(fill(&mut premade, 1, PremadeOutcome::Failed).len(), 2);
    assert_eq!(served(&mut premade), both);
    assert!(!premade.waits(2, (client(3), AttemptId(1)), SET, false, true));
    // No room.
    let mut premade = waited_for();
    premade.knows(SET);
    fill(&mut premade, 1, PremadeOutcome::Full);
    assert_eq!(served(&mut premade), both);
    assert!(!premade.waits(2, (client(3), AttemptId(1)), SET, false, true));
    // The cluster is let go of, while one is made.
    let mut premade = waited_for();
    premade.knows(SET);
    premade.next(1, || "first".into());
    premade.close();
    assert_eq!(served(&mut premade), both);
    assert!(!premade.waits(2, (client(3), AttemptId(1)), SET, false, true));
    // It does not wait any more.
    let mut premade = waited_for();
    premade.end(1, client(1), AttemptId(1));
    premade.close();
    assert_eq!(served(&mut premade), [Some((2, None)), None]);
}

#[test]
fn a_test_that_wants_a_new_one_does_not_hold_up_those_behind_it() {
    let mut premade = waited_for();
    premade.end(0, client(1), AttemptId(1));
    premade.begin(0, client(3), AttemptId(1), SET, true);
    assert!(premade.waits(0, (client(3), AttemptId(1)), SET, true, true));
    premade.knows(SET);
    premade.next(1, || "first".into());
    premade.end(1, client(2), AttemptId(1));
    premade.begin(1, client(4), AttemptId(1), SET, false);
    assert!(premade.waits(1, (client(4), AttemptId(1)), SET, false, true));
    assert!(premade.takes_back(1, SET, "used"));
    assert!(!premade.returned("used", true));
    assert_eq!(premade.served(), Some((client(4), AttemptId(1), Some("used".into()))));
    assert_eq!(premade.served(), None);
    premade.made(2, "first", READY);
    assert_eq!(premade.served(), Some((client(3), AttemptId(1), Some("first".into()))));
}

#[test]
fn a_test_waits_for_a_schema_that_is_emptied_and_for_no_other() {
    let mut premade = known();
    let waits = |premade: &mut Premade, id, fresh| {
        assert_eq!(premade.begin(1, client(id), AttemptId(1), SET, fresh).schema, None);
        premade.waits(1, (client(id), AttemptId(1)), SET, fresh, false)
    };
    premade.next(1, || "first".into());
    assert!(!waits(&mut premade, 2, false), "to make one takes as long here as there");
    assert!(premade.takes_back(1, SET, "used"));
    assert!(!waits(&mut premade, 3, true), "it wants a new one");
    assert!(waits(&mut premade, 4, false));
    assert!(!waits(&mut premade, 5, false), "one waits for it already");
    assert_eq!(premade.served(), None);
    // It can't be used again, and the other is still being made.
    assert!(premade.returned("used", false));
    assert_eq!(premade.served(), None);
    premade.made(2, "first", PremadeOutcome::Failed);
    assert_eq!(premade.served(), Some((client(4), AttemptId(1), None)));
}

#[test]
fn two_are_made_at_once() {
    let mut premade = known();
    let first = premade.next(1, || "first".into()).unwrap();
    assert_eq!(first, (SET.to_owned(), "first".to_owned()));
    assert!(premade.next(1, || "second".into()).is_some() && premade.next(1, || "third".into()).is_none());
    // No test gets a schema that is not ready.
    assert_eq!(premade.begin(1, client(2), AttemptId(1), SET, false).schema, None);
    assert!(!premade.made(2, "first", READY));
    assert_eq!(premade.begin(2, client(3), AttemptId(1), SET, false).schema.unwrap(), "first");
    assert_eq!(premade.begin(2, client(4), AttemptId(1), "other", false).schema, None);
}

#[test]
fn a_set_that_fails_is_left_to_its_tests() {
    let mut premade = known();
    assert_eq!(fill(&mut premade, 1, PremadeOutcome::Failed).len(), 2);
    premade.begin(2, client(2), AttemptId(1), SET, false);
    assert!(premade.next(2, || "again".into()).is_none());
    // Others are not.
    premade.begin(2, client(2), AttemptId(2), "other", false);
    premade.knows("other");
    assert_eq!(fill(&mut premade, 3, READY).len(), 4);
}

#[test]
fn after_a_failure_what_is_being_made_counts_as_the_next_try() {
    let mut premade = known();
    let (_, one) = premade.next(1, || "one".into()).unwrap();
    let (_, two) = premade.next(1, || "two".into()).unwrap();
    assert!(premade.made(2, &one, PremadeOutcome::Failed));
    assert!(premade.next(2, || "three".into()).is_none());
    assert!(!premade.made(3, &two, READY));
    assert!(premade.next(3, || "three".into()).is_some());
}

#[test]
fn a_full_cluster_is_left_alone_for_a_while() {
    let mut premade = known();
    let (_, name) = premade.next(1, || "n".into()).unwrap();
    assert!(!premade.made(1, &name, PremadeOutcome::Full), "nothing was made, so nothing is dropped");
    assert!(premade.next(5_000, || "n".into()).is_none());
    assert!(premade.next(5_001, || "n".into()).is_some());
}

#[test]
fn what_nobody_wants_is_not_made_and_dropped_in_the_end() {
    let mut premade = known();
    premade.end(1_000, client(1), AttemptId(1));
    let (_, late) = premade.next(10_999, || "late".into()).unwrap();
    assert!(premade.next(11_000, || "n".into()).is_none());
    assert!(!premade.made(20_000, &late, READY));
    assert_eq!(premade.deadline(), Some(61_000));
    assert!(premade.expired(60_999).is_empty());
    assert_eq!(premade.expired(61_000), ["late"]);
    assert_eq!(premade.deadline(), None);
}

#[test]
fn at_the_end_everything_is_dropped_and_nothing_made() {
    let mut premade = known();
    let (_, one) = premade.next(1, || "one".into()).unwrap();
    let (_, two) = premade.next(1, || "two".into()).unwrap();
    premade.made(1, &one, READY);
    assert_eq!(premade.close(), (vec![one], vec![two.clone()]));
    assert!(premade.next(2, || "n".into()).is_none());
    assert!(premade.made(3, &two, READY), "what was on its way is dropped when it arrives");
    assert_eq!(premade.begin(3, client(2), AttemptId(1), SET, false), Handout::default());
    // On the next cluster nothing is ready, but the text is known.
    premade.open();
    premade.leave(4, client(1));
    assert_eq!(premade.begin(4, client(2), AttemptId(2), SET, false), Handout::default());
    assert_eq!(fill(&mut premade, 4, READY).len(), 4);
}

#[test]
fn what_is_handed_back_is_looked_at_before_another_test_has_it() {
    let mut premade = known();
    fill(&mut premade, 1, READY);
    let take = |premade: &mut Premade, id| premade.begin(2, client(id), AttemptId(1), SET, false).schema;
    let first = take(&mut premade, 2).unwrap();
    assert!(premade.takes_back(3, SET, &first));
    let others: Vec<_> = (3..=5).map(|id| take(&mut premade, id)).collect();
    assert!(others.iter().all(|other| other.is_some() && *other != Some(first.clone())));
    assert_eq!(take(&mut premade, 6), None, "it is being looked at");
    assert!(!premade.returned(&first, true));
    assert_eq!(premade.begin(4, client(7), AttemptId(1), SET, true).schema, None, "it is not new");
    assert_eq!(take(&mut premade, 8), Some(first.clone()));
    assert!(premade.takes_back(5, SET, &first));
    assert!(premade.returned(&first, false), "it was changed");
    assert_eq!(take(&mut premade, 9), None);
    assert!(premade.returned("unheard of", true) && !premade.takes_back(5, "unheard of", "x"));
}

#[test]
fn no_more_are_taken_back_than_are_wanted() {
    let mut premade = known();
    fill(&mut premade, 1, READY);
    assert!(!premade.takes_back(1, SET, "a fifth"));
    let taken = premade.begin(2, client(2), AttemptId(1), SET, false).schema.unwrap();
    assert!(premade.takes_back(2, SET, &taken));
    assert!(premade.next(2, || "n".into()).is_none(), "it counts as one that is ready");
    let (ready, returning) = premade.close();
    assert_eq!((ready.len(), returning), (3, vec![taken.clone()]));
    assert!(premade.returned(&taken, true) && !premade.takes_back(3, SET, &taken));
}

/// The true state of one schema.
#[derive(Clone, Debug, PartialEq, Eq)]
enum SchemaFate {
    Making,
    Ready,
    Handed,
    /// Handed back, and being looked at.
    Returning,
    Dropped,
}

struct PremadeWorld {
    random: fastrand::Rng,
    now: Millis,
    premade: Premade,
    fates: BTreeMap<String, (String, SchemaFate)>,
    clients: BTreeSet<ClientId>,
    attempts: Vec<(ClientId, AttemptId)>,
    asked: BTreeMap<String, ClientId>,
    known: BTreeSet<String>,
    seen: BTreeMap<String, Millis>,
    open: bool,
    next: u64,
    /// Schemas that were handed out, and those of them that were handed out again.
    handed: usize,
    again: usize,
    used: BTreeSet<String>,
}

impl PremadeWorld {
    fn new(seed: u64) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            now: 0,
            premade: Premade::default(),
            fates: BTreeMap::new(),
            clients: BTreeSet::new(),
            attempts: Vec::new(),
            asked: BTreeMap::new(),
            known: BTreeSet::new(),
            seen: BTreeMap::new(),
            open: false,
            next: 0,
            handed: 0,
            again: 0,
            used: BTreeSet::new(),
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
            assert_eq!(*fate, SchemaFate::Ready, "{name} was dropped");
            *fate = SchemaFate::Dropped;
        }
    }

    fn step(&mut self) {
        self.now += [0, 1, 30, 900, 12_000][self.random.usize(..5)];
        match self.random.u8(..100) {
            0..30 => self.begin(),
            30..40 => self.end(),
            40..45 => self.hand_back(),
            45..50 => self.leave(),
            50..60 => self.tell(),
            60..80 => self.finish(),
            80..90 => self.look(),
            90..93 => self.close(),
            _ => {
                self.open = true;
                self.premade.open();
            }
        }
        let expired = self.premade.expired(self.now);
        self.dropped(expired);
        assert!(self.premade.deadline().is_none_or(|at| at > self.now), "a deadline that stays");
        self.make();
        self.check();
    }

    fn begin(&mut self) {
        let (set, client, attempt) = (self.set(), ClientId(self.random.u64(..6)), AttemptId(self.id()));
        self.clients.insert(client);
        let fresh = self.random.u8(..4) == 0;
        let Handout { schema, wants } = self.premade.begin(self.now, client, attempt, &set, fresh);
        self.attempts.push((client, attempt));
        self.seen.insert(set.clone(), self.now);
        if wants {
            assert!(self.open && !self.known.contains(&set), "asked for what is known");
            assert!(self.asked.insert(set.clone(), client).is_none(), "asked twice");
        }
        if let Some(name) = schema {
            assert!(self.open, "handed out what is let go of");
            let (of, fate) = self.fates.get_mut(&name).expect("handed out what was never made");
            assert_eq!((&*of, &*fate), (&set, &SchemaFate::Ready), "{name} was handed out");
            *fate = SchemaFate::Handed;
            let used = !self.used.insert(name);
            assert!(!(fresh && used), "a used schema for a test that wanted a new one");
            self.handed += 1;
            self.again += usize::from(used);
        }
    }

    fn end(&mut self) {
        if !self.attempts.is_empty() {
            let (client, attempt) = self.attempts.swap_remove(self.random.usize(..self.attempts.len()));
            self.premade.end(self.now, client, attempt);
            self.touch();
        }
    }

    fn named(&mut self, wanted: SchemaFate) -> Option<String> {
        let names: Vec<String> =
            self.fates.iter().filter(|(_, (_, fate))| *fate == wanted).map(|(name, _)| name.clone()).collect();
        self.random.choice(&names).cloned()
    }

    fn hand_back(&mut self) {
        let Some(name) = self.named(SchemaFate::Handed) else { return };
        let (set, fate) = self.fates.get_mut(&name).unwrap();
        let taken = self.premade.takes_back(self.now, set, &name);
        assert!(self.open || !taken, "taken back without a cluster");
        *fate = if taken { SchemaFate::Returning } else { SchemaFate::Dropped };
    }

    fn look(&mut self) {
        let Some(name) = self.named(SchemaFate::Returning) else { return };
        let as_made = self.random.bool();
        let drop = self.premade.returned(&name, as_made);
        assert!(drop || as_made, "a schema that was changed was kept");
        self.fates.get_mut(&name).unwrap().1 = if drop { SchemaFate::Dropped } else { SchemaFate::Ready };
    }

    fn leave(&mut self) {
        if let Some(client) = self.clients.pop_first() {
            self.premade.leave(self.now, client);
            self.attempts.retain(|(owner, _)| *owner != client);
            self.asked.retain(|_, of| *of != client);
            self.touch();
        }
    }

    /// Marks all sets: the model does not care which one it was, it only asks whether one was seen too long ago.
    fn touch(&mut self) {
        let now = self.now;
        self.seen.values_mut().for_each(|seen| *seen = now);
    }

    fn tell(&mut self) {
        if let Some((set, _)) = self.asked.pop_first() {
            assert!(self.premade.knows(&set));
            self.known.insert(set);
        }
    }

    fn finish(&mut self) {
        let making = self.fates.iter().filter(|(_, (_, fate))| *fate == SchemaFate::Making);
        let names: Vec<String> = making.map(|(name, _)| name.clone()).collect();
        let Some(name) = self.random.choice(&names) else { return };
        let made = match self.random.u8(..10) {
            0 => PremadeOutcome::Full,
            1 => PremadeOutcome::Stopped,
            2 => PremadeOutcome::Failed,
            other => PremadeOutcome::Ready { measured: other > 4 },
        };
        let drop = self.premade.made(self.now, name, made);
        assert!(
            drop || matches!(made, PremadeOutcome::Ready { .. } | PremadeOutcome::Full),
            "half of a schema was kept"
        );
        let fate = &mut self.fates.get_mut(name).unwrap().1;
        *fate = if drop || made == PremadeOutcome::Full { SchemaFate::Dropped } else { SchemaFate::Ready };
    }

    fn close(&mut self) {
        self.open = false;
        let (ready, _) = self.premade.close();
        self.dropped(ready);
    }

    fn make(&mut self) {
        loop {
            let name = format!("s{}", self.id());
            let Some((set, name)) = self.premade.next(self.now, || name) else { return };
            assert!(self.open && self.known.contains(&set), "made without a cluster or a text");
            assert!(self.now < self.seen[&set] + 10_000, "made for nobody");
            self.fates.insert(name, (set, SchemaFate::Making));
        }
    }

    fn check(&self) {
        let count = |wanted: SchemaFate| self.fates.values().filter(|(_, fate)| *fate == wanted).count();
        assert!(count(SchemaFate::Ready) <= 16);
        assert!(self.open || count(SchemaFate::Ready) == 0, "something is ready on no cluster");
    }
}

#[test]
fn every_schema_is_handed_out_or_dropped_whatever_happens() {
    let (mut handed, mut again) = (0, 0);
    for seed in 0..3_000 {
        let mut world = PremadeWorld::new(seed);
        for _ in 0..150 {
            world.step();
        }
        world.close();
        while world.fates.values().any(|(_, fate)| [SchemaFate::Making, SchemaFate::Returning].contains(fate)) {
            world.finish();
            world.look();
        }
        let left: Vec<_> = world.fates.iter().filter(|(_, (_, fate))| *fate == SchemaFate::Ready).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?} are left");
        handed += world.handed;
        again += world.again;
    }
    // Or the histories prove nothing.
    assert!(handed > 3_000 && again > 1_000, "{handed}, {again}");
}

#[test]
fn a_set_that_always_fails_is_not_tried_for_ever() {
    for seed in 0..200 {
        let mut world = PremadeWorld::new(seed);
        let mut tries = 0;
        for _ in 0..300 {
            world.begin();
            world.open = true;
            world.premade.open();
            world.tell();
            world.now += 100;
            while let Some((_, name)) = world.premade.next(world.now, || format!("s{tries}")) {
                tries += 1;
                assert!(world.premade.made(world.now, &name, PremadeOutcome::Failed));
            }
        }
        assert!(tries <= 3 * 2, "seed {seed}: {tries}");
    }
}
