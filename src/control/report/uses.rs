//! Makes the use of a cluster out of one recording, and joins it with that of a killed keeper before it.

use std::collections::{BTreeMap, HashMap};

use super::model::{Attempt, AttemptResult, ClusterUse, Phase, PhaseKind, Process, RecycledCounts};
use super::tape::Tape;
use crate::recording::{Event, State, Step};
use crate::wait::Millis;

/// The most messages of one phase that are shown.
const SAYS: usize = 8;
/// The name of what was lost on its way to the disk.
const LOST: &str = "(not recorded)";

/// Plays one recording.
struct Player {
    made: ClusterUse,
    phase: Phase,
    steps: BTreeMap<Step, Millis>,
    processes: HashMap<u64, usize>,
    attempts: HashMap<(u64, u64), usize>,
    /// Those that another keeper had granted.
    again: Vec<usize>,
    notes: Vec<String>,
}

/// The use of a cluster, as one keeper recorded it.
pub(super) struct Played {
    pub(super) made: ClusterUse,
    /// The attempts that a keeper before this one had granted.
    pub(super) again: Vec<usize>,
    pub(super) notes: Vec<String>,
}

/// Plays a recording. `length` is how long it is, by the clock if its keeper is alive.
pub(super) fn play(tape: &Tape, length: Millis) -> Played {
    let made = ClusterUse {
        key: tape.head.key.clone(),
        provider: String::new(),
        name: String::new(),
        version: String::new(),
        how: String::new(),
        id: None,
        outcome: None,
        detail: String::new(),
        phases: Vec::new(),
        steps: Vec::new(),
        processes: Vec::new(),
        attempts: Vec::new(),
        recycled: RecycledCounts::default(),
    };
    let phase = Phase { kind: PhaseKind::Looking, from: 0, to: 0, says: Vec::new() };
    let mut player = Player {
        made,
        phase,
        steps: BTreeMap::new(),
        processes: HashMap::new(),
        attempts: HashMap::new(),
        again: Vec::new(),
        notes: Vec::new(),
    };
    for (t, event) in &tape.events {
        player.take(*t, event.clone());
    }
    player.end(tape, length)
}

impl Player {
    fn take(&mut self, t: Millis, event: Event) {
        match event {
            Event::Joined { c, pid, binary } => self.joined(t, c, pid, binary),
            Event::Ready { c } => {
                let process = self.process(t, c);
                self.made.processes[process].ready.get_or_insert(t);
            }
            Event::Left { c } => self.left(t, c),
            Event::Cluster(cluster) => {
                let made = &mut self.made;
                (made.provider, made.name, made.version) = (cluster.provider, cluster.name, cluster.version);
                (made.how, made.id) = (cluster.how, cluster.id);
            }
            Event::State { is } => self.phase_is(t, phase_of(is)),
            Event::Says { text } => {
                if self.phase.says.last() != Some(&text) && self.phase.says.len() < SAYS {
                    self.phase.says.push(text);
                }
            }
            Event::Begin { c, a, test, exclusive, inside } => {
                let attempt = self.asked(t, c, a, test);
                (attempt.exclusive, attempt.inside) = (exclusive, inside);
            }
            Event::Turn { c, a } => self.attempt(t, c, a).turn = Some(t),
            Event::Grant { c, a, schema, premade, again } => {
                let attempt = self.attempt(t, c, a);
                (attempt.schema, attempt.premade) = (schema, premade);
                attempt.began.get_or_insert(t);
                if again {
                    self.again.extend(self.attempts.get(&(c, a)));
                }
            }
            Event::Refuse { c, a, why } => self.attempt(t, c, a).result = AttemptResult::Refused(why),
            Event::End { c, a, passed, kept } => self.ended(t, c, a, passed, kept),
            Event::Step { step, on: true } => drop(self.steps.entry(step).or_insert(t)),
            Event::Step { step, on: false } => self.step_ends(t, step),
            Event::Lost { all } => {
                let what = if all { "all nodes" } else { "nodes" };
                self.phase.says.push(format!("{what} of the cluster ended by themselves"));
            }
            Event::Closed { outcome, detail, recycled } => {
                (self.made.outcome, self.made.detail, self.made.recycled) = (Some(outcome), detail, recycled);
            }
            Event::Gap { lines } => self.notes.push(format!("{lines} events were not written: the disk was too slow")),
            Event::Full => self.notes.push(format!(
                "the recording was full {} after its beginning: later tests are not in it",
                super::text::span(t)
            )),
            Event::Alive | Event::Over | Event::Unknown => {}
        }
    }

    fn phase_is(&mut self, t: Millis, kind: PhaseKind) {
        if kind == self.phase.kind {
            return;
        }
        let next = Phase { kind, from: t, to: t, says: Vec::new() };
        let ended = std::mem::replace(&mut self.phase, next);
        if ended.from < t {
            self.made.phases.push(Phase { to: t, ..ended });
        }
    }

    fn joined(&mut self, t: Millis, c: u64, pid: u32, program: String) {
        self.processes.insert(c, self.made.processes.len());
        self.made.processes.push(Process { pid, program, joined: t, ready: None, left: None });
    }

    /// Returns the place of a process. One whose arrival was lost is made up.
    fn process(&mut self, t: Millis, c: u64) -> usize {
        if !self.processes.contains_key(&c) {
            self.joined(t, c, 0, LOST.to_owned());
        }
        self.processes[&c]
    }

    fn asked(&mut self, t: Millis, c: u64, a: u64, test: String) -> &mut Attempt {
        let (process, at) = (self.process(t, c), self.made.attempts.len());
        self.attempts.insert((c, a), at);
        self.made.attempts.push(Attempt {
            test,
            process,
            schema: String::new(),
            exclusive: false,
            inside: false,
            premade: false,
            kept: false,
            asked: t,
            turn: None,
            began: None,
            ended: None,
            result: AttemptResult::Open,
        });
        &mut self.made.attempts[at]
    }

    fn attempt(&mut self, t: Millis, c: u64, a: u64) -> &mut Attempt {
        match self.attempts.get(&(c, a)) {
            Some(at) => &mut self.made.attempts[*at],
            None => self.asked(t, c, a, LOST.to_owned()),
        }
    }

    fn ended(&mut self, t: Millis, c: u64, a: u64, passed: bool, kept: bool) {
        // Without its beginning nothing is known of it.
        let Some(attempt) = self.attempts.get(&(c, a)).map(|at| &mut self.made.attempts[*at]) else { return };
        if attempt.ended.is_none() && attempt.began.is_some() {
            attempt.result = if passed { AttemptResult::Passed } else { AttemptResult::Failed };
            (attempt.ended, attempt.kept) = (Some(t), kept);
        }
    }

    /// A process is gone, and so is what it had begun.
    fn left(&mut self, t: Millis, c: u64) {
        let Some(process) = self.processes.get(&c).copied() else { return };
        self.made.processes[process].left = Some(t);
        let open = |one: &&mut Attempt| one.process == process && one.result == AttemptResult::Open;
        for attempt in self.made.attempts.iter_mut().filter(open) {
            attempt.result = AttemptResult::Lost;
            attempt.ended = attempt.began.map(|_| t);
        }
    }

    fn step_ends(&mut self, t: Millis, step: Step) {
        if let Some(from) = self.steps.remove(&step) {
            self.made.steps.push(Phase { kind: step_of(step), from, to: t, says: Vec::new() });
        }
    }

    fn end(mut self, tape: &Tape, length: Millis) -> Played {
        let last = std::mem::take(&mut self.phase.says);
        if self.phase.from < length || self.made.phases.is_empty() {
            self.made.phases.push(Phase { to: length, says: last, ..self.phase });
        }
        let open: Vec<Step> = self.steps.keys().copied().collect();
        open.into_iter().for_each(|step| self.step_ends(length, step));
        match tape.damaged {
            0 => {}
            1 => self.notes.push("a line of the recording is damaged".to_owned()),
            lines => self.notes.push(format!("{lines} lines of the recording are damaged")),
        }
        Played { made: self.made, again: self.again, notes: self.notes }
    }
}

fn phase_of(state: State) -> PhaseKind {
    match state {
        State::Looking => PhaseKind::Looking,
        State::Down => PhaseKind::Down,
        State::Acquiring => PhaseKind::Starting,
        State::Up => PhaseKind::Up,
        State::Warm => PhaseKind::Warm,
        State::Releasing => PhaseKind::Releasing,
        State::Owed => PhaseKind::Owed,
        State::Failed => PhaseKind::Failed,
        State::Unknown => PhaseKind::Unknown,
    }
}

fn step_of(step: Step) -> PhaseKind {
    match step {
        Step::Cleaning => PhaseKind::Cleaning,
        Step::Look => PhaseKind::Look,
        Step::Restore => PhaseKind::Restore,
        Step::Unknown => PhaseKind::Unknown,
    }
}

impl ClusterUse {
    /// Moves everything to a later time.
    pub(super) fn moved(mut self, by: Millis) -> Self {
        let later = |t: &mut Millis| *t = t.saturating_add(by);
        for phase in self.phases.iter_mut().chain(&mut self.steps) {
            later(&mut phase.from);
            later(&mut phase.to);
        }
        for process in &mut self.processes {
            later(&mut process.joined);
            process.ready.iter_mut().chain(&mut process.left).for_each(later);
        }
        for attempt in &mut self.attempts {
            later(&mut attempt.asked);
            attempt.turn.iter_mut().chain(&mut attempt.began).chain(&mut attempt.ended).for_each(later);
        }
        self
    }

    /// Returns the end of its last phase.
    pub(super) fn end(&self) -> Millis {
        self.phases.last().map_or(0, |phase| phase.to)
    }

    /// Goes on with what the keeper that came after a killed one recorded. An attempt that the new keeper was told of
    /// is the one that the killed one had granted.
    pub(super) fn follow(&mut self, next: Played) {
        let Played { made: next, again, .. } = next;
        self.fill_gap(&next);
        self.phases.extend(next.phases);
        self.steps.extend(next.steps);
        let places: Vec<usize> = next.processes.into_iter().map(|process| self.back(process)).collect();
        for (at, mut attempt) in next.attempts.into_iter().enumerate() {
            attempt.process = places[attempt.process];
            let granted = again.contains(&at);
            // One that waited is asked for again, and has no schema yet.
            let same = |one: &Attempt| match granted {
                true => one.schema == attempt.schema,
                false => one.began.is_none() && (one.process, &one.test) == (attempt.process, &attempt.test),
            };
            let open = |one: &&mut Attempt| one.result == AttemptResult::Open && same(one);
            match self.attempts.iter_mut().find(open) {
                Some(one) if granted => {
                    (one.ended, one.kept, one.result) = (attempt.ended, attempt.kept, attempt.result);
                }
                Some(one) => *one = Attempt { asked: one.asked, ..attempt },
                None => self.attempts.push(attempt),
            }
        }
        if !next.provider.is_empty() {
            (self.provider, self.name, self.version) = (next.provider, next.name, next.version);
            self.id = next.id;
        }
        (self.outcome, self.detail, self.recycled) = (next.outcome, next.detail, next.recycled);
    }

    /// Returns the place of a process that came to the next keeper. One that had not left the killed one is the same.
    fn back(&mut self, process: Process) -> usize {
        let same = |one: &Process| one.left.is_none() && (one.pid, &one.program) == (process.pid, &process.program);
        match self.processes.iter().position(same) {
            Some(place) => {
                let one = &mut self.processes[place];
                (one.ready, one.left) = (one.ready.or(process.ready), process.left);
                place
            }
            None => {
                self.processes.push(process);
                self.processes.len() - 1
            }
        }
    }

    /// Fills the time between two keepers. The cluster ran on if the second one found it.
    fn fill_gap(&mut self, next: &Self) {
        let Some(from) = next.phases.first().map(|phase| phase.from) else { return };
        let ran = self.phases.last().is_some_and(|last| last.kind.runs());
        let found = next.phases.iter().find(|phase| phase.kind != PhaseKind::Looking);
        let found = found.is_some_and(|phase| phase.kind == PhaseKind::Up);
        let kind = if ran && found { PhaseKind::Up } else { PhaseKind::Unknown };
        let to = self.end();
        if to < from {
            let says = vec!["the keeper was killed, and the next one had not begun".to_owned()];
            self.phases.push(Phase { kind, from: to, to: from, says });
        }
    }
}
