//! The `quorate` program.
use std::process::ExitCode;

fn main() -> ExitCode {
    quorate_node::commands::run(std::env::args_os())
}
