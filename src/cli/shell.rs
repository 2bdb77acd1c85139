//! `windtunnel shell`: a shell with the variables and the interpreter of the environment.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use super::failure::Failure;
use super::{Place, workbench};

/// A shell in the environment's interpreter, as a component would see it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel shell\n  \
    windtunnel shell -- python -c 'import airflow; print(airflow.__version__)'\n\n\
    Its Airflow database is an empty one of its own. Exits with the command's own code.")]
pub(super) struct Shell {
    /// A command to run instead
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CMD")]
    argv: Vec<String>,
}

pub(super) async fn run(place: &Place, asked: &Shell) -> Result<ExitCode, Failure> {
    let config = workbench::config(place)?;
    let bench = workbench::open(place, &config).await.map_err(|e| workbench::unfit(&e))?;
    let session = workbench::session(&bench)?;
    let variables = bench
        .variables()
        .await
        .map_err(|error| Failure::cannot("ask the warm interpreter", &error, "try again"))?;
    let default = || place.machine.shell.clone().unwrap_or_else(|| PathBuf::from("/bin/sh"));
    let program = asked.argv.first().map_or_else(default, PathBuf::from);
    let mut command = Command::new(&program);
    command.args(asked.argv.iter().skip(1)).env_clear().envs(variables);
    for name in ["TERM", "COLORTERM"] {
        if let Some(value) = config.variables.0.get(name) {
            command.env(name, value);
        }
    }
    let services = workbench::services(place, &config, true).await;
    for (name, value) in session.variables().into_iter().chain(services) {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    // It stays until the interpreter is made anew: the command takes our place, and cannot remove it.
    session.keep();
    let error = command.exec();
    let act = format!("run `{}`", program.display());
    Err(Failure::cannot(&act, &error, "check its name"))
}
