//! Readers and nodes.
use quorate_primitives::{EpochNumber, Height};
use quorate_rpc::json::{
    AssetPage, Block, ChainInfo, Head, HeaderAnswer, MempoolStats, NodeStatus, PeersAnswer,
    TransactionAnswer, TransactionState, TransactionStatus, ValidatorsAnswer,
};
use quorate_rpc::{Distrust, ErrorObject};
use serde_json::{Value, json};

use super::World;
use crate::call;
use crate::checkers::reads::{Proven, Said};
use crate::environment::Happening;
use crate::node::Asker;
use crate::readers::malformed::Malformed;
use crate::readers::question::{EPOCHS_MAX, Question, typed};

impl World {
    /// Somebody asks a node for something.
    pub(super) fn read(&mut self) {
        if let Some(at) = self.readers.next(self.env.now) {
            self.env.schedule(at, Happening::Read);
        }
        let node = self.readers.node(self.nodes.len());
        if let Some(malformed) = self.readers.malformed() {
            return self.pester(node, &malformed);
        }
        self.catch_up(node);
        let question = self.readers.question(&self.env.checkers);
        match self.question(node, &question) {
            None => self.env.marks.hit("reader hears nothing"),
            Some((head, Ok(answer))) => self.take_reading(node, &question, &head, &answer),
            Some((head, Err(error))) => self.take_refusal(node, &question, &head, &error),
        }
    }

    /// A request that no node can answer.
    fn pester(&mut self, node: usize, malformed: &Malformed) {
        let Some(answer) = self.ask(node, Asker::Nobody, malformed.bytes.clone()) else { return };
        match malformed.check(&answer) {
            Ok(()) => self.env.marks.hit(malformed.mark),
            Err(why) => self.complain(node, malformed.mark, &why),
        }
    }

    /// Asks for the newest block and for something else. An error of a whole request is one of the node.
    fn question(&mut self, node: usize, question: &Question) -> Option<(Head, call::Said<Value>)> {
        let (method, parameters) = question.call();
        let request = call::both(("chain_head", &json!([])), (method, &parameters));
        let answer = self.ask(node, Asker::Nobody, request)?;
        match call::read_both::<Head, Value>(&answer) {
            Ok((Ok(head), said)) => Some((head, said)),
            Ok((Err(error), _)) => {
                self.complain(node, "its head", &error.to_string());
                None
            }
            Err(why) => {
                self.complain(node, question.mark(), &why);
                None
            }
        }
    }

    /// A node says that it cannot answer.
    fn take_refusal(&mut self, node: usize, question: &Question, head: &Head, error: &ErrorObject) {
        let heights = (head.height.0, head.certified_height.map(|certified| certified.0));
        let may_fail = error.kind().is_some_and(|kind| question.may_fail(kind, heights, &self.env.checkers));
        if may_fail {
            self.env.marks.hit("read: not there");
        } else {
            let why = format!("{error}, although its heights are {heights:?}: {question:?}");
            self.complain(node, question.mark(), &why);
        }
    }

    fn take_reading(&mut self, node: usize, question: &Question, head: &Head, answer: &Value) {
        self.take_words(node, question, head, answer);
        let proven = match self.verify(node, question, answer) {
            Some(Ok(Some(proven))) => proven,
            Some(Ok(None)) | None => return,
            Some(Err(distrust)) => return self.distrust(node, question, &distrust),
        };
        self.env.marks.hit(question.mark());
        if let Proven::Values(_, values) = &proven
            && values.iter().any(|(_, value)| value.is_none())
        {
            self.env.marks.hit("read: proven absence");
        }
        let now = self.env.now;
        self.env.checkers.proven(now, node, &proven);
        self.damage_answer(node, question, answer, &proven);
        self.readers.learn(proven);
    }

    /// A client does not believe a node.
    fn distrust(&mut self, node: usize, question: &Question, distrust: &Distrust) {
        let detail = format!("node {node} was asked for {question:?}, and nobody believes it: {distrust}");
        self.env.violate("proofs", detail);
    }

    /// Verifies an answer, if need be after the epoch that it speaks of was reached. `None` if the node does
    /// not answer any more before that.
    fn verify(
        &mut self,
        node: usize,
        question: &Question,
        answer: &Value,
    ) -> Option<Result<Option<Proven>, Distrust>> {
        match question.verify(self.readers.verifier(), answer) {
            Err(Distrust::UnknownEpoch { epoch, .. }) => {
                if self.reach(node, epoch).is_none() {
                    self.env.marks.hit("reader hears no more");
                    return None;
                }
                Some(question.verify(self.readers.verifier(), answer))
            }
            other => Some(other),
        }
    }

    /// Follows the handovers of a node, page by page, from the newest epoch that is known towards this one,
    /// as far as they lead. `None` if it stops answering.
    fn reach(&mut self, node: usize, epoch: EpochNumber) -> Option<()> {
        loop {
            let before = self.readers.verifier().up_to(epoch).number();
            let left = u32::try_from(epoch.distance_from(before)).unwrap_or(u32::MAX).min(EPOCHS_MAX);
            if left == 0 {
                self.env.marks.hit("read: followed the epochs");
                return Some(());
            }
            let question = Question::Epochs(before.next(), left);
            let answer = match self.question(node, &question)? {
                (_, Ok(answer)) => answer,
                (head, Err(error)) => {
                    self.take_refusal(node, &question, &head, &error);
                    return Some(());
                }
            };
            match question.verify(self.readers.verifier(), &answer) {
                Ok(Some(proven)) => {
                    let now = self.env.now;
                    self.env.checkers.proven(now, node, &proven);
                    self.readers.learn(proven);
                }
                Ok(None) => return Some(()),
                Err(distrust) => {
                    self.distrust(node, &question, &distrust);
                    return Some(());
                }
            }
        }
    }

    /// Whoever verifies a damaged answer must refuse it, or be told the truth all the same: by another
    /// certificate of the same block, or of an earlier epoch.
    fn damage_answer(&mut self, node: usize, question: &Question, answer: &Value, proven: &Proven) {
        for (mutation, damaged) in self.readers.mutations(answer) {
            let believed = question.verify(self.readers.verifier(), &damaged);
            match believed {
                Err(_) => self.env.marks.hit(mutation.mark()),
                Ok(None) => self.env.marks.hit("damage proves nothing"),
                Ok(Some(same)) if same == *proven => self.env.marks.hit("damage changes nothing"),
                Ok(Some(other)) if self.env.checkers.judge(&other).is_ok() => {
                    self.env.marks.hit("damage changes nothing");
                }
                Ok(Some(other)) => {
                    let detail = format!(
                        "an answer of node {node} to {question:?} is believed after {mutation:?}: {other:?} \
                         and not {proven:?}"
                    );
                    return self.env.violate("mutated proofs", detail);
                }
            }
        }
    }

    /// What a node says without proof, next to what it proves.
    fn take_words(&mut self, node: usize, question: &Question, head: &Head, answer: &Value) {
        let life = (node, self.env.lives.get(node).copied().unwrap_or_default());
        let now = self.env.now;
        self.env.checkers.said(now, life, &Said::Head(head));
        let heard = match question {
            Question::Block(..) | Question::BlockOf(_) => {
                typed::<Block>(answer).map(|block| self.env.checkers.said(now, life, &Said::Block(&block)))
            }
            Question::Validators(_) => typed::<ValidatorsAnswer>(answer)
                .map(|set| self.env.checkers.said(now, life, &Said::Validators(head, &set))),
            Question::Standing(_) => typed::<TransactionStatus>(answer)
                .map(|status| self.env.checkers.said(now, life, &Said::Standing(head, &status))),
            Question::Transaction(_) => typed::<TransactionAnswer>(answer)
                .map(|found| self.env.checkers.said(now, life, &Said::Standing(head, &found.status))),
            Question::Assets(after, limit) => {
                let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
                typed::<AssetPage>(answer)
                    .map(|page| self.env.checkers.said(now, life, &Said::Assets(*after, limit, &page)))
            }
            Question::Head => typed::<Head>(answer).map(|again| {
                self.env.checkers.said(now, life, &Said::Head(&again));
            }),
            Question::Other(method) => self.take_other(node, method, head.height.0, answer),
            Question::Values(_)
            | Question::Account(_)
            | Question::Balances(_)
            | Question::Asset(_)
            | Question::Evidence
            | Question::Finality(_)
            | Question::Epochs(..) => return,
        };
        match heard {
            Ok(()) => self.env.marks.hit(question.mark()),
            Err(distrust) => self.distrust(node, question, &distrust),
        }
    }

    /// What tells how a node is must have its form, and speak of the head that it named.
    fn take_other(
        &mut self,
        node: usize,
        method: &str,
        head: Height,
        answer: &Value,
    ) -> Result<(), Distrust> {
        let height = match method {
            "chain_info" => Some(typed::<ChainInfo>(answer)?.height.0),
            "node_status" => Some(typed::<NodeStatus>(answer)?.height.0),
            "chain_getHeader" => Some(typed::<HeaderAnswer>(answer)?.header.height.0),
            "node_peers" => typed::<PeersAnswer>(answer).map(|_| None)?,
            "mempool_stats" => typed::<MempoolStats>(answer).map(|_| None)?,
            _ => None,
        };
        if height.is_some_and(|height| height != head) {
            self.complain(node, method, &format!("it speaks of {height:?}, but its head is {head}"));
        }
        Ok(())
    }

    /// A client waited for the end of its transaction, and was given a proof with it.
    pub(super) fn read_receipt(&mut self, node: usize, number: usize, answer: &[u8]) {
        let Some(id) = self.clients.request(number).map(|request| request.transaction.id()) else { return };
        let Ok(Ok(answer)) = call::read::<Value>(answer) else { return };
        let question = Question::Transaction(id);
        match self.verify(node, &question, &answer) {
            Some(Ok(Some(proven))) => {
                let now = self.env.now;
                self.env.checkers.proven(now, node, &proven);
                self.env.marks.hit("read: proof of an end that was waited for");
            }
            Some(Ok(None)) => {
                let state = TransactionState::Final;
                self.complain(node, question.mark(), &format!("{state:?} without proof"));
            }
            Some(Err(distrust)) => self.distrust(node, &question, &distrust),
            None => {}
        }
    }
}
