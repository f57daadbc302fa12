//! The process: arguments in, text or JSON out, one exit code.
use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(quorate_wallet_cli::run(std::env::args_os()))
}
