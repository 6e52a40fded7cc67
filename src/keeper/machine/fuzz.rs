//! Random histories of runs, crashes and failures against the machine that ships, with a small model of the world.

mod drops;
mod looks;
mod named;

use std::collections::BTreeMap;

use self::drops::Drops;
use self::named::{Explicit, IDLE};

use super::*;
use crate::target::OnExit;

/// What is true outside the machine.
struct World {
    random: fastrand::Rng,
    now: Millis,
    machine: Machine,
    journal: Word,
    call: Option<Effect>,
    /// A look or a repair that is under way.
    look: Option<Effect>,
    /// The journal names an exclusive attempt that was looked at for: what it changes has to be put back.
    noted: bool,
    /// An exclusive attempt was granted after a look, and what it changed is not put back or given up yet.
    changed: bool,
    /// The resource runs because of us.
    running: bool,
    /// It ran before us; we must not count on it.
    foreign: bool,
    runners: BTreeMap<RunnerId, (SessionId, bool)>,
    /// Which session a name means now, as the loop remembers it.
    names: BTreeMap<u8, SessionId>,
    explicit: BTreeMap<SessionId, Explicit>,
    clients: BTreeMap<ClientId, Client>,
    next: u64,
    drops: Drops,
    term: bool,
    tethered: bool,
    limit_passed: bool,
    /// Told that there is no cluster; the loop closes them.
    closing: Vec<ClientId>,
    log: Vec<String>,
}

/// Where a client comes from.
#[derive(Clone, Copy)]
enum Origin {
    Run(RunnerId),
    /// It knows the name of a session.
    Named(u8),
    /// It holds the session of this name.
    Holder(u8, RunnerId),
}

#[derive(Clone)]
struct Client {
    origin: Origin,
    session: SessionId,
    answered: bool,
    joined_at: Millis,
    granted: BTreeMap<AttemptId, (Mode, bool)>,
    asked: BTreeMap<AttemptId, Mode>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let foreign = random.u8(..) < 40;
        Self {
            machine: Machine::new(0, Word::Clean, Limits::default()),
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
            drops: Drops::default(),
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
        for effect in self.machine.on(self.now, event) {
            self.log.push(format!("    {effect:?}"));
            if effect == Effect::Release && matches!(before, State::Up | State::Warm { .. }) {
                self.check_nobody_wants_it();
            }
            self.apply(effect);
        }
        self.check();
        // Without a cluster they live shorter, which nobody counts on.
        if !matches!(before, State::Up | State::Warm { .. }) {
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

    /// A client is gone; its explicit session may be without a lease now.
    fn forget(&mut self, id: ClientId) -> Option<Client> {
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
                        assert_eq!(self.journal, Word::MaybeDown, "no intent, no call");
                        self.check_nobody_holds();
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
                self.forget(client).expect("cut somebody who is not there");
            }
            Effect::Granted(client, attempt) => self.granted(client, attempt),
            Effect::Refused(client, attempt, _) => {
                let client = self.clients.get_mut(&client).expect("refused somebody who is not there");
                client.asked.remove(&attempt).expect("refused what nobody asked for");
            }
            Effect::Look(..) | Effect::Restore(_) => self.begin_look(effect),
            Effect::Forget(_) => {
                self.look = None;
                (self.noted, self.changed) = (false, false);
            }
            Effect::Exit => {
                assert!(self.clients.values().all(|client| client.answered), "exit with somebody unanswered");
                assert!(self.call.is_none(), "exit during a call");
            }
        }
    }

    fn answer(&mut self, client: ClientId) {
        let client = self.clients.get_mut(&client).expect("answered somebody who is not there");
        assert!(!client.answered, "a waiter got two answers");
        client.answered = true;
    }

    fn granted(&mut self, id: ClientId, attempt: AttemptId) {
        let client = self.clients.get_mut(&id).expect("granted to somebody who is not there");
        let mode = client.asked.remove(&attempt).expect("granted what nobody asked for");
        let session = client.session;
        assert!(!self.has_ended(session), "granted to an explicit session that is over");
        assert!(self.look.is_none(), "granted during {:?}", self.look);
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

    /// Whether the run of a client goes on, or was over for less than the orphan limit.
    fn is_fresh(&self, client: &Client) -> bool {
        let limit = Limits::default().orphan_lease;
        if self.now < client.joined_at + limit {
            return true;
        }
        match client.origin {
            Origin::Run(runner) => self.runners.get(&runner).is_some_and(|(_, alive)| *alive),
            _ => self.explicit[&client.session].ended.is_none_or(|ended| self.now < ended + limit),
        }
    }

    fn check_nobody_holds(&self) {
        if self.term || self.limit_passed || self.tethered {
            return;
        }
        let holding = self.clients.iter().filter(|(id, client)| client.answered && !self.closing.contains(id));
        for (_, client) in holding {
            assert!(!self.is_fresh(client) || client.granted.is_empty(), "released under a holder");
        }
    }

    fn check(&self) {
        let state = self.machine.state();
        if state == State::Gone {
            assert_eq!(self.machine.deadline(), None, "it would spin");
        } else {
            assert!(!self.running || self.journal != Word::Clean, "something runs that no journal names");
        }
        if matches!(state, State::Up | State::Warm { .. }) {
            assert!(self.machine.waiting.is_empty(), "a waiter is left in {state:?}");
        }
        self.check_nobody_waits_in_vain();
        if state == State::Up && !self.machine.ours {
            assert_eq!(self.journal, Word::Clean);
        }
    }

    fn step(&mut self) {
        self.now += [0, 1, 7, 50, 900, 12_000][self.random.usize(..6)];
        self.due();
        if self.machine.state() == State::Gone {
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
            83..91 => self.finish_look(),
            91..94 => self.crash(),
            94 => self.drops_change(),
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
        while self.machine.state() != State::Gone && self.machine.deadline().is_some_and(|at| at <= self.now) {
            let before = self.machine.deadline();
            self.feed(Event::Due);
            assert!(self.machine.deadline() != before || self.machine.state() == State::Gone, "a deadline that stays");
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
        self.join_as(Origin::Run(runner), Vec::new());
    }

    fn join_as(&mut self, origin: Origin, open: Vec<(AttemptId, Mode)>) {
        let (session, runners) = match origin {
            Origin::Run(runner) => (self.runners[&runner].0, vec![(runner, self.runners[&runner].1)]),
            Origin::Named(name) => (self.session_of(name, false), Vec::new()),
            Origin::Holder(name, runner) => {
                let session = self.session_of(name, true);
                self.explicit.get_mut(&session).unwrap().holders.insert(runner, true);
                (session, vec![(runner, true)])
            }
        };
        let explicit = (!matches!(origin, Origin::Run(_))).then_some(IDLE);
        let client = ClientId(self.id());
        let granted = open.iter().map(|(attempt, mode)| (*attempt, (*mode, false))).collect();
        let joined_at = self.now;
        let asked = BTreeMap::new();
        self.clients.insert(client, Client { origin, session, answered: false, joined_at, granted, asked });
        let keep_warm = if session.0 % 3 == 0 { 5_000 } else { 0 };
        let on_exit = if session.0 % 7 == 0 { OnExit::Suspend } else { OnExit::Auto };
        let policy = Policy { keep_warm, on_exit, ..Policy::default() };
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
        if self.machine.state() != State::Up {
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
                self.feed(Event::Probed { up });
            }
            Some(Effect::Acquire) if luck < 70 => {
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
                if ok {
                    self.running = false;
                    self.foreign = false;
                }
                self.feed(Event::Released { ok });
            }
        }
    }

    /// The keeper is killed: what it was doing may or may not have happened, and its clients come back.
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
        assert!(!self.running || self.journal != Word::Clean, "something runs that nobody names");
        let clients = std::mem::take(&mut self.clients);
        // The next keeper knows of sessions only what those who come back to it say.
        self.names.clear();
        let dead = std::mem::take(&mut self.explicit);
        let is_dead = |runner| dead.values().any(|explicit| explicit.holders.get(&runner) == Some(&false));
        self.look = None;
        self.changed = self.noted;
        self.machine = Machine::new(self.now, self.journal, Limits::default()).owing_aftermath(self.noted);
        (self.term, self.tethered, self.drops) = (false, false, Drops::default());
        for client in clients.into_values() {
            let open = client.granted.iter().map(|(attempt, (mode, _))| (*attempt, *mode)).collect();
            // A dead holder does not come back.
            let comes = !matches!(client.origin, Origin::Holder(_, runner) if is_dead(runner));
            if comes && self.machine.state() != State::Gone && self.random.u8(..) < 200 {
                self.join_as(client.origin, open);
            }
        }
    }

    /// Everybody goes home; with a provider that works, the keeper ends and nothing of ours runs.
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
                None if self.machine.state() == State::Gone => return,
                None => {
                    self.now = self.machine.deadline().expect("idle for ever").max(self.now);
                    self.due();
                }
            }
        }
        panic!("does not end");
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
