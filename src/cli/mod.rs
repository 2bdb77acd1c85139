//! The command line.

use std::process::ExitCode;

/// Reads the arguments and runs the verb.
pub fn main() -> ExitCode {
    ExitCode::from(2)
}
