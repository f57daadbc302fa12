//! The commands of the `quorate` program: what they are called, and how they end.
//!
//! Data goes to standard output and messages to standard error. A fault is one line that names the
//! field, the value found and what is allowed, and an exit code that scripts can rely on.
pub mod bench;
pub mod config;
pub mod genesis;
pub mod node;
pub mod simulate;
pub mod testnet;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};

/// How a command ended. The numbers are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// A fault of the program or of the machine.
    Internal = 1,
    /// The command line is not understood.
    Usage = 2,
    /// What was asked for does not exist.
    NotFound = 3,
    /// No node could be reached.
    Unreachable = 5,
    /// A key file is missing, damaged or protected.
    Key = 8,
    /// A file of a testnet or a network is wrong.
    Configuration = 9,
    /// The disk or what is on it cannot be trusted: the node stopped and must not be restarted blindly.
    Storage = 74,
    /// The genesis or the configuration of a node is wrong.
    Genesis = 78,
}

/// Why a command did not do what it was asked to: one line for people, and how the program ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// A failure with this message; line breaks become semicolons.
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        let lines: Vec<String> = message.to_string().lines().map(|line| line.trim().to_owned()).collect();
        Self { exit, message: lines.join("; ") }
    }

    /// How the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Attaches the way the program ends to any error.
pub(crate) trait OrExit<T> {
    /// Ends with this code and the error's own message.
    fn or_exit(self, exit: Exit) -> Result<T, Failure>;
    /// As [`OrExit::or_exit`], with words before the message that say what it is about.
    fn or_exit_about(self, exit: Exit, about: impl fmt::Display) -> Result<T, Failure>;
}

impl<T, E: fmt::Display> OrExit<T> for Result<T, E> {
    fn or_exit(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, error))
    }

    fn or_exit_about(self, exit: Exit, about: impl fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(exit, format_args!("{about}: {error}")))
    }
}

/// A permissioned ledger that finalizes by votes of its validators.
#[derive(Debug, Parser)]
#[command(name = "quorate", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run and inspect one node.
    #[command(subcommand)]
    Node(node::NodeCommand),
    /// Make and check founding documents.
    #[command(subcommand)]
    Genesis(genesis::GenesisCommand),
    /// Run a network of several validators on this machine.
    Testnet(testnet::TestnetArguments),
    /// Rehearse a network in one thread, with everything that can go wrong drawn from a seed.
    Simulate(Box<quorate_simulator::command::SimulateArguments>),
    /// Measure how many transactions a network of this machine finalizes, and how soon.
    Bench(Box<bench::BenchArguments>),
    /// Explain the configuration file.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Print a completion script for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Runs the program with these arguments, the first of which is its own name.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let outcome = match Arguments::try_parse_from(arguments) {
        Ok(Arguments { command: Command::Simulate(arguments) }) => match simulate::run(&arguments) {
            Ok(code) => return ExitCode::from(code),
            Err(failure) => Err(failure),
        },
        Ok(arguments) => dispatch(arguments.command),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            print(&error.to_string())
        }
        Err(error) => Err(Failure::new(Exit::Usage, usage_message(&error))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nothing can be done if standard error is closed.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            ExitCode::from(failure.exit() as u8)
        }
    }
}

fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Node(command) => node::run(command),
        Command::Genesis(command) => genesis::run(command),
        Command::Testnet(arguments) => testnet::run(arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Simulate(arguments) => simulate::run(&arguments).map(drop),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "quorate", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// Writes data to standard output. A reader that went away is no fault of ours; any other fault is a
/// failure, since a script would take what is cut off for the whole.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write_out(text, &mut std::io::stdout().lock())
}

fn write_out(text: &str, out: &mut impl Write) -> Result<(), Failure> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(error).or_exit_about(Exit::Internal, "standard output")
        }
        _ => Ok(()),
    }
}

/// The parser's complaint and its tip in one line, without the usage that follows them.
fn usage_message(error: &clap::Error) -> String {
    let text = error.to_string();
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let kept: Vec<&str> =
        said.filter(|line| !line.is_empty() && !line.starts_with("For more information")).collect();
    let message = kept.join("; ");
    message
        .strip_prefix("error: ")
        .map_or_else(|| "a command is missing: `quorate --help` lists them".to_owned(), str::to_owned)
}
