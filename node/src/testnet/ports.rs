//! Which ports the nodes of a testnet listen on, and whether they are free.
use std::net::{Ipv4Addr, TcpListener};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// First RPC port when nothing is said.
pub const RPC_BASE: u16 = 8_645;
/// First port for other nodes when nothing is said.
pub const P2P_BASE: u16 = 9_001;
/// First metrics port when nothing is said.
pub const METRICS_BASE: u16 = 9_101;
/// With `--port-base`, how far the three ranges lie apart: no testnet has more nodes.
const RANGE: u16 = 128;
/// Smallest port that needs no privilege.
const PORT_MIN: u16 = 1_024;
/// Largest base from which three ranges still fit below 65,536.
const BASE_MAX: u16 = u16::MAX - 3 * RANGE;

/// The ports of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodePorts {
    /// JSON-RPC.
    pub rpc: u16,
    /// Other nodes.
    pub p2p: u16,
    /// Metrics and health.
    pub metrics: u16,
}

impl NodePorts {
    fn named(&self) -> [(&'static str, u16); 3] {
        [("rpc", self.rpc), ("p2p", self.p2p), ("metrics", self.metrics)]
    }
}

/// How ports are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PortBase {
    /// Whatever is free.
    Auto,
    /// Three ranges of 128 ports from this one on. Range: 1,024 to 65,151.
    From(u16),
}

/// A text that says neither.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected auto or a port from {PORT_MIN} to {BASE_MAX}, found {found:?}")]
pub struct PortBaseError {
    found: String,
}

impl FromStr for PortBase {
    type Err = PortBaseError;
    fn from_str(text: &str) -> Result<Self, PortBaseError> {
        let wrong = || PortBaseError { found: text.chars().take(40).collect() };
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let port = text.parse().map_err(|_| wrong())?;
        if (PORT_MIN..=BASE_MAX).contains(&port) { Ok(Self::From(port)) } else { Err(wrong()) }
    }
}

/// Why ports cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// Somebody listens there.
    #[error(
        "port {port} ({purpose} of {node}) is in use: expected a free one; choose others with --port-base N or --port-base auto"
    )]
    InUse {
        /// Which.
        port: u16,
        /// What it is for.
        purpose: &'static str,
        /// Whose.
        node: String,
    },
    /// The system has none left.
    #[error("no free port: {source}")]
    NoneFree {
        /// What the system says.
        source: std::io::Error,
    },
}

/// Ports for this many nodes; `None` is the usual three ranges.
///
/// # Errors
/// [`PortsError::NoneFree`].
pub fn choose(base: Option<PortBase>, nodes: usize) -> Result<Vec<NodePorts>, PortsError> {
    let ranges = match base {
        Some(PortBase::Auto) => return free_ports(nodes),
        Some(PortBase::From(base)) => [base, base + RANGE, base + 2 * RANGE],
        None => [RPC_BASE, P2P_BASE, METRICS_BASE],
    };
    let [rpc, p2p, metrics] = ranges;
    let at = |index: u16| NodePorts { rpc: rpc + index, p2p: p2p + index, metrics: metrics + index };
    Ok((0..u16::MAX).take(nodes).map(at).collect())
}

/// Ports for one more node than these: the next of their ranges, or whatever is free where the ports do
/// not lie in ranges or somebody listens on the next one.
///
/// # Errors
/// [`PortsError::NoneFree`].
pub fn next(ports: &[NodePorts]) -> Result<NodePorts, PortsError> {
    let after = |port: u16, count: usize| port.checked_add(u16::try_from(count).ok()?);
    let at = |first: &NodePorts, count: usize| {
        let (rpc, p2p) = (after(first.rpc, count)?, after(first.p2p, count)?);
        Some(NodePorts { rpc, p2p, metrics: after(first.metrics, count)? })
    };
    let in_ranges = |first: &&NodePorts| {
        ports.iter().enumerate().all(|(index, found)| at(first, index).as_ref() == Some(found))
    };
    let usual = ports.first().filter(in_ranges).and_then(|first| at(first, ports.len()));
    match usual.filter(|_| ports.len() > 1).filter(|usual| check_free(&[*usual]).is_ok()) {
        Some(usual) => Ok(usual),
        None => Ok(free_ports(1)?.pop().unwrap_or(NodePorts { rpc: 0, p2p: 0, metrics: 0 })),
    }
}

/// Asks the system for ports, holding all of them until the last is known so that none is given twice.
fn free_ports(nodes: usize) -> Result<Vec<NodePorts>, PortsError> {
    let mut held = Vec::new();
    let mut next = || -> std::io::Result<u16> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        held.push(listener);
        Ok(port)
    };
    let mut ports = Vec::new();
    for _ in 0..nodes {
        let mut port = || next().map_err(|source| PortsError::NoneFree { source });
        ports.push(NodePorts { rpc: port()?, p2p: port()?, metrics: port()? });
    }
    Ok(ports)
}

/// Checks that nobody listens on any of the ports.
///
/// # Errors
/// [`PortsError::InUse`] naming the first that is taken.
pub fn check_free(ports: &[NodePorts]) -> Result<(), PortsError> {
    for (index, node) in ports.iter().enumerate() {
        for (purpose, port) in node.named() {
            if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err() {
                return Err(PortsError::InUse { port, purpose, node: super::node_name(index) });
            }
        }
    }
    Ok(())
}
