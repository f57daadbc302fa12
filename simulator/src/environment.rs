//! What surrounds the nodes: time, the agenda, the network, and those who watch.
//!
//! A node never touches another: it puts what it does on the agenda, and the [world](crate::world) hands
//! it over when its time has come.
use quorate_primitives::PublicKey;
use quorate_replica::{CheckTicket, Committed, Event, Timer};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};
use std::rc::Rc;
use std::sync::Arc;

use crate::checkers::Checkers;
use crate::coverage::Marks;
use crate::faults::Fault;
use crate::founding::Founding;
use crate::network::{Network, Route};
use crate::node::Asker;
use crate::options::Options;
use crate::puppet::Whim;
use crate::random::{Dice, Stream};
use crate::signatures::Memo;
use crate::time::Moment;
use crate::trace::{Trace, What, Whom};
use crate::wide::Lines;
use crate::wire::Packet;

/// Most steps of all replicas together at one moment.
const STEPS_AT_ONCE_MAX: u32 = 200_000;

/// What goes from one node to another.
#[derive(Clone)]
pub enum Parcel {
    /// A message that expects no answer.
    Message(Rc<Packet>),
    /// A message that its receivers pass on.
    Gossip {
        /// Names the message in the whole run.
        number: u64,
        /// The message.
        packet: Rc<Packet>,
    },
    /// A question.
    Question {
        /// Names the question at the asker, in the life in which it asked.
        request: u64,
        /// In which of its lives the asker asked: an answer belongs to the connection of its question.
        life: u64,
        /// The encoded question.
        packet: Rc<Packet>,
    },
    /// The answer to a question.
    Answer {
        /// As in the question.
        request: u64,
        /// The encoded answer.
        packet: Rc<Packet>,
    },
}

impl Parcel {
    /// Its bytes.
    pub(crate) fn packet(&self) -> &Rc<Packet> {
        match self {
            Self::Message(packet)
            | Self::Gossip { packet, .. }
            | Self::Question { packet, .. }
            | Self::Answer { packet, .. } => packet,
        }
    }

    fn with(&self, packet: Rc<Packet>) -> Self {
        match self {
            Self::Message(_) => Self::Message(packet),
            Self::Gossip { number, .. } => Self::Gossip { number: *number, packet },
            Self::Question { request, life, .. } => Self::Question { request: *request, life: *life, packet },
            Self::Answer { request, .. } => Self::Answer { request: *request, packet },
        }
    }
}

/// Something that is due at a moment.
pub enum Happening {
    /// A parcel reaches a node.
    Arrival {
        /// Which node.
        to: usize,
        /// In which of its lives it was sent to it.
        life: u64,
        /// Who sent it.
        from: usize,
        /// What it is.
        parcel: Parcel,
    },
    /// All bytes of a parcel have come over the line of a node.
    Landed {
        /// Which node.
        to: usize,
        /// In which of its lives it was sent to it.
        life: u64,
        /// Who sent it.
        from: usize,
        /// What it is.
        parcel: Parcel,
    },
    /// The transactions that came with an event are proven.
    Proven {
        /// Which node.
        node: usize,
        /// In which of its lives.
        life: u64,
        /// What it then takes in.
        event: Box<Event>,
        /// What it then passes on.
        gossip: Option<Parcel>,
    },
    /// The thread of a replica has done its work.
    Worked {
        /// Which node.
        node: usize,
        /// In which of its lives.
        life: u64,
    },
    /// A timer of a node fires, unless it was set again.
    Timer {
        /// Which node.
        node: usize,
        /// Which timer.
        timer: Timer,
        /// Names the setting of the timer.
        armed: u64,
    },
    /// The disk of a node has done what it was asked.
    Written {
        /// Which node.
        node: usize,
        /// In which of its lives.
        life: u64,
    },
    /// The signatures are checked.
    Checked {
        /// Which node.
        node: usize,
        /// In which of its lives.
        life: u64,
        /// Which request.
        ticket: CheckTicket,
        /// Positions of the invalid ones.
        bad: Vec<usize>,
    },
    /// Two nodes try to connect.
    Connect {
        /// The one.
        one: usize,
        /// The other.
        other: usize,
    },
    /// The end of a link at a node notices that the other end is gone, if it still is.
    Notice {
        /// Where.
        node: usize,
        /// The other end.
        peer: usize,
        /// Which of the connections between the two it is about.
        generation: u64,
        /// Whether it is certain: the other end was heard to close.
        certain: bool,
    },
    /// A client does something.
    Client(usize),
    /// The next transfer of the load is handed in.
    Offer,
    /// Somebody asks a node for something and verifies the answer.
    Read,
    /// Something is decided about who validates.
    Govern,
    /// Something breaks or is mended.
    Fault(Fault),
    /// A node that is down starts.
    Start(usize),
    /// A node that is paused goes on.
    Resume(usize),
    /// A puppet asked to be called.
    Puppet {
        /// Which node.
        node: usize,
        /// What it said that it is about.
        tag: u64,
    },
    /// It is looked whether all is well.
    Inspect,
}

struct Scheduled {
    at: Moment,
    sequence: u64,
    happening: Happening,
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scheduled {}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scheduled {
    /// The heap gives the greatest first, and that must be the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

/// Why a node is no longer running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// The machine ended at a planned point. True if the power failed too.
    Crashed {
        /// Whether what was not synced is at risk.
        power: bool,
    },
    /// The process ended by itself.
    Stopped(String),
}

/// Everything but the nodes.
pub struct Environment {
    /// What was decided before the run began.
    pub options: Rc<Options>,
    /// Keys and genesis.
    pub founding: Rc<Founding>,
    /// The moment.
    pub now: Moment,
    /// The links.
    pub network: Network,
    /// What is known about signatures.
    pub memo: Memo,
    /// What happened.
    pub trace: Trace,
    /// Rare branches that were met.
    pub marks: Marks,
    /// Those who watch.
    pub checkers: Checkers,
    /// Draws of disks.
    pub disk_dice: Dice,
    /// Key of each node.
    pub keys: Vec<PublicKey>,
    /// Counts the starts of each node.
    pub lives: Vec<u64>,
    /// Answers of nodes to clients that did not come at once and were not handed over yet.
    pub answers: Vec<(usize, Asker, Vec<u8>)>,
    /// Blocks that were committed and not handed to clients yet.
    pub commits: Vec<(usize, Arc<Committed>)>,
    /// Nodes that ended and were not buried yet.
    pub downs: Vec<(usize, Down)>,
    /// Connections that one end closes.
    pub cuts: Vec<(usize, usize)>,
    /// What programs have done to their machines.
    pub whims: Vec<(usize, Whim)>,
    agenda: BinaryHeap<Scheduled>,
    sequence: u64,
    steps_at_once: u32,
    by_key: BTreeMap<PublicKey, Vec<usize>>,
}

impl Environment {
    /// An environment for nodes with these keys.
    #[must_use]
    pub fn new(options: Rc<Options>, founding: Rc<Founding>, keys: Vec<PublicKey>, trace: Trace) -> Self {
        let mut by_key: BTreeMap<PublicKey, Vec<usize>> = BTreeMap::new();
        for (node, key) in keys.iter().enumerate() {
            by_key.entry(*key).or_default().push(node);
        }
        let seed = options.seed;
        let mut network = Network::new(options.network.clone(), keys.len(), seed);
        network.wide = options.wide.clone().map(|wide| Lines::new(wide, keys.len(), seed));
        Self {
            now: Moment::ZERO,
            network,
            memo: Memo::new(Dice::new(seed, Stream::Signatures)),
            trace,
            marks: Marks::new(),
            checkers: Checkers::new(Rc::clone(&options), &founding, &keys),
            disk_dice: Dice::new(seed, Stream::Disk),
            lives: vec![0; keys.len()],
            answers: Vec::new(),
            commits: Vec::new(),
            downs: Vec::new(),
            cuts: Vec::new(),
            whims: Vec::new(),
            agenda: BinaryHeap::new(),
            sequence: 0,
            steps_at_once: 0,
            by_key,
            keys,
            options,
            founding,
        }
    }

    /// A number that no other call gets.
    pub fn next_number(&mut self) -> u64 {
        self.sequence = self.sequence.saturating_add(1);
        self.sequence
    }

    /// Puts something on the agenda; returns its number.
    pub fn schedule(&mut self, at: Moment, happening: Happening) -> u64 {
        let sequence = self.next_number();
        self.agenda.push(Scheduled { at: at.max(self.now), sequence, happening });
        sequence
    }

    /// The next thing on the agenda, if it is due by `end`; time goes on to it.
    pub fn take(&mut self, end: Moment) -> Option<Happening> {
        if self.agenda.peek()?.at > end {
            return None;
        }
        let next = self.agenda.pop()?;
        if next.at > self.now {
            self.now = next.at;
            self.steps_at_once = 0;
        }
        Some(next.happening)
    }

    /// A replica takes a step. Too many at one moment mean that it never comes to rest.
    pub fn count_step(&mut self) {
        self.steps_at_once = self.steps_at_once.saturating_add(1);
        if self.steps_at_once > STEPS_AT_ONCE_MAX {
            self.violate("rest", "the nodes take steps without end, and no time passes".to_owned());
        }
    }

    /// Adds to the trace.
    pub fn note(&mut self, whom: Whom, what: What) {
        self.trace.note(self.now, whom, what);
    }

    /// The nodes with a key: one, or several that share it.
    #[must_use]
    pub fn nodes_of(&self, key: &PublicKey) -> &[usize] {
        self.by_key.get(key).map_or(&[], Vec::as_slice)
    }

    /// Sends a parcel to every node with this key.
    pub fn send_to_key(&mut self, from: usize, key: &PublicKey, parcel: &Parcel) {
        for position in 0..self.nodes_of(key).len() {
            if let Some(to) = self.nodes_of(key).get(position).copied().filter(|to| *to != from) {
                self.send(from, to, parcel);
            }
        }
    }

    /// Sends a parcel to a node.
    pub fn send(&mut self, from: usize, to: usize, parcel: &Parcel) {
        match self.network.route(from, to, parcel.packet().bytes().len(), self.now) {
            Route::Lost(why) => self.marks.hit(why),
            Route::Arrives { at, again, is_corrupt } => {
                let parcel = if is_corrupt { self.corrupted(parcel) } else { parcel.clone() };
                let life = self.lives.get(to).copied().unwrap_or_default();
                if let Some(at) = again {
                    self.marks.hit("packet twice");
                    self.schedule(at, Happening::Arrival { to, life, from, parcel: parcel.clone() });
                }
                self.schedule(at, Happening::Arrival { to, life, from, parcel });
            }
        }
    }

    fn corrupted(&mut self, parcel: &Parcel) -> Parcel {
        self.marks.hit("packet corrupted");
        let mut bytes = parcel.packet().bytes().to_vec();
        let dice = self.network.dice();
        let position = dice.index(bytes.len());
        let bit = 1_u8 << dice.below(8);
        if let Some(byte) = bytes.get_mut(position) {
            *byte ^= bit;
        }
        parcel.with(Rc::new(Packet::new(bytes)))
    }

    /// Something is not as it must be.
    pub fn violate(&mut self, property: &'static str, detail: String) {
        let now = self.now;
        self.checkers.violate(now, property, detail);
    }
}
