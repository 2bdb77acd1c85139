//! What is decided and said before a start: the Airflow version, the runtime, what of the project was found; and what
//! to do when the start fails.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::airflow;
use crate::cli::failure::{Failure, causes};
use crate::config::flags::Flags;
use crate::config::machine::Machine;
use crate::config::{Config, Plugins, RuntimeKind};
use crate::daemon::StartError;

/// What to do when nothing better is known.
pub(super) const LOG_HINT: &str = ".windtunnel/windtunnel.log has more";

/// Refuses a version that we have no recipe for.
pub(in super::super) fn version(config: &Config) -> Result<(), Failure> {
    let Some(environment) = &config.environment else { return Ok(()) };
    let wanted = &environment.airflow_version;
    if airflow::recipe(wanted).is_some() {
        return Ok(());
    }
    let known: Vec<&str> = airflow::RECIPES.iter().map(|recipe| recipe.version).collect();
    Err(Failure::new(format!("Airflow {wanted} is not supported"))
        .why(format!("this windtunnel runs {}", known.join(", ")))
        .next("set AirflowVersion in windtunnel.toml to one of these"))
}

/// Which runtime it is, and why, in one line.
pub(super) fn runtime(config: &Config, machine: &Machine) -> Result<String, Failure> {
    match config.runtime {
        RuntimeKind::Process => Ok("process: as asked for".to_owned()),
        RuntimeKind::Docker => Err(Failure::new("cannot run Airflow in containers")
            .why("this version of windtunnel has the process runtime only")
            .next("leave out `--runtime docker`, or say `--runtime process`")),
        RuntimeKind::Auto if docker_answers(machine) => {
            Ok("process: a Docker engine answers, but this version runs processes only".to_owned())
        }
        RuntimeKind::Auto => Ok("process: no Docker engine answers".to_owned()),
    }
}

/// Whether a Docker engine listens where it is said to, or where it usually does.
pub(in crate::cli) fn docker_answers(machine: &Machine) -> bool {
    let host = machine.docker_host.as_deref().unwrap_or("unix:///var/run/docker.sock");
    match host.split_once("://") {
        Some(("unix", path)) => UnixStream::connect(Path::new(path)).is_ok(),
        Some(("tcp" | "http" | "https", address)) => {
            // Only loopback is asked: nothing leaves the machine before anybody wants it to.
            address.parse().is_ok_and(|address: std::net::SocketAddr| {
                address.ip().is_loopback() && std::net::TcpStream::connect(address).is_ok()
            })
        }
        Some(_) | None => false,
    }
}

/// What was taken from the project, in one line.
pub(super) fn found(config: &Config, machine: &Machine) -> String {
    let layout = &config.layout;
    let plugins = layout.plugins.as_ref().map(|plugins| match plugins {
        Plugins::Folder(path) | Plugins::Archive(path) => path,
    });
    let dags = layout.dags.is_dir().then_some(&layout.dags);
    let parts = [
        dags,
        plugins,
        layout.requirements.as_ref(),
        layout.startup_script.as_ref(),
        layout.dotenv.as_ref(),
    ];
    let parts: Vec<String> = parts
        .into_iter()
        .flatten()
        .filter_map(|path| path.strip_prefix(&config.project).ok())
        .map(|path| path.display().to_string())
        .collect();
    let project = machine.shown(&config.project);
    format!("project  {} ({} layout): {}", project.display(), layout.name, parts.join(", "))
}

/// The flags again, as words for another `windtunnel up`.
pub(super) fn words(flags: &Flags) -> Vec<String> {
    let Flags {
        aws_addr,
        console_addr,
        web_addr,
        runtime,
        sync_interval,
        auth,
        durability,
        region,
        account_id,
        cache_dir,
        no_airflow,
    } = flags;
    let named = |kind: &dyn std::fmt::Debug| format!("{kind:?}").to_ascii_lowercase();
    let mut words = Vec::new();
    let mut say = |flag: &str, value: Option<String>| {
        words.extend(value.map(|value| format!("--{flag}={value}")));
    };
    say("aws-addr", aws_addr.map(|address| address.to_string()));
    say("console-addr", console_addr.map(|address| address.to_string()));
    say("web-addr", web_addr.map(|address| address.to_string()));
    say("runtime", runtime.map(|kind| named(&kind)));
    say("sync-interval", sync_interval.map(|time| format!("{}ms", time.as_millis())));
    say("auth", auth.map(|auth| named(&auth)));
    say("durability", durability.map(|kind| named(&kind)));
    say("region", region.as_ref().map(ToString::to_string));
    say("account-id", account_id.as_ref().map(ToString::to_string));
    say("cache-dir", cache_dir.as_ref().map(|folder| folder.display().to_string()));
    if *no_airflow {
        words.push("--no-airflow".to_owned());
    }
    words
}

/// Why nothing runs, and what to do about it.
pub(super) fn start_failure(error: &StartError) -> Failure {
    let why = std::error::Error::source(error).map(causes).unwrap_or_default();
    let next = match error {
        StartError::Listen { source, .. } if source.kind() == io::ErrorKind::AddrInUse => {
            "stop the program that has it, or take another: `--aws-addr`, `--console-addr` and \
             `--web-addr` with port 0 take any free one"
        }
        StartError::Listen { .. } => "choose another address: `windtunnel up --help`",
        StartError::File { .. }
        | StartError::Database(_)
        | StartError::Objects(_)
        | StartError::Queues(_)
        | StartError::Tokens(..)
        | StartError::Tls(_) => "check the project folder's rights and free space",
        StartError::Sweep(_) => "`windtunnel doctor` looks for what is left and in the way",
        StartError::Mirror(_) => "check that the project's files can be read, and the free space",
        StartError::Environment(_) => LOG_HINT,
        StartError::Metrics(_) => "is there a loopback interface? `ip addr show lo` tells",
    };
    Failure::new(error.to_string()).why(why).next(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_background_gets_the_same_flags() {
        let flags = Flags {
            aws_addr: Some("127.0.0.1:0".parse().unwrap()),
            runtime: Some(RuntimeKind::Process),
            sync_interval: Some(std::time::Duration::from_secs(30)),
            no_airflow: true,
            ..Flags::default()
        };
        assert_eq!(
            words(&flags),
            [
                "--aws-addr=127.0.0.1:0",
                "--runtime=process",
                "--sync-interval=30000ms",
                "--no-airflow"
            ]
        );
    }
}
