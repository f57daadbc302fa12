//! The `quorate` program.
use std::process::ExitCode;

/// What a validator allocates is short-lived and small: this allocator spends about half as long on it as
/// that of the system, and gives memory back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quorate_node::commands::run(std::env::args_os())
}
