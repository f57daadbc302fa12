//! `quorate simulate`: a network in one thread, and everything that can go wrong.
use std::io::{self, BufWriter, Write};

use quorate_simulator::command::{self, Ending, SimulateArguments, SimulateError};

use super::{Exit, Failure};

/// Runs the command; returns how the program ends if nothing else went wrong.
///
/// # Errors
/// [`Failure`] if the arguments do not fit together or a file cannot be used.
pub fn run(arguments: &SimulateArguments) -> Result<u8, Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let ending = command::run(arguments, &mut out).and_then(|ending: Ending| {
        let flushed = out.flush().map_err(|error| SimulateError::File(format!("standard output: {error}")));
        flushed.map(|()| ending)
    });
    match ending {
        Ok(ending) => Ok(ending as u8),
        Err(SimulateError::Usage(message)) => Err(Failure::new(Exit::Usage, message)),
        Err(SimulateError::File(message)) => Err(Failure::new(Exit::Internal, message)),
    }
}
