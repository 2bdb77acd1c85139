//! `windtunnel down`: asks the project's windtunnel to stop, and waits until it has.

use std::fs::File;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use super::client::Client;
use super::failure::{Failure, NO};
use super::{Place, terminal};
use crate::runtime::process::workbench::Workbench;

/// Stop the running windtunnel of this project, and the interpreter that `check` keeps warm
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  windtunnel down")]
pub(super) struct Down {
    /// How many seconds it may take
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    timeout: u64,
}

pub(super) async fn run(place: &Place, asked: &Down) -> Result<ExitCode, Failure> {
    let state = place.state()?;
    let stopped = stop(&state, Duration::from_secs(asked.timeout)).await?;
    let word = if stopped { "has stopped" } else { "is not running for this project" };
    terminal::note(&format!("windtunnel {word}"));
    if let Some(bench) = Workbench::find(&state).await
        && bench.stop().await.is_ok()
    {
        terminal::note("the warm interpreter of `check` has ended");
    }
    Ok(ExitCode::SUCCESS)
}

/// Stops the project's windtunnel. False: none was running.
pub(super) async fn stop(state: &Path, limit: Duration) -> Result<bool, Failure> {
    let Some((client, _)) = Client::running(state).await else {
        return Ok(false);
    };
    let pid = client.instance.pid;
    client.post("/console/v1/shutdown", &serde_json::json!({})).await?;
    tokio::time::timeout(limit, released(state)).await.map_err(|_| {
        Failure::new(format!("windtunnel (pid {pid}) is still stopping after {limit:?}"))
            .next(format!(
                "wait, or `kill -9 {pid}`: nothing acknowledged is lost, and the next `up` cleans up"
            ))
            .code(NO)
    })??;
    Ok(true)
}

/// Returns once nobody holds the project's lock: a running windtunnel holds it to its very end.
async fn released(state: &Path) -> Result<(), Failure> {
    let path = super::up::lock_path(state);
    let (told, waited) = tokio::sync::oneshot::channel();
    // A thread of its own: nobody joins it if the wait is given up, and it ends with the process.
    std::thread::spawn(move || {
        let held = File::open(&path).and_then(|file| file.lock_shared());
        drop(told.send(held));
    });
    match waited.await {
        // Where the file is not there any more, the state folder went with it.
        Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::cannot("wait for windtunnel's end", &error, "`windtunnel status`"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
