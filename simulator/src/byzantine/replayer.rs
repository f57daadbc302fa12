//! Keeps what it hears and says, and sends it again much later, to anybody.
use quorate_consensus::Message;
use quorate_replica::PeerMessage;

use super::place::bytes;
use crate::puppet::{Filter, Incoming, Outgoing, Stage};

/// Marks of what it does.
pub(super) const MARKS: [&str; 5] = [
    "replayer: own vote or proposal",
    "replayer: certificate",
    "replayer: bundle",
    "replayer: vote or proposal of another",
    "replayer: something of an epoch before",
];

/// How often it sends, in ms, and how much at a time.
const INTERVAL_MS: u64 = 25;
const AT_ONCE: usize = 3;
/// Most packets that are kept; of more, any one makes room, so that old ones stay for long.
const KEPT_MAX: usize = 256;

struct Kept {
    mark: &'static str,
    epoch: u64,
    bytes: Vec<u8>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Replayer {
    kept: Vec<Kept>,
}

fn epoch_of(message: &PeerMessage) -> u64 {
    match message {
        PeerMessage::Consensus { epoch, .. } => epoch.get(),
        PeerMessage::Proposal { proposal, .. } => proposal.header.epoch.get(),
        PeerMessage::Bundle(_) => u64::MAX,
    }
}

impl Replayer {
    fn keep(&mut self, stage: &mut Stage<'_>, message: &PeerMessage, is_own: bool) {
        let mark = match message {
            PeerMessage::Bundle(_) => MARKS[2],
            PeerMessage::Consensus { message: Message::Certificate(_), .. } => MARKS[1],
            _ if is_own => MARKS[0],
            // Nobody talks for long to who sends votes of others.
            _ if stage.dice().chance(20) => MARKS[3],
            _ => return,
        };
        let kept = Kept { mark, epoch: epoch_of(message), bytes: bytes(message) };
        if self.kept.len() < KEPT_MAX {
            self.kept.push(kept);
        } else if stage.dice().chance(250) {
            let place = stage.dice().index(KEPT_MAX);
            self.kept[place] = kept;
        }
    }
}

impl Filter for Replayer {
    fn start(&mut self, stage: &mut Stage<'_>) {
        stage.call_me(0, INTERVAL_MS);
    }

    fn outgoing(&mut self, stage: &mut Stage<'_>, _to: usize, message: &PeerMessage) -> Outgoing {
        if stage.dice().chance(300) {
            self.keep(stage, message, true);
        }
        Outgoing::Pass
    }

    fn incoming(&mut self, stage: &mut Stage<'_>, _from: usize, message: &PeerMessage) -> Incoming {
        self.keep(stage, message, false);
        Incoming::Pass
    }

    fn timer(&mut self, stage: &mut Stage<'_>, _tag: u64) {
        stage.call_me(0, INTERVAL_MS);
        let epoch = stage.replica().map_or(0, |replica| replica.period().0.get());
        for _ in 0..AT_ONCE.min(self.kept.len()) {
            let (nodes, place) = (stage.nodes(), stage.dice().index(self.kept.len()));
            let to = stage.dice().index(nodes);
            let kept = &self.kept[place];
            stage.mark(kept.mark);
            if kept.epoch < epoch {
                stage.mark(MARKS[4]);
            }
            stage.send_bytes(to, kept.bytes.clone());
        }
    }
}
