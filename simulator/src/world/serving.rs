//! Clients and nodes.
use quorate_primitives::{Hash, Height, Timestamp};
use quorate_replica::{Admitted, Event};

use super::World;
use crate::client::{State, Submission};
use crate::environment::Happening;
use crate::time::{BEGIN_MS, Moment};
use crate::trace::{What, word};

impl World {
    pub(super) fn client(&mut self, client: usize) {
        let at = self.clients.next_wake(self.env.now);
        self.env.schedule(at, Happening::Client(client));
        let now = self.env.now;
        for (number, node) in self.clients.impatient(client, now) {
            self.insist(number, node);
        }
        let submissions = self.clients.ask(client, now, &mut self.env.marks);
        for submission in submissions {
            self.submit(&submission);
        }
    }

    /// A decision is handed to all nodes, since nobody will ask what became of it.
    pub(super) fn govern(&mut self) {
        if !self.clients.is_active {
            return;
        }
        if let Some(at) = self.governing.next(self.env.now) {
            self.env.schedule(at, Happening::Govern);
        }
        let Some(set) = self.env.checkers.sets().last().cloned() else { return };
        let time = Timestamp::new(BEGIN_MS.saturating_add(self.env.now.ms()));
        let founding = std::rc::Rc::clone(&self.env.founding);
        let Some((mark, transaction)) = self.governing.decide(&founding, &set, time) else { return };
        self.env.marks.hit(mark);
        for node in 0..self.nodes.len() {
            self.submit(&Submission { node, ticket: u64::MAX, transaction: transaction.clone() });
        }
    }

    fn submit(&mut self, submission: &Submission) {
        let Submission { node, ticket, transaction } = submission;
        self.env.memo.keep_transaction(transaction);
        self.env.note(Some(*node), What::Note("is asked for", *ticket, word(&transaction.id())));
        let event = Event::Submitted { ticket: *ticket, transaction: transaction.clone() };
        self.nodes[*node].deliver(&mut self.env, event);
    }

    /// A client that heard nothing looks at another node, and hands its transaction in there.
    fn insist(&mut self, number: usize, node: usize) {
        let Some(request) = self.clients.request(number) else { return };
        let (id, until) = (request.transaction.id(), request.transaction.transaction().valid_until);
        if self.nodes[node].is_paused || self.nodes[node].is_busy() {
            return;
        }
        let Some(replica) = self.nodes[node].replica() else { return };
        let position = replica.ledger().reader().position(&id).ok().flatten();
        let time = replica.ledger().head().time();
        let now = self.env.now;
        if let Some(position) = position {
            self.clients.close(number, State::Final(position.height), now);
            self.told(now, node, id, position.height);
        } else if time > until {
            self.env.marks.hit("client learns that its time is over");
            self.clients.close(number, State::Expired, now);
            self.env.checkers.expired(now, node, id);
        } else if let Some(submission) = self.clients.again(number) {
            self.env.marks.hit("client asks again");
            self.submit(&submission);
        }
    }

    fn told(&mut self, now: Moment, node: usize, id: Hash, height: Height) {
        self.env.checkers.told(now, node, id, height);
    }

    pub(super) fn tell_clients(&mut self) {
        for (node, committed) in std::mem::take(&mut self.env.commits) {
            let now = self.env.now;
            for (id, height) in self.clients.committed(node, &committed, now) {
                self.told(now, node, id, height);
            }
        }
    }

    pub(super) fn take_replies(&mut self) {
        for (ticket, outcome) in std::mem::take(&mut self.env.replies) {
            let now = self.env.now;
            match &outcome {
                Ok(Admitted::AlreadyCommitted { .. }) => self.env.marks.hit("reply: committed already"),
                Ok(Admitted::AlreadyPending) => self.env.marks.hit("reply: pending already"),
                Ok(Admitted::Pending) => {}
                Err(_) => self.env.marks.hit("reply: refused"),
            }
            if let Ok(Admitted::AlreadyCommitted { height }) = outcome
                && let Some(request) =
                    usize::try_from(ticket).ok().and_then(|number| self.clients.request(number))
            {
                let id = request.transaction.id();
                self.told(now, usize::MAX, id, height);
            }
            self.clients.replied(ticket, &outcome, now);
        }
    }
}
