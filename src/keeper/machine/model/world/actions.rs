//! The actions that are possible in a state.

use super::*;

/// An event has so few effects that have to be told apart from all of them.
const EFFECTS: std::ops::Range<usize> = 1..4;

impl World {
    pub(in super::super) fn actions(&self, actions: &mut Vec<Action>) {
        if self.fault.is_some() {
            return;
        }
        let mut steps = Vec::new();
        self.steps(&mut steps);
        for step in steps {
            actions.push(Action { step, killed_after: None });
            if self.left.crashes > 0 && !matches!(step, Step::Tick | Step::Kill { .. }) {
                actions.extend(EFFECTS.map(|effects| Action { step, killed_after: Some(effects) }));
            }
        }
    }

    fn steps(&self, steps: &mut Vec<Step>) {
        for number in 0..self.clients.len() {
            self.steps_of(number, steps);
        }
        if self.run_lives && self.clients.iter().any(|client| client.origin == Origin::Run) {
            steps.push(Step::EndRun);
        }
        if self.holder == Holder::Alive {
            steps.push(Step::KillHolder);
            // It leaves first.
            if !self.clients.iter().any(|client| client.origin == Origin::Holder && client.link != Link::Away) {
                steps.push(Step::LetGo);
            }
        }
        if self.name.is_some_and(|name| self.machine.has(name)) {
            steps.push(Step::Finish);
        }
        self.steps_of_calls(steps);
        if self.is_gone() {
            return;
        }
        if self.is_due() {
            steps.push(Step::Due);
        } else if !self.clients.iter().any(|client| client.link == Link::Adrift) {
            // A client whose keeper was killed reaches the next one in time.
            steps.push(Step::Tick);
        }
        if self.left.crashes > 0 {
            steps.push(Step::Kill { done: false });
            if matches!(self.call, Some(Call::Acquire | Call::Release)) {
                steps.push(Step::Kill { done: true });
            }
        }
        if self.left.signals > 0 && !self.signalled {
            steps.push(Step::Signal);
        }
        if self.left.tethers > 0 && !self.tethered {
            steps.push(Step::Tether);
        }
        if matches!(self.machine.state(), MachineState::Warm { .. }) {
            steps.push(Step::Cool);
        }
        self.steps_of_others(steps);
    }

    fn steps_of(&self, number: usize, steps: &mut Vec<Step>) {
        let client = &self.clients[number];
        let dead = client.origin == Origin::Holder && self.holder == Holder::Dead;
        match client.link {
            Link::Away | Link::Adrift => {
                if self.can_join(client) {
                    steps.push(Step::Join(number));
                    if client.origin == Origin::Holder && self.holder == Holder::New {
                        steps.push(Step::JoinDead(number));
                    }
                }
                if client.link == Link::Adrift {
                    steps.push(Step::Leave(number));
                }
            }
            Link::Waiting { .. } | Link::Ready => steps.push(Step::Leave(number)),
        }
        let can_ask = matches!(client.link, Link::Ready | Link::Waiting { again: true });
        if can_ask && !dead && client.asked.is_none() && client.granted.is_none() {
            steps.extend([Mode::Shared, Mode::Exclusive].map(|mode| Step::Begin(number, mode)));
        }
        if !dead && (client.asked.is_some() || client.granted.is_some()) {
            steps.push(Step::End(number));
        }
    }

    /// Returns whether a client may come. An explicit session begins again a few times only.
    fn can_join(&self, client: &Client) -> bool {
        let new = self.name.is_none_or(|name| !self.machine.takes(name, client.origin == Origin::Holder));
        let again = self.is_gone() || !new || self.name.is_none() || self.left.again > 0;
        match client.origin {
            Origin::Run => true,
            Origin::Holder => matches!(self.holder, Holder::New | Holder::Alive) && again,
            Origin::Named => again,
        }
    }

    fn steps_of_calls(&self, steps: &mut Vec<Step>) {
        // For a cluster that was found running there is no word in the journal.
        let adrift = self.clients.iter().any(|client| client.link == Link::Adrift);
        let too_soon = adrift && self.cluster == Cluster::Foreign && self.call == Some(Call::Acquire);
        if let Some(call) = self.call.filter(|_| !too_soon) {
            steps.push(Step::Serve(Outcome::Done));
            if self.left.failures > 0 {
                steps.push(Step::Serve(Outcome::Failed));
                if call != Call::Probe {
                    steps.extend([false, true].map(|done| Step::Serve(Outcome::Unknown { done })));
                }
            }
        }
        match self.look {
            Some(Look::Before) => steps.extend([false, true].map(|ok| Step::Looked { ok })),
            // Whether it failed makes no difference.
            Some(Look::After) => steps.push(Step::Looked { ok: true }),
            None => {}
        }
    }

    fn steps_of_others(&self, steps: &mut Vec<Step>) {
        if !self.is_up() {
            return;
        }
        // Only a cluster that the harness started is watched.
        if self.left.losses > 0 && self.machine.owes() {
            steps.extend([false, true].map(|all| Step::Lose { all }));
        }
        let Some(turns) = self.turns else { return };
        if self.left.cuts > 0 {
            steps.extend([false, true].map(|gone| Step::CutOff { gone }));
        }
        if self.left.turns > 0 {
            let all = [Turns::None, Turns::Shared, Turns::Alone];
            let fit = |other: &Turns| *other != turns && (*other != Turns::Alone || self.wants_alone);
            steps.extend(all.into_iter().filter(fit).map(Step::Turns));
        }
    }
}
