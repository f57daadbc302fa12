//! A network of several validators on this machine, each in a process of its own.
//!
//! A [`founding::Plan`] becomes files in a [`folder::Folder`]; the [`supervisor`] starts one
//! [`process`] a node, waits until they finalize blocks, prints the [`table`] and keeps
//! [`report::Report`] up to date until it is told to stop. [`chaos`] are the commands that disturb a
//! running testnet or add to it from another terminal; they find it through its report.
pub mod background;
pub mod chaos;
pub mod folder;
pub mod founding;
pub mod generate;
pub mod ports;
pub mod probe;
pub mod process;
mod pulse;
pub mod report;
pub mod seeds;
pub mod supervisor;
pub mod table;

/// The name of the node at this position, from 0: `n1` is the first.
#[must_use]
pub fn node_name(index: usize) -> String {
    format!("n{}", index + 1)
}
