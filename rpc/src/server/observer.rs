//! What the server tells whoever counts.
use std::time::Duration;

use crate::api::ErrorKind;

/// Why a connection or a request was turned away before any method was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// Too many connections in all.
    Connections,
    /// Too many connections of one address.
    ConnectionsOfAddress,
    /// A Host or Origin that is not allowed.
    Host,
    /// A body that is too long, too slow, nested too deep or no JSON.
    Body(ErrorKind),
}

impl Refusal {
    /// A name for metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::ConnectionsOfAddress => "connections_of_address",
            Self::Host => "host",
            Self::Body(kind) => kind.name(),
        }
    }
}

/// Receives one call for each thing that happened. Must not block.
pub trait Observer: Send + Sync + 'static {
    /// A call was answered; `error` is the code of its error, `method` is `unknown` for one that does
    /// not exist.
    fn answered(&self, method: &'static str, error: Option<i32>, took: Duration);

    /// Something was turned away.
    fn refused(&self, why: Refusal);

    /// The number of open connections changed.
    fn connections(&self, open: usize);
}

/// Counts nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unobserved;

impl Observer for Unobserved {
    fn answered(&self, _: &'static str, _: Option<i32>, _: Duration) {}
    fn refused(&self, _: Refusal) {}
    fn connections(&self, _: usize) {}
}
