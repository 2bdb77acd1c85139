//! `windtunnel exec -- …`: a command that finds AWS here.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use super::Place;
use super::env;
use super::failure::Failure;

/// Run a command with the variables of `windtunnel env`
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  windtunnel exec -- aws mwaa list-environments\n\n\
    Exits with the command's own code.")]
pub(super) struct Exec {
    /// The command's words
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "CMD"
    )]
    argv: Vec<String>,
}

pub(super) async fn run(place: &Place, asked: &Exec) -> Result<ExitCode, Failure> {
    let variables = env::variables(place).await?;
    let (program, words) = asked.argv.split_first().expect("clap asks for at least one word");
    let mut command = Command::new(program);
    command.args(words).envs(variables.set.iter().map(|(name, value)| (name, value)));
    for name in variables.unset {
        command.env_remove(name);
    }
    // The command takes our place: signals and the exit code are its own.
    let error = command.exec();
    Err(Failure::cannot(&format!("run `{program}`"), &error, "check its name and your PATH"))
}
