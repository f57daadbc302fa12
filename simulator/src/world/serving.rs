//! Clients and nodes.
use quorate_primitives::{Hash, Height, Timestamp};
use quorate_replica::Event;
use quorate_rpc::json::{Submitted, TransactionAnswer, TransactionState, TransactionStatus};
use quorate_rpc::{ErrorKind, ErrorObject, Limits};

use super::World;
use crate::call;
use crate::client::{State, Submission, Then};
use crate::environment::Happening;
use crate::node::Asker;
use crate::time::{BEGIN_MS, Moment};
use crate::trace::{What, digest, word};
use crate::wide::Load;

impl World {
    pub(super) fn client(&mut self, client: usize) {
        let now = self.env.now;
        for (number, node) in self.clients.impatient(client, now) {
            self.insist(number, node);
        }
        let submissions = self.clients.ask(client, now, &mut self.env.marks);
        for submission in submissions {
            self.submit(&submission);
        }
        let at = self.clients.next_wake(client, now);
        self.env.schedule(at, Happening::Client(client));
    }

    /// The next transfer of the load goes to its node.
    pub(super) fn offer(&mut self) {
        let Some(load) = self.load.as_mut() else { return };
        let validators = self.env.options.validators;
        if let Some((node, transaction)) = load.offer(validators, self.env.now) {
            self.env.memo.keep_transaction(&transaction);
            let event = Event::Submitted(vec![quorate_replica::Submission {
                ticket: self.env.next_number(),
                transaction,
            }]);
            self.nodes[node].prove(&mut self.env, event, None);
            let at = self.load.as_ref().map_or(self.env.now, Load::next_at);
            self.env.schedule(at, Happening::Offer);
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
            self.submit(&Submission { node, asker: Asker::Nobody, transaction: transaction.clone() });
        }
    }

    fn submit(&mut self, submission: &Submission) {
        let Submission { node, asker, transaction } = submission;
        self.env.memo.keep_transaction(transaction);
        self.env.note(Some(*node), What::Note("is asked for", asker.word(), word(&transaction.id())));
        let request = match asker {
            Asker::Waiter(_) => call::submit_and_wait(transaction, self.clients.patience_ms()),
            Asker::Submitter(_) | Asker::Nobody => call::submit(transaction),
        };
        if let Some(answer) = self.ask(*node, *asker, request) {
            self.take_answer(*node, *asker, &answer);
        }
    }

    /// Hands a request to a node, and notes the answer if it comes at once.
    pub(super) fn ask(&mut self, node: usize, asker: Asker, request: Vec<u8>) -> Option<Vec<u8>> {
        let answer = self.nodes[node].call(&mut self.env, asker, request)?;
        self.hear(node, asker, &answer);
        Some(answer)
    }

    fn hear(&mut self, node: usize, asker: Asker, answer: &[u8]) {
        self.env.note(Some(node), What::Note("says", asker.word(), digest(answer)));
        let longest = usize::try_from(Limits::default().response_bytes).unwrap_or(usize::MAX);
        if answer.len() > longest {
            self.complain(node, "anything", &format!("an answer of {} bytes", answer.len()));
        }
    }

    /// A client that heard nothing looks at another node, and hands its transaction in there. If that does
    /// not answer either, it waits for as long again and tries the next one.
    fn insist(&mut self, number: usize, node: usize) {
        let Some(request) = self.clients.request(number) else { return };
        let (id, until) = (request.transaction.id(), request.transaction.transaction().valid_until);
        let Some(answer) = self.ask(node, Asker::Nobody, call::how_it_stands(id)) else {
            self.env.marks.hit("client hears nothing");
            return;
        };
        let (head, status) = match call::read_standing(&answer) {
            Ok(standing) => standing,
            Err(why) => return self.complain(node, "how a transaction stands", &why),
        };
        let now = self.env.now;
        if self.take_status(node, number, &status) {
            return;
        }
        if head.time.0 > until {
            self.env.marks.hit("client learns that its time is over");
            self.clients.close(number, State::Expired, now);
            self.env.checkers.expired(now, node, id);
        } else if let Some(submission) = self.clients.again(number) {
            self.env.marks.hit("client asks again");
            self.submit(&submission);
        }
    }

    /// A client learns how its transaction stands. Whether that is its end.
    fn take_status(&mut self, node: usize, number: usize, status: &TransactionStatus) -> bool {
        let Some(id) = self.clients.request(number).map(|request| request.transaction.id()) else {
            return true;
        };
        if status.tx_id.0 != id {
            self.complain(node, "how a transaction stands", "it speaks of another one");
            return true;
        }
        let is_final = matches!(status.state, TransactionState::Final | TransactionState::Rejected);
        let Some(height) = status.height.filter(|_| is_final) else { return false };
        self.catch_up(node);
        self.clients.ended(number, height.0, self.env.now);
        self.told(self.env.now, node, id, height.0);
        true
    }

    /// A node may have committed blocks that it told nobody of yet: clients may read them from its store.
    pub(super) fn catch_up(&mut self, node: usize) {
        let Some(replica) = self.nodes[node].replica() else { return };
        if replica.ledger().head().height() > self.env.checkers.height() {
            let now = self.env.now;
            self.env.checkers.found(now, node, replica.ledger(), &mut self.env.memo);
        }
    }

    /// An honest node gives an answer that it must not give.
    pub(super) fn complain(&mut self, node: usize, asked: &str, why: &str) {
        self.env.violate("answers", format!("node {node} was asked for {asked}: {why}"));
    }

    fn told(&mut self, now: Moment, node: usize, id: Hash, height: Height) {
        self.env.checkers.told(now, node, id, height);
    }

    pub(super) fn tell_clients(&mut self) {
        for (node, committed) in std::mem::take(&mut self.env.commits) {
            let now = self.env.now;
            if let Some(load) = self.load.as_mut() {
                load.committed(node, &committed, now);
            }
            for (id, height) in self.clients.committed(node, &committed, now) {
                self.told(now, node, id, height);
            }
        }
    }

    /// Hands on what nodes answered later than at once.
    pub(super) fn take_answers(&mut self) {
        for (node, asker, answer) in std::mem::take(&mut self.env.answers) {
            self.hear(node, asker, &answer);
            self.take_answer(node, asker, &answer);
        }
    }

    fn take_answer(&mut self, node: usize, asker: Asker, answer: &[u8]) {
        match asker {
            Asker::Nobody => {}
            Asker::Submitter(number) => match call::read::<Submitted>(answer) {
                Ok(Ok(_)) => self.clients.admitted(number),
                Ok(Err(error)) => self.take_error(node, number, &error),
                Err(why) => self.complain(node, "a submission", &why),
            },
            Asker::Waiter(number) => match call::read::<TransactionAnswer>(answer) {
                Ok(Ok(found)) => {
                    self.env.marks.hit("reply: the end itself");
                    self.clients.admitted(number);
                    if self.take_status(node, number, &found.status) {
                        self.read_receipt(node, number, answer);
                    }
                }
                // It is in a block that nothing proves yet.
                Ok(Err(error)) if error.kind() == Some(ErrorKind::NotReady) => {}
                Ok(Err(error)) => self.take_error(node, number, &error),
                Err(why) => self.complain(node, "a submission and its end", &why),
            },
        }
    }

    fn take_error(&mut self, node: usize, number: usize, error: &ErrorObject) {
        let now = self.env.now;
        match self.clients.refused(number, error, now) {
            Then::Rest => self.env.marks.hit("reply: refused"),
            Then::Look => self.look(node, number),
            Then::Complain => self.complain(node, "a submission", &error.to_string()),
        }
    }

    /// The node has the transaction already: in a block, or on its way there.
    fn look(&mut self, node: usize, number: usize) {
        let Some(id) = self.clients.request(number).map(|request| request.transaction.id()) else { return };
        let Some(answer) = self.ask(node, Asker::Nobody, call::how_it_stands(id)) else { return };
        match call::read_standing(&answer) {
            Ok((_, status)) if self.take_status(node, number, &status) => {
                self.env.marks.hit("reply: committed already");
            }
            Ok(_) => {
                self.env.marks.hit("reply: pending already");
                self.clients.admitted(number);
            }
            Err(why) => self.complain(node, "how a transaction stands", &why),
        }
    }
}
