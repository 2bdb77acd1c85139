//! `windtunnel up`: starts everything, shows how it goes, and stays until it is told to stop.

mod follow;
mod settle;

use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

use super::client::Client;
use super::failure::{Failure, OWN_FAULT};
use super::progress::Progress;
use super::{Place, detach, terminal};
use crate::config::Config;
use crate::config::flags::Flags;
use crate::config::private::state_mode;
use crate::daemon;
pub(super) use settle::{docker_answers, version};

/// Start everything and stay in the foreground; Ctrl-C stops it cleanly
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel up\n  \
    windtunnel up --detach && eval \"$(windtunnel env)\"\n  \
    windtunnel up --aws-addr 127.0.0.1:0 --console-addr 127.0.0.1:0 --web-addr 127.0.0.1:0\n\n\
    A flag wins over its environment variable, that over windtunnel.toml, that over the default.")]
pub(super) struct Up {
    /// The project's folder [default: the current one, or the one around it]
    #[arg(value_name = "DIR")]
    pub(super) folder: Option<PathBuf>,
    /// Run in the background; return when the environment is AVAILABLE
    #[arg(long)]
    detach: bool,
    /// Tell everything as JSON lines on stdout
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(mut place: Place, asked: Up) -> Result<ExitCode, Failure> {
    place.asked = asked.folder.clone().or(place.asked);
    let result = begin(&place, &asked).await;
    if let (Err(failure), true) = (&result, asked.json && !asked.detach) {
        terminal::result(&failure.json().to_string());
    }
    result
}

async fn begin(place: &Place, asked: &Up) -> Result<ExitCode, Failure> {
    let config = place.config(&asked.flags)?;
    version(&config)?;
    let runtime = settle::runtime(&config, &place.machine)?;
    prepare(&config.state)?;
    let lock = lock(&config.state).await?;
    if asked.detach {
        // The one in the background takes the lock; between the two nobody else has a reason to.
        drop(lock);
        return detach::run(&config, settle::words(&asked.flags), asked.json).await;
    }
    log_to(&config.state, place.machine.log.as_deref())?;
    let progress = if asked.json { Progress::for_programs() } else { Progress::for_people() };
    progress.say(&settle::found(&config, &place.machine), None);
    progress.say(&format!("runtime  {runtime}"), Some(json!({ "runtime": runtime })));
    let code = serve(config, progress).await;
    // Held to the very end: who waits for it knows that nothing of ours runs any more.
    drop(lock);
    code
}

/// Starts the daemon, follows it, stops it.
async fn serve(config: Config, progress: Progress) -> Result<ExitCode, Failure> {
    // Listened to before anything is started: a Ctrl-C in the middle of a start is not lost.
    let mut stops = Stops::listen()?;
    let environment = config.environment.as_ref().map(|settings| settings.name.clone());
    let state = config.state.clone();
    let mut running = daemon::start(config).await.map_err(|error| settle::start_failure(&error))?;
    let instance = daemon::read_instance(&state)
        .map_err(|error| Failure::cannot("read what was just written", &error, "try again"))?;
    let ready = ready(&instance);
    progress.say(&format!("AWS      {}", instance.aws_endpoint), Some(ready.clone()));
    let mut follow = follow::Follow::new(
        (progress, ready),
        Client::new(instance),
        &mut running,
        environment.as_ref(),
    );
    let end = tokio::select! {
        end = follow.run(&mut running, &state) => end,
        () = stops.next() => follow::End::Asked,
    };
    let (mut progress, result) = follow.finish();
    progress.quiet();
    if matches!(end, follow::End::Asked) {
        progress.say("stopping; once more to stop at once", None);
    }
    tokio::select! {
        () = running.stop() => {}
        // What is left is found and cleaned up by the next start.
        () = stops.next() => return Ok(ExitCode::from(130)),
    }
    progress.say("stopped", Some(json!({ "stopped": true })));
    match (end, result) {
        (_, Some(failure)) => Err(failure),
        (follow::End::Panic, None) => Err(Failure::new("a part of windtunnel broke")
            .why("a bug; .windtunnel/windtunnel.log has its words")
            .next("`windtunnel up` starts again; nothing acknowledged is lost")
            .code(OWN_FAULT)),
        (follow::End::Asked | follow::End::Failed, None) => Ok(ExitCode::SUCCESS),
    }
}

fn ready(instance: &daemon::Instance) -> Value {
    json!({
        "ready": instance.aws_endpoint,
        "aws_endpoint": instance.aws_endpoint,
        "console": instance.console,
        "pid": instance.pid,
    })
}

/// What a person wants to know once it runs: where everything is.
pub(super) fn summary(ready: &Value, available: &Value, last: &str) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = vec![String::new()];
    if let Some(name) = available["available"].as_str() {
        let seconds = available["seconds"].as_f64().unwrap_or(0.0);
        let status = text(&available["status"]);
        lines.push(format!("{name} is {status} after {seconds:.1} s"));
        lines.push(String::new());
        lines.push(format!("  Airflow  https://{}", text(&available["webserver_url"])));
    }
    lines.push(format!("  AWS      {}", text(&ready["ready"])));
    lines.push(format!("  console  {}", text(&ready["console"])));
    if let Some(bucket) = available["bucket"].as_str() {
        lines.push(format!("  bucket   s3://{bucket}"));
    }
    lines.push(String::new());
    lines.push(
        "  eval \"$(windtunnel env)\" points the AWS CLI and every SDK here. ".to_owned() + last,
    );
    lines.join("\n")
}

/// How long one that does not answer may take to let go of the project.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Whoever runs the project's windtunnel holds this file's lock.
pub(super) fn lock_path(state: &Path) -> PathBuf {
    state.join("lock")
}

/// Makes the state folder.
fn prepare(state: &Path) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(state_mode()).create(state).map_err(|error| {
        let act = format!("make {}", state.display());
        Failure::cannot(&act, &error, "check the project folder's rights and free space")
    })
}

async fn lock(state: &Path) -> Result<File, Failure> {
    let path = lock_path(state);
    let failed = |error: &std::io::Error| {
        let act = format!("lock {}", path.display());
        Failure::cannot(&act, error, "check the project folder's rights and free space")
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => wait_for_lock(file, state).await,
        Err(std::fs::TryLockError::Error(error)) => Err(failed(&error)),
    }
}

/// One that was killed holds its lock for a moment longer, one that stops until it has stopped.
async fn wait_for_lock(file: File, state: &Path) -> Result<File, Failure> {
    if let Some((client, _)) = Client::running(state).await {
        let daemon::Instance { pid, aws_endpoint, .. } = client.instance;
        return Err(running_already(format!("pid {pid} serves it on {aws_endpoint}")));
    }
    let locking = tokio::task::spawn_blocking(move || file.lock().map(|()| file));
    match tokio::time::timeout(LOCK_PATIENCE, locking).await {
        Ok(Ok(Ok(file))) => Ok(file),
        _ => Err(running_already("another windtunnel is starting or stopping here".to_owned())),
    }
}

fn running_already(who: String) -> Failure {
    Failure::new("windtunnel is running for this project already")
        .why(who)
        .next("`windtunnel status` shows it, `windtunnel down` stops it")
}

/// Everything that is no progress goes to a file: `.windtunnel/windtunnel.log`.
fn log_to(state: &Path, filter: Option<&str>) -> Result<(), Failure> {
    let path = state.join("windtunnel.log");
    let file =
        OpenOptions::new().create(true).append(true).mode(0o600).open(&path).map_err(|error| {
            let act = format!("write {}", path.display());
            Failure::cannot(&act, &error, "check the project folder's rights and free space")
        })?;
    let filter = EnvFilter::try_new(filter.unwrap_or("info,s3s=off")).map_err(|error| {
        Failure::cannot("read WINDTUNNEL_LOG", &error, "such as info, debug, windtunnel=trace")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(Mutex::new(file))
        .with_ansi(false)
        .init();
    Ok(())
}

/// The ways in which a terminal and a system ask a program to end.
#[derive(Debug)]
struct Stops {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Stops {
    fn listen() -> Result<Stops, Failure> {
        let on = |kind| {
            signal(kind).map_err(|error| Failure::cannot("listen to signals", &error, "try again"))
        };
        Ok(Stops {
            interrupt: on(SignalKind::interrupt())?,
            terminate: on(SignalKind::terminate())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hang_up.recv() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_says_where_everything_is() {
        let ready = json!({ "ready": "http://127.0.0.1:4570", "console": "http://127.0.0.1:4571" });
        let available = json!({
            "available": "hello", "status": "AVAILABLE", "webserver_url": "localhost:8080",
            "bucket": "windtunnel-hello", "seconds": 6.04,
        });
        insta::assert_snapshot!(summary(&ready, &available, "Ctrl-C stops it."), @r#"

        hello is AVAILABLE after 6.0 s

          Airflow  https://localhost:8080
          AWS      http://127.0.0.1:4570
          console  http://127.0.0.1:4571
          bucket   s3://windtunnel-hello

          eval "$(windtunnel env)" points the AWS CLI and every SDK here. Ctrl-C stops it.
        "#);
    }
}
