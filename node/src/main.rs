//! The `quorate` program.
use std::process::ExitCode;

/// Most of what a validator allocates is small and short-lived, which is what this allocator is made for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    quorate_node::commands::run(std::env::args_os())
}
