//! The effects that a keeper asks for, and what is checked of each.

use super::*;

impl World {
    /// Tells the machine, and does what it says.
    pub(super) fn feed(&mut self, event: Event) {
        let effects = self.machine.on(NOW, event);
        let mut closing = Vec::new();
        for (done, effect) in effects.into_iter().enumerate() {
            if self.kill_after == Some(done) {
                self.kill_after = None;
                return self.kill(false);
            }
            self.apply(effect, &mut closing);
            self.expect(self.cluster != Cluster::Ours || self.journal != Word::Clean, Fault::Unnamed);
        }
        self.lost = self.lost.filter(|_| self.is_up());
        self.end_idle();
        self.expect(!self.is_up() || self.machine.waiting.is_empty(), Fault::Answer);
        // The loop closes their connections.
        closing.into_iter().for_each(|client| self.feed(Event::Leave(client)));
    }

    fn apply(&mut self, effect: Effect, closing: &mut Vec<ClientId>) {
        match effect {
            Effect::Write(word) => self.journal = word,
            Effect::Probe => {
                self.expect(self.journal != Word::Clean, Fault::Intent);
                self.call(Call::Probe);
            }
            Effect::Acquire => {
                self.expect(self.journal == Word::MaybeUp, Fault::Intent);
                let lives = |client: &Client| client.is_waiting() && client.doomed.is_none();
                self.expect(self.clients.iter().any(lives), Fault::OverRun);
                self.call(Call::Acquire);
            }
            Effect::Release => self.release(),
            Effect::Ready(client) => {
                let client = self.client_of(client);
                let waits = client.is_waiting();
                client.link = Link::Ready;
                self.expect(waits, Fault::Answer);
            }
            Effect::Fail(client, reason) => {
                closing.push(client);
                self.failed(client, reason);
            }
            Effect::Cut(client, reason) => self.cut(client, reason),
            Effect::Granted(client, _) => self.granted(client),
            Effect::Refused(client, ..) => {
                // One that was told that there is no cluster is being closed.
                let client = self.client_of(client);
                let answers = client.asked.take().is_some() || !client.is_linked();
                self.expect(answers, Fault::Answer);
            }
            Effect::Look(..) => {
                let beside = self.clients.iter().any(|client| client.granted.is_some());
                self.expect(self.is_up() && !self.changed && !beside, Fault::Unrestored);
                self.look = Some(Look::Before);
            }
            Effect::Restore(_) => {
                let exclusive = |client: &&Client| client.granted == Some(Mode::Exclusive);
                let under = self.clients.iter().filter(exclusive).any(|client| self.counts(client));
                self.expect(!under, Fault::Unrestored);
                self.look = Some(Look::After);
            }
            Effect::Forget(_) => (self.look, self.noted, self.changed) = (None, false, false),
            Effect::WantAlone(wants) => {
                self.wants_alone = wants;
                // Others may begin at once.
                if !wants && self.turns == Some(Turns::Alone) {
                    self.turns = Some(Turns::Shared);
                }
            }
            Effect::Quiet => {
                let runs = self.clients.iter().any(|client| client.is_linked() && client.granted.is_some());
                self.expect(self.turns == Some(Turns::None) && !runs, Fault::Room);
            }
            Effect::Exit => {
                self.expect(self.call.is_none(), Fault::TwoCalls);
                self.expect(!self.clients.iter().any(Client::is_linked), Fault::Answer);
            }
        }
    }

    fn client_of(&mut self, ClientId(number): ClientId) -> &mut Client {
        &mut self.clients[usize::try_from(number).unwrap()]
    }

    fn call(&mut self, call: Call) {
        self.expect(self.call.is_none(), Fault::TwoCalls);
        self.call = Some(call);
    }

    /// Returns whether the attempt of a client counts. A keeper that can't look, that is told to stop, or whose cluster
    /// lost nodes does not wait for those who may come back.
    fn counts(&self, client: &Client) -> bool {
        client.link != Link::Adrift || !(self.signalled || self.unseen || self.lost.is_some())
    }

    fn release(&mut self) {
        let owed = self.cluster == Cluster::Ours || self.policy.on_exit == OnExit::Suspend;
        self.expect(!owed || self.journal == Word::MaybeDown, Fault::Intent);
        let holds = |client: &Client| client.granted.is_some() && self.counts(client);
        let held = self.lost != Some(true) && self.clients.iter().any(holds);
        self.expect(!held, Fault::Held);
        if self.lost.is_some() {
            // It goes with all that tests changed on it.
            (self.look, self.noted, self.changed) = (None, false, false);
            self.await_another();
        }
        self.call(Call::Release);
    }

    /// Lets all clients wait for another cluster than the one that they have.
    pub(super) fn await_another(&mut self) {
        for client in self.clients.iter_mut().filter(|client| client.link == Link::Ready) {
            client.link = Link::Waiting { again: true };
        }
    }

    fn failed(&mut self, id: ClientId, reason: FailReason) {
        let replaced = self.lost.is_some();
        let client = self.client_of(id);
        let waits = client.is_waiting() || replaced && client.link == Link::Ready;
        let doomed = client.doomed.is_some();
        client.close();
        self.expect(waits, Fault::Answer);
        self.expect(reason != FailReason::RunOver || doomed, Fault::SentAway);
    }

    fn cut(&mut self, id: ClientId, reason: CutReason) {
        let longest = self.policy.max_lifetime / TICK;
        let (signalled, idle) = (self.signalled, self.since_begin >= longest);
        let client = self.client_of(id);
        if !client.is_linked() {
            // It was told that there is no cluster, and is being closed.
            return;
        }
        let reasonable = match reason {
            CutReason::Terminated => signalled,
            CutReason::MaxLifetime => idle,
            CutReason::RunOver => client.doomed.is_some_and(|since| client.granted.is_none() || since >= ORPHAN_LEASE),
        };
        client.close();
        self.expect(reasonable, Fault::SentAway);
    }

    fn granted(&mut self, id: ClientId) {
        let up = self.call.is_none() && self.cluster != Cluster::Absent;
        let (looks, changed, lost, turns) = (self.look.is_some(), self.changed, self.lost.is_some(), self.turns);
        let client = self.client_of(id);
        let linked = client.link == Link::Ready;
        let Some(mode) = client.asked.take() else { return self.fail(Fault::Answer) };
        client.granted = Some(mode);
        let room = match turns {
            None | Some(Turns::Alone) => true,
            Some(Turns::Shared) => mode == Mode::Shared,
            Some(Turns::None) => false,
        };
        self.changed = mode == Mode::Exclusive && self.noted;
        self.expect(up && linked, Fault::NotUp);
        self.expect(!looks && !changed, Fault::Unrestored);
        self.expect(!lost, Fault::Broken);
        self.expect(room, Fault::Room);
    }

    /// Notes the sessions that are over since they were idle. Those that are used or held are not.
    fn end_idle(&mut self) {
        let Some(SessionId(last)) = self.name else { return };
        for id in (NAMED.0..=last).map(SessionId) {
            if self.machine.is_alive(id) || self.ended.contains(&id) {
                continue;
            }
            let of_it = |client: &Client| client.origin != Origin::Run && client.session == id && client.is_linked();
            let used = self.clients.iter().any(of_it);
            let held = self.held == Some(id) && self.holder == Holder::Alive;
            self.expect(!used && !held, Fault::SentAway);
            self.end_session(id);
        }
    }
}
