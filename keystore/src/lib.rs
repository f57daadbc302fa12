//! Key files, and the folder in which a wallet keeps its keys and its networks.
//!
//! Read in this order: [`names`] are the names that become file names, [`files`] how a file is written
//! so that it is either there whole or not at all, [`cipher`] how a secret is protected, [`key_file`]
//! the file that carries it, [`network`] what is pinned about a network, and [`home`] where all of
//! them lie. Nothing here talks to a network.

pub mod cipher;
pub mod files;
pub mod home;
pub mod key_file;
pub mod names;
pub mod network;

pub use cipher::{Cost, Passphrase, Protection};
pub use home::{Home, HomeError};
pub use key_file::{KeyFile, KeyFileError};
pub use names::{KeyName, NetworkName};
pub use network::{NetworkFile, NetworkFileError};
