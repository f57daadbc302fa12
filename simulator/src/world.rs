//! The nodes in their environment: hands over what is due, and lets things break.
mod breaking;
mod healing;
mod linking;
mod reading;
mod serving;
mod whims;

use quorate_primitives::PublicKey;
use quorate_replica::{Replica, Voice};
use std::io::Write;
use std::rc::Rc;

use crate::client::Clients;
use crate::environment::{Environment, Happening};
use crate::faults::Schedule;
use crate::founding::{Founding, Workshop};
use crate::governing::Governing;
use crate::node::Node;
use crate::options::Options;
use crate::puppet::{Program, Repertoire, TWIN};
use crate::random::{Dice, Stream};
use crate::readers::Readers;
use crate::time::Moment;
use crate::trace::Trace;
use crate::wide::Load;

/// How often it is looked whether all is well, in ms.
const INSPECT_MS: u64 = 100;
/// Synced batches of a ledger that can be taken back, while that can happen.
const HISTORY_MAX: usize = 64;

/// What is known about a node besides what it is.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// It will not start again.
    pub is_retired: bool,
    /// It is to start at some time that is on the agenda.
    pub is_starting: bool,
    /// It forgot or damaged what it had promised to keep.
    pub has_forgotten: bool,
    /// And it does not know yet what it may say again.
    pub is_forgetful: bool,
    /// Its ledger lacks blocks up to this height, which others hold.
    pub regains: Option<quorate_primitives::Height>,
    /// Its clock may be wrong by any amount.
    pub has_wrong_clock: bool,
}

/// A run in progress.
pub struct World {
    /// Everything but the nodes.
    pub env: Environment,
    /// The nodes.
    pub nodes: Vec<Node>,
    /// What is known about each.
    pub fates: Vec<Fate>,
    /// The clients.
    pub clients: Clients,
    /// Those who ask and verify.
    pub readers: Readers,
    /// Who decides who validates.
    pub governing: Governing,
    /// What breaks.
    pub faults: Schedule,
    /// Transfers that are handed in at a rate, and when they were final.
    pub load: Option<Load>,
    clock_dice: Dice,
    events: u64,
    copies: Vec<Option<breaking::Copy>>,
}

impl World {
    /// A network that was never started. `out` takes the whole trace as text.
    #[must_use]
    pub fn new(
        options: Options,
        workshop: &Workshop,
        programs: &Repertoire,
        out: Option<Box<dyn Write>>,
    ) -> Self {
        let options = Rc::new(options);
        let founding = workshop.founding(&options);
        let secrets = secrets(&options, &founding);
        let keys: Vec<PublicKey> = secrets.iter().map(|(secret, _)| secret.public_key()).collect();
        let env = Environment::new(Rc::clone(&options), Rc::clone(&founding), keys, Trace::new(out));
        let history = if options.faults.ledger_rollback_permille > 0 { HISTORY_MAX } else { 0 };
        let nodes: Vec<Node> = secrets
            .into_iter()
            .enumerate()
            .map(|(id, (secret, is_validator))| Node::new(id, Rc::new(secret), is_validator, history))
            .collect();
        let presigned = Rc::clone(&workshop.presigned);
        let mut world = Self {
            fates: vec![Fate::default(); nodes.len()],
            copies: (0..nodes.len()).map(|_| None).collect(),
            clients: Clients::new(&options, founding, presigned),
            readers: Readers::new(&options, &env.founding),
            governing: Governing::new(options.seed, options.governing_mean_ms),
            faults: Schedule::new(&options),
            load: options.wide.as_ref().map(|wide| Load::new(wide, options.seed, Rc::clone(&env.founding))),
            clock_dice: Dice::new(options.seed, Stream::Clocks),
            events: 0,
            env,
            nodes,
        };
        world.assign(programs);
        world.set_clocks();
        world
    }

    fn assign(&mut self, programs: &Repertoire) {
        let options = Rc::clone(&self.env.options);
        let mut twin = options.validators.saturating_add(options.observers);
        for assignment in &options.puppets {
            self.env.checkers.distrust(assignment.validator);
            if assignment.program == TWIN {
                self.env.checkers.distrust(twin);
                twin = twin.saturating_add(1);
                continue;
            }
            let Some(node) = self.nodes.get_mut(assignment.validator) else { continue };
            match programs.make(&assignment.program, assignment.validator) {
                Some(Program::Puppet(puppet)) => node.puppet = Some(puppet),
                Some(Program::Filter(filter)) => node.filter = Some(filter),
                None => self.env.violate("usage", format!("there is no program {:?}", assignment.program)),
            }
        }
    }

    /// Clocks that are wrong by a little; those of a few by a lot, later.
    fn set_clocks(&mut self) {
        let faults = self.env.options.faults.clone();
        let wrong = self.clock_dice.sample(self.env.options.validators, faults.wrong_clocks_max);
        for node in &mut self.nodes {
            if faults.skew_ms_max > 0 {
                node.clock.jump(Moment::ZERO, signed(&mut self.clock_dice, faults.skew_ms_max));
            }
            if faults.drift_permille_max > 0 {
                let drift = signed(&mut self.clock_dice, faults.drift_permille_max);
                node.clock.set_drift(Moment::ZERO, drift);
            }
        }
        for node in wrong {
            self.fates[node].has_wrong_clock = true;
        }
    }

    /// Starts every node and every client.
    pub fn begin(&mut self) {
        for node in 0..self.nodes.len() {
            if self.nodes[node].puppet.is_some() {
                self.env.lives[node] = 1;
                self.nodes[node].call_puppet(&mut self.env, None);
                self.connect_all(node);
            } else {
                self.start(node);
                self.nodes[node].call_puppet(&mut self.env, None);
            }
        }
        for client in 0..self.clients.count() {
            let at = self.clients.next_wake(client, self.env.now);
            self.env.schedule(at, Happening::Client(client));
        }
        if let Some(load) = &self.load {
            self.env.schedule(load.next_at(), Happening::Offer);
        }
        if let Some(at) = self.governing.next(self.env.now) {
            self.env.schedule(at, Happening::Govern);
        }
        if let Some(at) = self.readers.next(self.env.now) {
            self.env.schedule(at, Happening::Read);
        }
        self.env.schedule(Moment::from_ms(INSPECT_MS), Happening::Inspect);
        let Self { faults, env, .. } = self;
        faults.begin(env);
    }

    /// Lets happen what is due until `end`. False if nothing is, or something is wrong.
    pub fn advance(&mut self, end: Moment) -> bool {
        if !self.env.checkers.is_content() {
            return false;
        }
        let Some(happening) = self.env.take(end) else { return false };
        self.events = self.events.saturating_add(1);
        self.happen(happening);
        self.settle();
        true
    }

    /// Number of things that happened.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.events
    }

    fn happen(&mut self, happening: Happening) {
        let Self { env, nodes, .. } = self;
        match happening {
            Happening::Arrival { to, life, from, parcel } => {
                env.network.arrived(from, to);
                let bytes = parcel.packet().bytes().len();
                let lines = env.network.wide.as_mut();
                if let Some(at) = lines.and_then(|lines| lines.land(to, bytes, env.now)) {
                    env.schedule(at, Happening::Landed { to, life, from, parcel });
                } else if env.lives.get(to) == Some(&life) {
                    nodes[to].receive(env, from, parcel);
                }
            }
            Happening::Landed { to, life, from, parcel } => {
                if env.lives.get(to) == Some(&life) {
                    nodes[to].receive(env, from, parcel);
                }
            }
            Happening::Proven { node, life, event, gossip } => {
                if env.lives.get(node) == Some(&life) {
                    nodes[node].proven(env, *event, gossip);
                }
            }
            Happening::Worked { node, life } => {
                if env.lives.get(node) == Some(&life) {
                    nodes[node].worked(env);
                }
            }
            Happening::Timer { node, timer, armed } => nodes[node].fire(env, timer, armed),
            Happening::Written { node, life } => {
                if env.lives.get(node) == Some(&life) {
                    nodes[node].written(env);
                }
            }
            Happening::Checked { node, life, ticket, bad } => {
                if env.lives.get(node) == Some(&life) {
                    nodes[node].checked(env, ticket, bad);
                }
            }
            Happening::Puppet { node, tag } => nodes[node].call_puppet(env, Some(tag)),
            Happening::Resume(node) => nodes[node].resume(env),
            Happening::Connect { one, other } => self.connect(one, other),
            Happening::Notice { node, peer, generation, certain } => {
                self.notice(node, peer, generation, certain);
            }
            Happening::Client(client) => self.client(client),
            Happening::Offer => self.offer(),
            Happening::Read => self.read(),
            Happening::Govern => self.govern(),
            Happening::Fault(fault) => self.strike(fault),
            Happening::Start(node) => self.start(node),
            Happening::Inspect => self.inspect(),
        }
    }

    /// Hands on what the nodes left behind.
    fn settle(&mut self) {
        while let Some((node, down)) = self.env.downs.pop() {
            self.bury(node, &down);
        }
        while let Some((by, whom)) = self.env.cuts.pop() {
            self.hang_up(by, whom);
        }
        while let Some((node, whim)) = self.env.whims.pop() {
            self.indulge(node, whim);
        }
        if !self.env.commits.is_empty() {
            self.tell_clients();
        }
        if !self.env.answers.is_empty() {
            self.take_answers();
        }
    }

    /// Looks at every node from outside.
    fn inspect(&mut self) {
        self.env.schedule(self.env.now.after_ms(INSPECT_MS), Happening::Inspect);
        let Self { env, nodes, .. } = self;
        nodes.iter_mut().for_each(|node| node.poll_calls(env));
        for (node, fate) in self.nodes.iter().zip(&mut self.fates) {
            let Some(status) = node.status() else { continue };
            if fate.is_forgetful && status.voice == Voice::Free {
                fate.is_forgetful = false;
                self.env.marks.hit("votes again after a loss");
            }
            let now = self.env.now;
            let seen = crate::checkers::Seen {
                status: &status,
                farthest_vote: node.replica().map(Replica::farthest_vote).unwrap_or_default(),
                timers: node.timers(),
                waiting: node.waiting(),
                is_at_rest: !node.is_busy() && !node.is_paused,
                log_bytes: node.disk.disk().log_bytes(),
            };
            self.env.checkers.inspect(now, node.id, &seen);
        }
    }

    /// Every node in one line.
    #[must_use]
    pub fn describe(&self) -> Vec<String> {
        self.nodes.iter().zip(&self.fates).map(|(node, fate)| describe(node, fate)).collect()
    }
}

fn describe(node: &Node, fate: &Fate) -> String {
    let state = match node.status() {
        Some(status) => format!(
            "{:?} epoch {} view {} final {} height {} peers {} pool {} bundles {} open {} timeout {} ms{}{}",
            status.voice,
            status.epoch,
            status.view,
            status.finalized_view,
            status.height,
            status.connected,
            status.pool_transactions,
            status.bundles,
            status.open_blocks,
            status.timeout_ms,
            if status.syncing { " syncing" } else { "" },
            status.stall.map_or(String::new(), |stall| format!(" stalled: {stall}")),
        ),
        None if node.puppet.is_some() => "puppet".to_owned(),
        None if fate.is_retired => "out for good".to_owned(),
        None => "down".to_owned(),
    };
    let paused = if node.is_paused { " paused" } else { "" };
    format!(
        "node {}: {state}{paused}, told {}, waiting {}, timers {}",
        node.id,
        node.told,
        node.waiting(),
        node.timers()
    )
}

/// A number of either sign, at most so far from zero.
fn signed(dice: &mut Dice, most: u64) -> i64 {
    let size = i64::try_from(dice.below(most.saturating_add(1))).unwrap_or(0);
    if dice.coin() { size } else { size.saturating_neg() }
}

/// The key of every node, and whether it is that of a validator: second copies come last.
fn secrets(options: &Options, founding: &Founding) -> Vec<(quorate_primitives::SecretKey, bool)> {
    let twins = options.puppets.iter().filter(|assignment| assignment.program == TWIN);
    let own = (0..founding.nodes.len()).map(|index| (index, index < options.validators));
    own.chain(twins.map(|twin| (twin.validator, true)))
        .map(|(index, votes)| (crate::founding::node_key(index), votes))
        .collect()
}
