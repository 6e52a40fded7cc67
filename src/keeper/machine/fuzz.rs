//! Random histories of runs, crashes and failures against the machine as it ships, with a small model of the world.

mod neighbours;
mod waits;

use std::collections::BTreeMap;

use super::grants::{FEW, MANY};
use super::*;
use crate::sharing::Turns;
use crate::target::{OnExit, OnSuspended};

/// The truth outside the machine.
struct World {
    random: fastrand::Rng,
    now: Millis,
    machine: Machine,
    journal: Word,
    call: Option<Effect>,
    /// A look or a repair that is under way.
    look: Option<Effect>,
    /// The journal names an exclusive attempt with a look before it: what it changes has to be restored.
    noted: bool,
    /// An exclusive attempt was granted after a look, and what it changed is not yet restored or given up.
    changed: bool,
    /// The resource runs because of us.
    running: bool,
    /// It ran before this keeper, which must not count on it.
    foreign: bool,
    runners: BTreeMap<RunnerId, (SessionId, bool)>,
    /// Which session a name means now, as the loop remembers it.
    names: BTreeMap<u8, SessionId>,
    explicit: BTreeMap<SessionId, NamedModel>,
    clients: BTreeMap<ClientId, FakeClient>,
    next: u64,
    drops: DropsModel,
    /// Nodes of the cluster ended; true if all of them did.
    lost: Option<bool>,
    /// Keepers of other machines may use the cluster, too.
    shared: bool,
    /// The attempts that they leave room for, while a lease is held.
    turns: Option<Turns>,
    wants_alone: bool,
    term: bool,
    tethered: bool,
    limit_passed: bool,
    /// Clients that were told that there is no cluster. The loop closes them.
    closing: Vec<ClientId>,
    log: Vec<String>,
}

/// The origin of a client.
#[derive(Clone, Copy)]
enum ClientOrigin {
    Run(RunnerId),
    /// It knows the name of a session.
    Named(u8),
    /// It holds the session of this name.
    Holder(u8, RunnerId),
}

#[derive(Clone)]
struct FakeClient {
    origin: ClientOrigin,
    session: SessionId,
    answered: bool,
    joined_at: Millis,
    granted: BTreeMap<AttemptId, (Mode, bool)>,
    asked: BTreeMap<AttemptId, Mode>,
}

/// The truth about an explicit session.
#[derive(Clone, Default)]
struct NamedModel {
    holders: BTreeMap<RunnerId, bool>,
    quiet_since: Millis,
    ended: Option<Millis>,
}

/// The time that an explicit session lives without a lease.
const IDLE: Millis = 60_000;

#[derive(Default)]
struct DropsModel {
    count: usize,
    /// Since it became large.
    until: Option<Millis>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let (foreign, shared) = (random.u8(..) < 40, random.bool());
        Self {
            machine: Machine::new(0, Word::Clean, MachineLimits::default()),
            random,
            now: 0,
            journal: Word::Clean,
            call: None,
            look: None,
            noted: false,
            changed: false,
            running: false,
            foreign,
            runners: BTreeMap::new(),
            names: BTreeMap::new(),
            explicit: BTreeMap::new(),
            clients: BTreeMap::new(),
            next: 1,
            drops: DropsModel::default(),
            lost: None,
            shared,
            turns: None,
            wants_alone: false,
            term: false,
            tethered: false,
            limit_passed: false,
            closing: Vec::new(),
            log: Vec::new(),
        }
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn feed(&mut self, event: Event) {
        let before = self.machine.state();
        self.log.push(format!("{} {event:?} in {before:?}", self.now));
        let effects = self.machine.on(self.now, event);
        if self.lost.is_some() && effects.contains(&Effect::Release) {
            self.cluster_goes();
        }
        for effect in effects {
            self.log.push(format!("    {effect:?}"));
            if effect == Effect::Release && matches!(before, MachineState::Up | MachineState::Warm { .. }) {
                self.check_no_session_wants_it();
            }
            self.apply(effect);
        }
        self.lost = self.lost.filter(|_| self.is_up());
        self.check();
        // Without a cluster they live shorter, on which no client counts.
        if !matches!(before, MachineState::Up | MachineState::Warm { .. }) {
            let over: Vec<SessionId> =
                self.explicit.keys().filter(|id| !self.machine.is_alive(**id)).copied().collect();
            over.into_iter().for_each(|id| self.ended(id));
        }
        for client in std::mem::take(&mut self.closing) {
            if self.forget(client).is_some() {
                self.feed(Event::Leave(client));
            }
        }
    }

    /// Removes a client. Its explicit session may be without a lease now.
    fn forget(&mut self, id: ClientId) -> Option<FakeClient> {
        let client = self.clients.remove(&id)?;
        if let Some(explicit) = self.explicit.get_mut(&client.session) {
            explicit.quiet_since = self.now;
        }
        Some(client)
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Write(word) => self.journal = word,
            Effect::Probe | Effect::Acquire | Effect::Release => {
                assert!(self.call.is_none(), "a second provider call at a time");
                match effect {
                    Effect::Acquire => assert_eq!(self.journal, Word::MaybeUp, "no intent, no call"),
                    Effect::Release => {
                        let intended = self.journal == Word::MaybeDown || !self.machine.releasable();
                        assert!(intended, "no intent, no call");
                        self.check_no_client_holds();
                    }
                    _ => assert_ne!(self.journal, Word::Clean),
                }
                self.call = Some(effect);
            }
            Effect::Ready(client) => self.answer(client),
            Effect::Fail(client, _) => {
                self.answer(client);
                self.closing.push(client);
            }
            Effect::Cut(client, _) => {
                self.forget(client).expect("cut a client that is not there");
            }
            Effect::Granted(client, attempt) => self.granted(client, attempt),
            Effect::Refused(client, attempt, _) => {
                let client = self.clients.get_mut(&client).expect("refused a client that is not there");
                client.asked.remove(&attempt).expect("refused what was not asked for");
            }
            Effect::Look(..) | Effect::Restore(_) => self.begin_look(effect),
            Effect::Forget(_) => {
                self.look = None;
                (self.noted, self.changed) = (false, false);
            }
            Effect::WantAlone(wants) => self.wishes(wants),
            Effect::Quiet => self.check_quiet(),
            Effect::Exit => {
                assert!(self.clients.values().all(|client| client.answered), "exit with an unanswered client");
                assert!(self.call.is_none(), "exit during a call");
            }
        }
    }

    fn answer(&mut self, client: ClientId) {
        let client = self.clients.get_mut(&client).expect("answered a client that is not there");
        assert!(!client.answered, "a waiter got two answers");
        client.answered = true;
    }

    fn granted(&mut self, id: ClientId, attempt: AttemptId) {
        let client = self.clients.get_mut(&id).expect("granted to a client that is not there");
        let mode = client.asked.remove(&attempt).expect("granted what was not asked for");
        let session = client.session;
        assert!(!self.has_ended(session), "granted to an explicit session that is over");
        assert!(self.look.is_none(), "granted during {:?}", self.look);
        assert!(self.lost.is_none(), "granted on a cluster without all its nodes");
        self.check_room(mode);
        assert!(!self.changed, "granted before the aftermath was over");
        self.changed = mode == Mode::Exclusive && self.noted;
        let others = |own: bool| {
            let all =
                self.clients.iter().flat_map(|(owner, client)| client.granted.iter().map(move |held| (owner, held)));
            all.filter(move |(owner, (held, _))| !(own && **owner == id && **held == attempt))
                .map(|(_, (_, (mode, nested)))| (*mode, *nested))
                .collect::<Vec<_>>()
        };
        let held = others(true);
        match mode {
            Mode::Exclusive => assert!(held.is_empty(), "exclusive beside {held:?}"),
            Mode::Shared => {
                assert!(held.iter().all(|(mode, _)| *mode == Mode::Shared), "shared beside exclusive");
                assert!(held.is_empty() || !self.is_held_up(), "granted while dropping lags behind");
            }
        }
        self.clients.get_mut(&id).unwrap().granted.insert(attempt, (mode, false));
    }

    /// Returns whether the run of a client goes on, or has been over for less than the orphan limit.
    fn is_fresh(&self, client: &FakeClient) -> bool {
        let limit = MachineLimits::default().orphan_lease;
        if self.now < client.joined_at + limit {
            return true;
        }
        match client.origin {
            ClientOrigin::Run(runner) => self.runners.get(&runner).is_some_and(|(_, alive)| *alive),
            _ => self.explicit[&client.session].ended.is_none_or(|ended| self.now < ended + limit),
        }
    }

    fn check_no_client_holds(&self) {
        if self.term || self.limit_passed || self.tethered || self.lost == Some(true) {
            return;
        }
        let holding = self.clients.iter().filter(|(id, client)| client.answered && !self.closing.contains(id));
        for (_, client) in holding {
            assert!(!self.is_fresh(client) || client.granted.is_empty(), "released under a holder");
        }
    }

    fn check(&self) {
        let state = self.machine.state();
        if state == MachineState::Gone {
            assert_eq!(self.machine.deadline(), None, "it would spin");
        } else {
            assert!(!self.running || self.journal != Word::Clean, "something runs that no journal names");
        }
        if matches!(state, MachineState::Up | MachineState::Warm { .. }) {
            assert!(self.machine.waiting.is_empty(), "a waiter is left in {state:?}");
        }
        self.check_no_attempt_waits_in_vain();
        if state == MachineState::Up && !self.machine.ours {
            assert_eq!(self.journal, Word::Clean);
        }
    }

    fn step(&mut self) {
        self.now += [0, 1, 7, 50, 900, 12_000][self.random.usize(..6)];
        self.due();
        if self.machine.state() == MachineState::Gone {
            self.restart();
        }
        self.check_the_dead_leave();
        match self.random.u8(..100) {
            0..10 => self.start_run(),
            10..22 => self.join(),
            22..30 => self.join_named(),
            30..37 => self.leave(),
            37..41 => self.kill_runner(),
            41..43 => self.kill_holder(),
            43..45 => self.finish(),
            45..47 => self.let_go(),
            47..60 => self.begin(),
            60..72 => self.end(),
            72..83 => self.finish_call(),
            83..87 => self.finish_look(),
            87..90 => self.room_changes(),
            90 => self.suspended_from_outside(),
            91..94 => self.crash(),
            94 => self.lose_nodes(),
            95 => self.cool(),
            96 => {
                self.term = true;
                self.feed(Event::Term);
            }
            97 => {
                self.tethered = true;
                self.feed(Event::Tethered);
            }
            98 => {
                self.now += 7_200_001;
                self.limit_passed = true;
                self.due();
                self.limit_passed = false;
            }
            _ => self.drops_change(),
        }
    }

    fn due(&mut self) {
        while self.machine.state() != MachineState::Gone && self.machine.deadline().is_some_and(|at| at <= self.now) {
            let before = self.machine.deadline();
            self.feed(Event::Due);
            assert!(
                self.machine.deadline() != before || self.machine.state() == MachineState::Gone,
                "a deadline that stays"
            );
        }
    }

    fn start_run(&mut self) {
        let (session, runner) = (SessionId(self.id()), RunnerId(self.id()));
        self.runners.insert(runner, (session, true));
    }

    fn join(&mut self) {
        let keys: Vec<RunnerId> = self.runners.keys().copied().collect();
        if keys.is_empty() {
            return;
        }
        let runner = keys[self.random.usize(..keys.len())];
        self.join_as(ClientOrigin::Run(runner), Vec::new());
    }

    fn join_as(&mut self, origin: ClientOrigin, open: Vec<(AttemptId, Mode)>) {
        let (session, runners) = match origin {
            ClientOrigin::Run(runner) => (self.runners[&runner].0, vec![(runner, self.runners[&runner].1)]),
            ClientOrigin::Named(name) => (self.session_of(name, false), Vec::new()),
            ClientOrigin::Holder(name, runner) => {
                let session = self.session_of(name, true);
                self.explicit.get_mut(&session).unwrap().holders.insert(runner, true);
                (session, vec![(runner, true)])
            }
        };
        let explicit = (!matches!(origin, ClientOrigin::Run(_))).then_some(IDLE);
        let client = ClientId(self.id());
        let granted = open.iter().map(|(attempt, mode)| (*attempt, (*mode, false))).collect();
        let joined_at = self.now;
        let asked = BTreeMap::new();
        self.clients.insert(client, FakeClient { origin, session, answered: false, joined_at, granted, asked });
        let keep_warm = if session.0 % 3 == 0 { 5_000 } else { 0 };
        let on_exit = if session.0 % 7 == 0 { OnExit::Suspend } else { OnExit::Auto };
        let on_suspended = if session.0.is_multiple_of(5) { OnSuspended::Resume } else { OnSuspended::Fail };
        let policy = Policy { keep_warm, on_exit, on_suspended, ..Policy::default() };
        self.feed(Event::Join(client, Join { session, runners, policy, orphan: false, open, explicit }));
    }

    fn pick(&mut self, ready: bool) -> Option<ClientId> {
        let ids: Vec<ClientId> =
            self.clients.iter().filter(|(_, client)| !ready || client.answered).map(|(id, _)| *id).collect();
        (!ids.is_empty()).then(|| ids[self.random.usize(..ids.len())])
    }

    fn leave(&mut self) {
        if let Some(client) = self.pick(false) {
            self.forget(client);
            self.feed(Event::Leave(client));
        }
    }

    fn kill_runner(&mut self) {
        let alive: Vec<RunnerId> = self.runners.iter().filter(|(_, run)| run.1).map(|(id, _)| *id).collect();
        if !alive.is_empty() {
            let runner = alive[self.random.usize(..alive.len())];
            self.runners.get_mut(&runner).unwrap().1 = false;
            self.feed(Event::RunnerGone(runner));
        }
    }

    fn begin(&mut self) {
        if self.machine.state() != MachineState::Up {
            return;
        }
        let Some(client) = self.pick(true) else { return };
        let attempt = AttemptId(self.id());
        let mode = if self.random.u8(..) < 60 { Mode::Exclusive } else { Mode::Shared };
        self.clients.get_mut(&client).unwrap().asked.insert(attempt, mode);
        self.feed(Event::Begin { client, attempt, mode, parent: None });
    }

    fn end(&mut self) {
        let Some(id) = self.pick(true) else { return };
        let Some((attempt, _)) = self.clients.get_mut(&id).unwrap().granted.pop_first() else { return };
        self.feed(Event::End { client: id, attempt });
    }

    fn finish_call(&mut self) {
        let luck = self.random.u8(..100);
        match self.call.take() {
            None => {}
            Some(Effect::Probe) if luck < 20 => self.feed(Event::NotProbed),
            Some(Effect::Probe) => {
                let up = self.running;
                self.joins_others(up);
                self.feed(Event::Probed { up });
            }
            Some(Effect::Acquire) if luck < 70 => {
                self.joins_others(true);
                let ours = !self.foreign && !self.running;
                self.running |= ours;
                self.feed(Event::Acquired { ours: ours || (self.running && luck < 35) });
            }
            Some(Effect::Acquire) => {
                let left = luck < 85 && !self.foreign;
                self.running |= left;
                self.feed(Event::NotAcquired { maybe_up: left || luck.is_multiple_of(2) });
            }
            Some(_) => {
                // A release does not wait long for what is being put back: it is noted and left.
                if self.random.bool() {
                    self.look = None;
                }
                let ok = luck < 70;
                if ok || !self.machine.releasable() {
                    self.turns = None;
                }
                if ok {
                    self.running = false;
                    self.foreign = false;
                }
                self.feed(Event::Released { ok });
            }
        }
    }

    /// Kills the keeper. What it was doing may or may not have happened, and its clients come back.
    fn crash(&mut self) {
        match self.call.take() {
            Some(Effect::Acquire) if !self.foreign => self.running |= self.random.bool(),
            Some(Effect::Release) if self.random.bool() => self.running = false,
            _ => {}
        }
        self.log.push(format!("{} crash, journal {:?}", self.now, self.journal));
        self.restart();
    }

    fn restart(&mut self) {
        assert!(!self.running || self.journal != Word::Clean, "something runs that no journal names");
        let clients = std::mem::take(&mut self.clients);
        // The next keeper knows of sessions only what those who come back to it say.
        self.names.clear();
        let dead = std::mem::take(&mut self.explicit);
        let is_dead = |runner| dead.values().any(|explicit| explicit.holders.get(&runner) == Some(&false));
        self.look = None;
        self.changed = self.noted;
        self.machine = Machine::new(self.now, self.journal, MachineLimits::default()).owing_aftermath(self.noted);
        (self.term, self.tethered, self.drops, self.lost) = (false, false, DropsModel::default(), None);
        (self.turns, self.wants_alone) = (None, false);
        for client in clients.into_values() {
            let open = client.granted.iter().map(|(attempt, (mode, _))| (*attempt, *mode)).collect();
            // A dead holder does not come back.
            let comes = !matches!(client.origin, ClientOrigin::Holder(_, runner) if is_dead(runner));
            if comes && self.machine.state() != MachineState::Gone && self.random.u8(..) < 200 {
                self.join_as(client.origin, open);
            }
        }
    }

    /// Ends all clients and runners. With a provider that works, the keeper ends and nothing of ours runs.
    fn wind_down(&mut self) {
        while let Some(client) = self.clients.keys().next().copied() {
            self.forget(client);
            self.feed(Event::Leave(client));
        }
        while self.explicit.values().any(|explicit| explicit.holders.values().any(|alive| *alive)) {
            self.kill_holder();
        }
        let alive: Vec<RunnerId> = self.runners.iter().filter(|(_, run)| run.1).map(|(id, _)| *id).collect();
        for runner in alive {
            self.runners.get_mut(&runner).unwrap().1 = false;
            self.feed(Event::RunnerGone(runner));
        }
        for _ in 0..100 {
            self.finish_look();
            match self.call.take() {
                Some(Effect::Probe) => {
                    let up = self.running;
                    self.feed(Event::Probed { up });
                }
                Some(Effect::Acquire) => self.feed(Event::NotAcquired { maybe_up: true }),
                Some(_) => {
                    self.running = false;
                    self.feed(Event::Released { ok: true });
                }
                None if self.machine.state() == MachineState::Gone => return,
                None => {
                    self.now = self.machine.deadline().expect("idle for ever").max(self.now);
                    self.due();
                }
            }
        }
        panic!("does not end");
    }
}

impl World {
    /// Begins a look or a repair. The one before ends, as the loop ends it.
    fn begin_look(&mut self, effect: Effect) {
        match effect {
            Effect::Look(..) => {
                assert_eq!(self.machine.state(), MachineState::Up);
                assert!(!self.changed, "a look at what is not put back yet");
                assert!(self.clients.values().all(|client| client.granted.is_empty()), "a look beside tests");
            }
            _ => {
                let exclusive = |client: &FakeClient| client.granted.values().any(|(mode, _)| *mode == Mode::Exclusive);
                // A client that is cut may not know it yet.
                let ends = self.term || self.limit_passed || self.tethered;
                assert!(ends || !self.clients.values().any(exclusive), "put back under the test that changes it");
            }
        }
        self.look = Some(effect);
    }

    fn finish_look(&mut self) {
        let ok = self.random.u8(..100) < 80;
        match self.look.take() {
            Some(Effect::Look(id, ..)) => {
                self.noted = ok;
                self.feed(Event::Looked { id, ok });
            }
            Some(Effect::Restore(id)) => {
                // Even if it failed: the loop has said so.
                (self.noted, self.changed) = (false, false);
                self.feed(Event::Restored(id));
            }
            _ => {}
        }
    }
}

impl World {
    fn has_ended(&self, session: SessionId) -> bool {
        self.explicit.get(&session).is_some_and(|explicit| explicit.ended.is_some())
    }

    /// Checks that an explicit session keeps the cluster until it is finished, its holder is dead, or it was idle.
    fn check_no_session_wants_it(&self) {
        if self.term || self.limit_passed || self.lost.is_some() {
            return;
        }
        for (id, explicit) in self.explicit.iter().filter(|(_, explicit)| explicit.ended.is_none()) {
            let leased = self.clients.values().any(|client| client.session == *id);
            let held = explicit.holders.values().any(|alive| *alive);
            assert!(!leased && !held && self.now >= explicit.quiet_since + IDLE, "released under a living {id:?}");
        }
    }

    /// Checks that clients of sessions that are over are cut in time. The machine has heard of the time that passed.
    fn check_the_dead_leave(&self) {
        for client in self.clients.values().filter(|client| !matches!(client.origin, ClientOrigin::Run(_))) {
            let late = self.explicit[&client.session].ended.map(|ended| ended.max(client.joined_at));
            let limit = MachineLimits::default().orphan_lease;
            assert!(
                late.is_none_or(|late| self.now < late + limit),
                "a client of a session that is over is still there"
            );
        }
    }

    fn join_named(&mut self) {
        let name = self.random.u8(..3);
        let origin = match self.random.u8(..4) {
            0 => ClientOrigin::Holder(name, RunnerId(self.id())),
            _ => ClientOrigin::Named(name),
        };
        self.join_as(origin, Vec::new());
    }

    /// Returns what a name means, as the loop does: the session that takes the new client, or a new one.
    fn session_of(&mut self, name: u8, holder: bool) -> SessionId {
        let known = self.names.get(&name).copied().filter(|id| self.machine.takes(*id, holder));
        let id = known.unwrap_or_else(|| SessionId(self.id()));
        self.names.insert(name, id);
        let now = self.now;
        self.explicit.entry(id).or_insert_with(|| NamedModel { quiet_since: now, ..NamedModel::default() });
        id
    }

    fn ended(&mut self, session: SessionId) {
        let now = self.now;
        if let Some(explicit) = self.explicit.get_mut(&session) {
            explicit.ended.get_or_insert(now);
        }
    }

    fn finish(&mut self) {
        let ids: Vec<SessionId> = self.names.values().copied().collect();
        if !ids.is_empty() {
            let id = ids[self.random.usize(..ids.len())];
            self.ended(id);
            self.feed(Event::Finish(id));
        }
    }

    /// Lets a holder give up its part, as it does before its process ends: it is not connected any more.
    fn let_go(&mut self) {
        let held = self.explicit.iter().flat_map(|(id, explicit)| {
            explicit.holders.iter().filter(|(_, alive)| **alive).map(move |(runner, _)| (*id, *runner))
        });
        let held: Vec<(SessionId, RunnerId)> = held.collect();
        if held.is_empty() {
            return;
        }
        let (session, runner) = held[self.random.usize(..held.len())];
        let connected = self
            .clients
            .iter()
            .filter(|(_, client)| matches!(client.origin, ClientOrigin::Holder(_, holder) if holder == runner));
        let connected: Vec<ClientId> = connected.map(|(id, _)| *id).collect();
        for client in connected {
            self.forget(client);
            self.feed(Event::Leave(client));
        }
        let Some(explicit) = self.explicit.get_mut(&session) else { return };
        explicit.holders.remove(&runner);
        let others = explicit.holders.values().any(|alive| *alive);
        if !others {
            self.ended(session);
        }
        let had_ended = self.has_ended(session);
        self.feed(Event::LetGo(session, runner));
        assert!(had_ended || self.machine.is_alive(session), "it ended under another holder");
        assert!(others || !self.machine.is_alive(session), "it has no holder, and it lives");
    }

    fn cool(&mut self) {
        self.feed(Event::Cool);
        assert!(!matches!(self.machine.state(), MachineState::Warm { .. }), "still kept warm");
    }

    fn kill_holder(&mut self) {
        let alive = |explicit: &NamedModel| explicit.holders.iter().find(|(_, alive)| **alive).map(|(id, _)| *id);
        let Some((session, runner)) = self.explicit.iter().find_map(|(id, explicit)| Some((*id, alive(explicit)?)))
        else {
            return;
        };
        let explicit = self.explicit.get_mut(&session).unwrap();
        explicit.holders.insert(runner, false);
        if !explicit.holders.values().any(|alive| *alive) {
            self.ended(session);
        }
        self.feed(Event::RunnerGone(runner));
    }
}

fn histories() -> u64 {
    std::env::var("CRATEDB_TEST_FUZZ_HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

#[test]
fn random_histories_break_no_promise() {
    for seed in 0..histories() {
        let mut world = World::new(seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..150 {
                world.step();
            }
            world.wind_down();
            // What a crashed keeper left to its journal is repaired by the next run.
            if world.running {
                assert_ne!(world.journal, Word::Clean);
                world.restart();
                world.start_run();
                world.join();
                world.wind_down();
            }
            assert!(!world.running, "something is left running");
        }));
        if let Err(panic) = outcome {
            eprintln!("seed {seed}\n{}", world.log[world.log.len().saturating_sub(60)..].join("\n"));
            std::panic::resume_unwind(panic);
        }
    }
}
