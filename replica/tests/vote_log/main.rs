//! What the vote log promises: nothing that was durable is ever forgotten silently, whenever the
//! machine, the process or the disk fails.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod basics;
mod bytes;
mod crashes;
mod disk;
mod life;
mod losses;
