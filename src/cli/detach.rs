//! `up --detach`: the same `up` in the background, watched until it is AVAILABLE or has failed.
//!
//! The background process tells its progress as JSON lines on a pipe, so there is nothing to poll. When the watcher
//! has gone it writes to nobody, which it does not mind.

use std::fs::OpenOptions;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{ExitCode, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use super::failure::{Failure, NO};
use super::progress::Progress;
use super::terminal;
use super::up::summary;
use crate::config::Config;

/// Starts `windtunnel up WORDS…` in the background and waits for its good or bad news.
pub(super) async fn run(
    config: &Config,
    words: Vec<String>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let log = config.state.join("windtunnel.log");
    let mut child = spawn(config, &words, &log)?;
    let lines = BufReader::new(child.stdout.take().expect("it was asked for")).lines();
    let outcome = tokio::select! {
        outcome = watch(lines, as_json, config.environment.is_none(), &log) => outcome,
        _ = tokio::signal::ctrl_c() => {
            terminate(&child);
            // Its own last words are in the log; we wait so that nothing is left when we return.
            drop(child.wait().await);
            Err(Failure::new("stopped before the environment was available").code(NO))
        }
    };
    if outcome.is_err() {
        // A start that failed ends by itself; it has stopped everything when it has ended.
        drop(child.wait().await);
    }
    outcome
}

fn spawn(config: &Config, words: &[String], log: &Path) -> Result<Child, Failure> {
    let failed = |error: std::io::Error| {
        Failure::cannot("start in the background", &error, "try `windtunnel up` without --detach")
    };
    let own = std::env::current_exe().map_err(failed)?;
    let log = OpenOptions::new().create(true).append(true).open(log).map_err(failed)?;
    let mut command = std::process::Command::new(own);
    command
        .arg("up")
        .args(words)
        .arg("--json")
        .arg("--")
        .arg(&config.project)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log)
        // Out of the terminal's group: Ctrl-C in it is not meant for what runs in the background.
        .process_group(0);
    Command::from(command).spawn().map_err(failed)
}

async fn watch(
    mut lines: Lines<BufReader<ChildStdout>>,
    as_json: bool,
    without_airflow: bool,
    log: &Path,
) -> Result<ExitCode, Failure> {
    let mut progress = if as_json { Progress::for_programs() } else { Progress::for_people() };
    let mut ready = Value::Null;
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(said) = serde_json::from_str::<Value>(&line) else { continue };
        if as_json {
            terminal::result(&line);
        } else {
            progress.relay(&said);
        }
        if !said["error"].is_null() {
            progress.quiet();
            return Err(Failure::from_json(&said["error"]));
        }
        if !said["ready"].is_null() {
            ready = said.clone();
        }
        let available = !said["available"].is_null();
        if available || (without_airflow && !ready.is_null()) {
            progress.quiet();
            if !as_json {
                terminal::result(&summary(&ready, &said, "`windtunnel down` stops it."));
            }
            return Ok(ExitCode::SUCCESS);
        }
    }
    progress.quiet();
    Err(Failure::new("windtunnel ended while it was starting")
        .next(format!("its last words are in {}", log.display()))
        .code(NO))
}

fn terminate(child: &Child) {
    if let Some(pid) = child.id().and_then(|pid| i32::try_from(pid).ok()) {
        // It may have ended meanwhile.
        kill(Pid::from_raw(pid), Signal::SIGTERM).ok();
    }
}
