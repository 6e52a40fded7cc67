//! The steps of the world, each with what the keeper is told of it.

use super::*;

impl World {
    /// Takes a step. Returns false if the keeper was to be killed in the middle of its effects, and there is none.
    pub(in super::super) fn take(&mut self, action: Action) -> bool {
        self.kill_after = action.killed_after;
        self.step(action.step);
        self.normalize();
        self.kill_after.take().is_none()
    }

    pub(super) fn step(&mut self, step: Step) {
        match step {
            Step::Join(number) => self.join(number, true),
            Step::JoinDead(number) => self.join(number, false),
            Step::Leave(number) => self.leave(number),
            Step::Begin(number, mode) => self.begin(number, mode),
            Step::End(number) => self.end(number),
            Step::EndRun => self.end_run(),
            Step::KillHolder => self.kill_holder(),
            Step::LetGo => self.let_go(),
            Step::Finish => {
                let name = self.name.expect("a session to finish");
                self.end_session(name);
                self.feed(Event::Finish(name));
            }
            Step::Serve(outcome) => self.serve(outcome),
            Step::Looked { ok } => self.looked(ok),
            Step::Due => self.feed(Event::Due),
            Step::Tick => self.tick(),
            Step::Signal => {
                self.left.signals -= 1;
                self.signalled = true;
                self.feed(Event::Term);
            }
            Step::Tether => {
                self.left.tethers -= 1;
                self.tethered = true;
                self.feed(Event::Tethered);
            }
            Step::Cool => self.feed(Event::Cool),
            Step::Lose { all } => {
                self.left.losses -= 1;
                self.lost = Some(all || self.lost == Some(true));
                self.feed(Event::Lost { all });
            }
            Step::CutOff { gone } => self.cut_off(gone),
            Step::Turns(turns) => {
                self.left.turns = self.left.turns.saturating_sub(1);
                self.turns = Some(turns);
                self.feed(Event::Turns(turns));
            }
            Step::Kill { done } => self.kill(done),
        }
    }

    fn join(&mut self, number: usize, alive: bool) {
        if self.is_gone() {
            // The client starts the next keeper.
            self.restart();
        }
        let Client { origin, granted, .. } = self.clients[number];
        let (session, runners) = match origin {
            Origin::Run => (RUN, vec![(CARGO, self.run_lives)]),
            Origin::Named => (self.session_of_name(false), Vec::new()),
            Origin::Holder => {
                self.holder = if alive { Holder::Alive } else { Holder::Dead };
                (self.session_of_name(true), vec![(HOLDER, alive)])
            }
        };
        let explicit = (origin != Origin::Run).then_some(self.idle);
        if origin == Origin::Holder {
            self.held = Some(session);
        }
        if !alive {
            // No other process holds it.
            self.end_session(session);
        }
        let over = match origin {
            Origin::Run => !self.run_lives,
            _ => self.ended.contains(&session),
        };
        if granted.is_some() {
            self.since_begin = 0;
        }
        let link = Link::Waiting { again: false };
        self.clients[number] = Client { origin, link, session, asked: None, granted, doomed: over.then_some(0) };
        let open = granted.into_iter().map(|mode| (ATTEMPT, mode)).collect();
        let join = Join { session, runners, policy: self.policy, orphan: false, open, explicit };
        self.feed(Event::Join(Self::client(number), join));
    }

    /// Returns what the name means, as the loop does: the session that takes the new client, or a new one.
    fn session_of_name(&mut self, holder: bool) -> SessionId {
        let id = match self.name {
            Some(name) if self.machine.takes(name, holder) => name,
            Some(SessionId(last)) => {
                self.left.again -= 1;
                SessionId(last + 1)
            }
            None => NAMED,
        };
        self.name = Some(id);
        id
    }

    fn leave(&mut self, number: usize) {
        let known = self.clients[number].is_linked();
        self.clients[number].close();
        if known {
            self.feed(Event::Leave(Self::client(number)));
        } else {
            // A holder that does not come back is dead.
            let holds = self.clients[number].origin == Origin::Holder;
            self.holder = if holds { Holder::Dead } else { self.holder };
        }
    }

    fn begin(&mut self, number: usize, mode: Mode) {
        self.clients[number].asked = Some(mode);
        self.since_begin = 0;
        self.feed(Event::Begin { client: Self::client(number), attempt: ATTEMPT, mode, parent: None });
    }

    fn end(&mut self, number: usize) {
        let client = &mut self.clients[number];
        (client.asked, client.granted) = (None, None);
        if client.is_linked() {
            self.feed(Event::End { client: Self::client(number), attempt: ATTEMPT });
        }
    }

    fn end_run(&mut self) {
        self.run_lives = false;
        for client in self.clients.iter_mut().filter(|client| client.origin == Origin::Run && client.is_linked()) {
            client.doomed = Some(0);
        }
        if self.machine.runners.contains_key(&CARGO) {
            self.feed(Event::RunnerGone(CARGO));
        }
    }

    fn kill_holder(&mut self) {
        self.holder = Holder::Dead;
        for client in self.clients.iter_mut().filter(|client| client.origin == Origin::Holder) {
            if client.link == Link::Adrift {
                client.close();
            }
        }
        if let Some(session) = self.held {
            self.end_session(session);
            self.feed(Event::RunnerGone(HOLDER));
        }
    }

    fn let_go(&mut self) {
        self.holder = Holder::Free;
        if let Some(session) = self.held {
            self.end_session(session);
            self.feed(Event::LetGo(session, HOLDER));
        }
    }

    pub(super) fn end_session(&mut self, id: SessionId) {
        if self.ended.contains(&id) {
            return;
        }
        self.ended.push(id);
        self.ended.sort_unstable();
        let of_it = |client: &&mut Client| client.origin != Origin::Run && client.session == id && client.is_linked();
        for client in self.clients.iter_mut().filter(of_it) {
            client.doomed = Some(0);
        }
    }

    fn serve(&mut self, outcome: Outcome) {
        self.left.failures -= u8::from(outcome != Outcome::Done);
        match self.call.take().expect("a call to serve") {
            Call::Probe if outcome != Outcome::Done => {
                self.unseen = true;
                self.feed(Event::NotProbed);
            }
            Call::Probe => {
                let up = self.cluster == Cluster::Ours;
                self.joins_others(up);
                self.feed(Event::Probed { up });
            }
            Call::Acquire => self.acquired(outcome),
            Call::Release => self.released(outcome),
        }
    }

    fn acquired(&mut self, outcome: Outcome) {
        let ours = self.cluster == Cluster::Absent;
        let happens = matches!(outcome, Outcome::Done | Outcome::Unknown { done: true });
        if ours && happens {
            self.cluster = Cluster::Ours;
        }
        match outcome {
            Outcome::Done => {
                self.joins_others(true);
                self.feed(Event::Acquired { ours });
            }
            Outcome::Failed => self.feed(Event::NotAcquired { maybe_up: false }),
            Outcome::Unknown { .. } => self.feed(Event::NotAcquired { maybe_up: true }),
        }
    }

    fn released(&mut self, outcome: Outcome) {
        // A release does not wait long for what is being restored: it stays noted.
        self.look = None;
        let (ok, releases) = (outcome == Outcome::Done, self.machine.releasable());
        if releases && matches!(outcome, Outcome::Done | Outcome::Unknown { done: true }) {
            self.cluster = Cluster::Absent;
            self.fail_adrift();
        }
        if ok || !releases {
            self.turns = None;
        }
        self.feed(Event::Released { ok });
    }

    /// Takes a lease among those of other keepers, with the cluster.
    fn joins_others(&mut self, up: bool) {
        if self.shared && up {
            self.turns = Some(Turns::Shared);
            // It is heard before the cluster is. That it is killed in between is nothing new.
            let kill_after = self.kill_after.take();
            self.feed(Event::Turns(Turns::Shared));
            self.kill_after = kill_after;
        }
    }

    fn looked(&mut self, ok: bool) {
        // A task that ended in vain is not answered: the answer is that of the last one.
        let id = match self.machine.aftermath {
            Aftermath::Looking { id, .. } | Aftermath::Restoring { id, .. } => id,
            _ => LookId(0),
        };
        match self.look.take().expect("a look to end") {
            Look::Before => {
                self.noted = ok;
                self.feed(Event::Looked { id, ok });
            }
            Look::After => {
                (self.noted, self.changed) = (false, false);
                self.feed(Event::Restored(id));
            }
        }
    }

    fn cut_off(&mut self, gone: bool) {
        self.left.cuts -= 1;
        // If another keeper uses it, it is that one's.
        self.cluster = if gone { Cluster::Absent } else { Cluster::Foreign };
        self.turns = None;
        self.await_another();
        self.fail_adrift();
        self.feed(Event::CutOff);
    }

    /// The cluster is gone. Attempts on it that the keeper has not heard of have failed.
    fn fail_adrift(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.link == Link::Adrift) {
            client.granted = None;
        }
    }

    /// Kills the keeper. Its clients come back.
    pub(super) fn kill(&mut self, done: bool) {
        self.left.crashes -= 1;
        match self.call {
            Some(Call::Acquire) if done && self.cluster == Cluster::Absent => self.cluster = Cluster::Ours,
            Some(Call::Release) if done && self.machine.releasable() => self.cluster = Cluster::Absent,
            _ => {}
        }
        let holder_dead = self.holder == Holder::Dead;
        for client in self.clients.iter_mut().filter(|client| client.is_linked()) {
            if client.origin == Origin::Holder && holder_dead {
                client.close();
                continue;
            }
            // What it waits for it asks for again. On a cluster that is gone its attempt has failed.
            let granted = client.granted.filter(|_| self.cluster != Cluster::Absent);
            *client = Client { link: Link::Adrift, asked: None, granted, doomed: None, ..*client };
        }
        self.restart();
    }

    /// Begins a keeper that knows what the journal says. Of sessions it knows what those who come back to it say.
    fn restart(&mut self) {
        let limits = self.machine.limits.clone();
        let machine = Machine::new(NOW, self.journal, limits).owing_aftermath(self.noted);
        self.machine = Machine { without: self.machine.without, ..machine };
        (self.call, self.look, self.changed) = (None, None, self.noted);
        (self.name, self.held, self.ended) = (None, None, Vec::new());
        (self.lost, self.turns, self.wants_alone, self.unseen) = (None, None, false, false);
        (self.signalled, self.tethered, self.since_begin) = (false, false, 0);
    }
}
