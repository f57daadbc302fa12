//! From a command line to an exit code.
use clap::{CommandFactory, Parser};
use std::ffi::OsString;
use std::io::{self, Write};

use quorate_primitives::light::Finalized;
use quorate_primitives::receipt::Failure as Refusal;
use quorate_primitives::state::{Account, Asset, StateKey};
use quorate_primitives::{Amount, numbers::AmountError};
use serde::Serialize;
use serde_json::json;

use crate::arguments::{AccountCommand, Arguments, Command, Format, Settings};
use crate::explain::{trust_json, trust_line, unverified_line};
use crate::failure::{Exit, Failure};
use crate::output::{self, Report};
use crate::session::Session;
use crate::signers::Signers;
use crate::typed::TypedAmount;
use crate::verify::ProvenState;

mod account;
mod asset;
mod balance;
mod evidence;
mod keys;
mod network;
mod send;
mod tx;
mod validator;

/// Runs one command and returns its exit code. Blocks until it is done.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> u8 {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => return refuse(&error),
    };
    let format = arguments.settings.output;
    let (mut out, mut messages) = (io::stdout().lock(), io::stderr());
    match execute(&arguments.settings, arguments.command) {
        Ok(report) => match report.write(format, &mut out) {
            Ok(()) => 0,
            // Whoever closed the pipe has read what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            Err(_) => Exit::Internal.code(),
        },
        Err(failure) => {
            // The code tells a script what happened even if nobody can read the reason.
            let _ = output::write_failure(&failure, format, &mut out, &mut messages);
            failure.exit.code()
        }
    }
}

fn refuse(error: &clap::Error) -> u8 {
    if error.use_stderr() && error.kind() != clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        // One line: what is wrong, without the usage that --help shows.
        let whole = error.to_string();
        let first: Vec<&str> =
            whole.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
        let failure = Failure::usage(first.join(" ").trim_start_matches("error: "));
        let _ = writeln!(io::stderr(), "error: {failure} (see --help)");
        return failure.exit.code();
    }
    let _ = error.print();
    if error.use_stderr() { Exit::Usage.code() } else { 0 }
}

fn execute(settings: &Settings, command: Command) -> Result<Report, Failure> {
    match command {
        Command::Keys(command) => keys::execute(settings, command),
        Command::Network(command) => network::execute(settings, command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "quorate-wallet", &mut script);
            if settings.output != Format::Text {
                return Err(Failure::usage("completions are a script and have no other form than text"));
            }
            Ok(Report::new(String::from_utf8_lossy(&script), serde_json::json!({})))
        }
        Command::Balance { account } => wait(balance::show(settings, account.as_deref())),
        Command::Account(arguments) => match arguments.command {
            None => wait(account::show(settings, arguments.account.as_deref())),
            Some(AccountCommand::Show { account }) => wait(account::show(settings, account.as_deref())),
            Some(create @ AccountCommand::Create { .. }) => wait(account::create(settings, create)),
        },
        Command::Send(arguments) => wait(send::send(settings, &arguments)),
        Command::Asset(command) => wait(asset::execute(settings, command)),
        Command::Tx(command) => wait(tx::execute(settings, command)),
        Command::Validator(command) => wait(validator::execute(settings, command)),
        Command::Evidence(command) => wait(evidence::execute(settings, command)),
    }
}

fn wait(work: impl Future<Output = Result<Report, Failure>>) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Exit::Internal, format_args!("runtime: {error}")))?.block_on(work)
}

/// Shows what a node says without any proof, marked as such.
fn unverified(session: &Session<'_>, answer: &impl Serialize) -> Result<Report, Failure> {
    let wrong = |error: serde_json::Error| Failure::new(Exit::Internal, error);
    let url = session.nodes.url();
    let text = serde_json::to_string_pretty(answer).map_err(wrong)?;
    let fields = json!({ "unverified": true, "url": url, "answer": answer });
    // Nothing of this was checked: it must not move the cursor either.
    let shown = |found: char| if found.is_control() && found != '\n' { ' ' } else { found };
    let text: String = text.chars().map(shown).collect();
    Ok(Report::new(format!("{}{text}\n", unverified_line(url)), fields))
}

/// Something is proven not to be there.
fn absent(what: &str, ledger: &Finalized) -> Failure {
    let trust = trust_line(ledger);
    let details = json!({ "verified": trust_json(ledger) });
    Failure::new(Exit::NotFound, format_args!("{what} does not exist ({})", trust.trim_end()))
        .with_details(details)
}

/// A proven value that must be there.
fn present<T: borsh::BorshDeserialize>(
    session: &Session<'_>,
    state: &ProvenState,
    key: &StateKey,
    what: &str,
) -> Result<T, Failure> {
    session.nodes.value::<T>(state, key)?.ok_or_else(|| absent(what, &state.ledger))
}

/// The account that acts must be there, and the keys must be enough for it.
fn check_sender(
    session: &Session<'_>,
    state: &ProvenState,
    key: &StateKey,
    signers: &Signers,
) -> Result<(), Failure> {
    let name = signers.name();
    let account = present::<Account>(session, state, key, &format!("the sender's account {name}"))?;
    let (authority, keys) = (&account.authority, signers.public_keys());
    if authority.is_satisfied_by(keys) {
        return Ok(());
    }
    let counted = authority.keys.iter().filter(|weighted| keys.contains(&weighted.key));
    let found: u32 = counted.map(|weighted| u32::from(weighted.weight)).sum();
    let (needed, known) = (authority.threshold, authority.keys.len());
    let who = format!("account {name} needs weight {needed} of its {known} keys");
    let what = format!("{who}, but the keys that sign have {found}; name others with --sign-with");
    Err(rejected(Refusal::Unauthorised, &what))
}

/// The ledger would refuse the transaction as the proven state stands; nothing was signed.
fn rejected(refusal: Refusal, what: &str) -> Failure {
    let (code, name, description) = (refusal.code(), refusal.name(), refusal.description());
    let message = format!("rejected: {code} {name}: {description} ({what}); nothing was signed");
    Failure::new(Exit::Rejected, message).with_details(json!({ "code": code, "name": name }))
}

/// The amount in smallest units of the proven asset; never rounded.
fn amount(typed: &TypedAmount, asset: &Asset) -> Result<Amount, Failure> {
    let wrong = |error: AmountError| Failure::usage(format_args!("amount {typed}: {error}"));
    let amount = Amount::parse_decimal(&typed.number, asset.decimals).map_err(wrong)?;
    if amount == Amount::ZERO {
        return Err(Failure::usage(format_args!("amount {typed}: expected more than zero")));
    }
    Ok(amount)
}
