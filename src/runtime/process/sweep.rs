//! Ends what an earlier windtunnel of the same project left running.
//!
//! A clean stop leaves nothing, and after `kill -9` the lifelines end everything within seconds; this is for the
//! case that those were killed too. Our processes are known by a variable that all of them start with, and by
//! having a recorded process as their session's leader (some write over their own variables).

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpid, getsid};

/// The variable that every process of ours carries; its value is the project's state folder.
pub(super) const MARKER: &str = "WINDTUNNEL_STATE";

/// The leaders of the sessions of one launch, one number a line, written as they start.
pub(super) fn record(file: &Path, pid: u32) {
    use std::io::Write as _;
    let written = super::append(file).and_then(|mut file| writeln!(file, "{pid} {}", boot()));
    if let Err(error) = written {
        tracing::warn!(%error, file = %file.display(), "a process could not be recorded");
    }
}

/// Tells this boot from an earlier one, in which the same numbers meant other processes.
fn boot() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().to_owned()
}

/// Ends every process of `state`, the database last and gently.
pub(super) async fn sweep(state: &Path, records: &[std::path::PathBuf]) -> io::Result<()> {
    let leaders: BTreeSet<i32> = records.iter().flat_map(|file| recorded(file)).collect();
    let marker = format!("{MARKER}={}", state.display());
    let found = tokio::task::spawn_blocking(move || find(&marker, &leaders))
        .await
        .map_err(io::Error::other)?;
    for process in &found {
        // For a backend this ends its query, for the server it is a fast shutdown.
        let signal = if process.database { Signal::SIGINT } else { Signal::SIGKILL };
        if kill(process.pid, signal).is_ok() {
            tracing::info!(pid = process.pid.as_raw(), name = process.name, "ended a left-over");
        }
    }
    gone(&found, Duration::from_secs(10)).await;
    for process in &found {
        if alive(process.pid) && kill(process.pid, Signal::SIGKILL).is_ok() {
            tracing::warn!(pid = process.pid.as_raw(), "killed a left-over");
        }
    }
    for file in records {
        forget(file);
    }
    Ok(())
}

/// Ends what an interpreter that was killed left of its families; the database stays. `mark` is a variable and its
/// value, which all of them started with.
pub(super) async fn orphans(mark: String, record: &Path) {
    let leaders: BTreeSet<i32> = recorded(record).into_iter().collect();
    let found = tokio::task::spawn_blocking(move || find(&mark, &leaders)).await;
    let mut found = found.unwrap_or_default();
    found.retain(|process| !process.database);
    for process in &found {
        if kill(process.pid, Signal::SIGKILL).is_ok() {
            tracing::info!(pid = process.pid.as_raw(), name = process.name, "ended an orphan");
        }
    }
    gone(&found, Duration::from_secs(10)).await;
}

/// After a clean stop there is nothing to look for.
pub(super) fn forget(file: &Path) {
    if let Err(error) = std::fs::remove_file(file)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, file = %file.display(), "the record of processes stays");
    }
}

async fn gone(processes: &[Process], wait: Duration) {
    let all_gone = async {
        while processes.iter().any(|process| alive(process.pid)) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(wait, all_gone).await.is_err() {
        tracing::warn!(?wait, "left-overs take their time");
    }
}

fn alive(pid: Pid) -> bool {
    // A zombie has ended; its parent has only not asked yet.
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    match stat {
        Ok(stat) => stat.rsplit(')').next().is_some_and(|rest| !rest.trim_start().starts_with('Z')),
        Err(_) => !Path::new("/proc/self").exists() && kill(pid, None).is_ok(),
    }
}

fn recorded(file: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let now = boot();
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.filter(|(_, boot)| *boot == now).filter_map(|(pid, _)| pid.parse().ok()).collect()
}

#[derive(Debug)]
struct Process {
    pid: Pid,
    name: String,
    database: bool,
}

/// All processes with the marker or in a recorded session, but us.
fn find(marker: &str, leaders: &BTreeSet<i32>) -> Vec<Process> {
    let mut found = Vec::new();
    for pid in numbers() {
        let id = Pid::from_raw(pid);
        if id == getpid() {
            continue;
        }
        let session = getsid(Some(id)).map_or(0, Pid::as_raw);
        if marked(pid, marker) || (leaders.contains(&session) && still_ours(session)) {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let name = name.trim().to_owned();
            found.push(Process { pid: id, database: name == "postgres", name });
        }
    }
    found
}

/// A session keeps its number from being used again while anyone is in it. If the leader itself is alive and is not
/// an interpreter of ours, everyone of the old session has ended and the number is another's now.
fn still_ours(session: i32) -> bool {
    match std::fs::read(format!("/proc/{session}/cmdline")) {
        Ok(words) if !words.is_empty() => {
            let words = String::from_utf8_lossy(&words).into_owned();
            ["zygote.py", "airflow", "celery", "gunicorn"].iter().any(|word| words.contains(word))
        }
        _ => true,
    }
}

fn numbers() -> Vec<i32> {
    if let Ok(entries) = std::fs::read_dir("/proc") {
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        return names.filter_map(|name| name.parse().ok()).collect();
    }
    let listed = std::process::Command::new("ps").args(["-axo", "pid="]).output();
    let text = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.unwrap_or_default().lines().filter_map(|line| line.trim().parse().ok()).collect()
}

fn marked(pid: i32, marker: &str) -> bool {
    if let Ok(variables) = std::fs::read(format!("/proc/{pid}/environ")) {
        return variables.split(|byte| *byte == 0).any(|one| one == marker.as_bytes());
    }
    if Path::new("/proc/self").exists() {
        return false;
    }
    let shown = std::process::Command::new("ps")
        .args(["-Ewwo", "command=", "-p", &pid.to_string()])
        .output();
    shown.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(marker))
}

/// Ends a process group that we started.
pub(super) fn kill_group(leader: Option<u32>) {
    if let Some(leader) = leader.and_then(|pid| i32::try_from(pid).ok())
        && let Err(error) = killpg(Pid::from_raw(leader), Signal::SIGKILL)
    {
        tracing::debug!(%error, "the group is gone already");
    }
}
