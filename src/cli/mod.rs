//! The command line: a file per verb. `up` runs the daemon; every other verb is an HTTP client of a running one.
//!
//! Promise: results go to stdout, everything else to stderr; an error says what, why and what to do.
//! Exit codes: 0 done, 1 it ran and the answer is no, 2 wrong use or cannot run; 70 a fault of windtunnel's own.

mod airflow;
mod check;
mod client;
mod completion;
mod detach;
mod diff;
mod doctor;
mod down;
mod env;
mod exec;
mod failure;
mod history;
mod import;
mod init;
mod logs;
mod open;
mod progress;
mod restart;
mod restore;
mod run;
mod shell;
mod status;
mod terminal;
mod test;
mod up;
mod versions;
mod versions_supported;
mod workbench;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::config::flags::Flags;
use crate::config::machine::Machine;
use crate::config::{self, Config};
use failure::Failure;

const LONG_ABOUT: &str = "\
Amazon MWAA on a laptop: real Apache Airflow, a versioned S3 bucket, SQS and the MWAA API around it,
from one project folder. Nothing leaves this machine unless the project's own code asks for it.";

const AFTER_HELP: &str = "\
Examples:
  windtunnel init my-project && cd my-project
  windtunnel up                         run it here; Ctrl-C stops it
  eval \"$(windtunnel env)\"              point the AWS CLI and every AWS SDK at it
  aws mwaa list-environments
  windtunnel airflow -- dags list
  windtunnel logs -f

Exit codes:
  0  done    1  it ran, and the answer is no    2  wrong use, or it cannot run    70  a fault of windtunnel's own";

/// What was typed.
#[derive(Debug, Parser)]
#[command(name = "windtunnel", version, about = LONG_ABOUT, after_help = AFTER_HELP)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    /// The project's folder, where it is not the current one or around it
    #[arg(
        long,
        global = true,
        env = "WINDTUNNEL_PROJECT",
        value_name = "DIR",
        hide_env_values = true
    )]
    project: Option<PathBuf>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Init(init::Init),
    Import(import::Import),
    Up(up::Up),
    Down(down::Down),
    Restart(restart::Restart),
    Status(status::Status),
    Env(env::Env),
    Exec(exec::Exec),
    Airflow(airflow::Airflow),
    Check(check::Check),
    Test(test::Test),
    Run(run::Run),
    Shell(shell::Shell),
    Logs(logs::Logs),
    Open(open::Open),
    Versions(versions::Versions),
    VersionsSupported(versions_supported::VersionsSupported),
    Diff(diff::Diff),
    Restore(restore::Restore),
    Doctor(doctor::Doctor),
    Completion(completion::Completion),
}

/// Where a verb was called, and for which project.
#[derive(Debug)]
struct Place {
    machine: Machine,
    asked: Option<PathBuf>,
}

impl Place {
    /// The project's folder.
    fn project(&self, flags: &Flags) -> Result<PathBuf, Failure> {
        Ok(config::find_project(&self.machine, self.asked.as_deref(), flags)?)
    }

    /// The project's state folder, which may not exist yet.
    fn state(&self) -> Result<PathBuf, Failure> {
        // A windtunnel that serves the AWS APIs alone may run in any folder, so a folder with state will do.
        Ok(self.project(&Flags::default())?.join(".windtunnel"))
    }

    /// Everything that is set for the project.
    fn config(&self, flags: &Flags) -> Result<Config, Failure> {
        Ok(config::resolve(&self.project(flags)?, flags, &self.machine)?)
    }
}

/// Reads the arguments and runs the verb.
pub fn main() -> ExitCode {
    let Arguments { project, verb } = Arguments::parse();
    let place = Place { machine: Machine::look(), asked: project };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            return Failure::cannot("start threads", &error, "close other programs").tell();
        }
    };
    let result = runtime.block_on(run(place, verb));
    // What may still be under way was given its time; nobody waits for it any longer.
    runtime.shutdown_background();
    result.unwrap_or_else(|failure| failure.tell())
}

async fn run(place: Place, verb: Verb) -> Result<ExitCode, Failure> {
    match verb {
        Verb::Init(asked) => init::run(&place, &asked),
        Verb::Import(asked) => import::run(&place, &asked),
        Verb::Up(asked) => up::run(place, asked).await,
        Verb::Down(asked) => down::run(&place, &asked).await,
        Verb::Restart(asked) => restart::run(place, asked).await,
        Verb::Status(asked) => status::run(&place, &asked).await,
        Verb::Env(asked) => env::run(&place, &asked).await,
        Verb::Exec(asked) => exec::run(&place, &asked).await,
        Verb::Airflow(asked) => airflow::run(&place, asked).await,
        Verb::Check(asked) => check::run(&place, &asked).await,
        Verb::Test(asked) => test::run(&place, asked).await,
        Verb::Run(asked) => run::run(&place, &asked).await,
        Verb::Shell(asked) => shell::run(&place, &asked).await,
        Verb::Logs(asked) => logs::run(&place, &asked).await,
        Verb::Open(asked) => open::run(&place, asked).await,
        Verb::Versions(asked) => versions::run(&place, &asked).await,
        Verb::VersionsSupported(asked) => versions_supported::run(&place, &asked),
        Verb::Diff(asked) => diff::run(&place, &asked).await,
        Verb::Restore(asked) => restore::run(&place, &asked).await,
        Verb::Doctor(asked) => doctor::run(&place, &asked).await,
        Verb::Completion(asked) => Ok(completion::run(&asked, Arguments::command())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_has_help_with_an_example() {
        for verb in Arguments::command().get_subcommands().filter(|v| v.get_name() != "help") {
            let text = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(text.contains("Example"), "`{}` has no example", verb.get_name());
        }
    }
}
