//! The warm interpreter as seen from here: its process, and the requests it is asked over its socket.
//!
//! The protocol is written down in `python/zygote.py`. One connection is one request.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::ledger::Ledger;
use super::sweep;
use crate::airflow::settings::Variables;
use crate::limits;
use crate::runtime::Output;

/// What is needed to start one.
#[derive(Clone, Debug)]
pub(super) struct Start {
    pub(super) python: PathBuf,
    /// The folder of our Python files.
    pub(super) code: PathBuf,
    /// The recipe's module.
    pub(super) recipe: &'static str,
    pub(super) socket: PathBuf,
    pub(super) home: PathBuf,
    /// Its standard error.
    pub(super) log: PathBuf,
    pub(super) environment: Variables,
    pub(super) ledger: Ledger,
}

impl Start {
    /// The same under names of its own: one that has made way removes its socket, its record and whatever carries its
    /// mark when it ends, and its launch may have been started again beside it by then.
    pub(super) fn named_anew(&self) -> Start {
        let name = format!("-{}", crate::id::random_text(4));
        let mut socket = self.socket.clone().into_os_string();
        socket.push(&name);
        Start { socket: socket.into(), ledger: self.ledger.apart(&name), ..self.clone() }
    }
}

/// The variable that an interpreter and all that comes of it carry; its value is the interpreter's socket.
const MARK: &str = "WINDTUNNEL_INTERPRETER";

/// A running one. Dropping it ends it and all its children, in a task of the ledger.
#[derive(Debug)]
pub(super) struct Interpreter {
    /// `None` once it is on its way out.
    running: Option<Running>,
    ledger: Ledger,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// End of file on it is the sign to stop, so it also works when we are killed.
    lifeline: Option<ChildStdin>,
    /// Before, it has no children and does not look at its lifeline.
    warm: bool,
    /// [`MARK`] and its value.
    mark: String,
    ledger: Ledger,
}

impl Running {
    /// Asks it to stop, with its children; after `grace` it is killed, and they with it.
    async fn end(mut self, grace: Duration) {
        drop(self.lifeline.take());
        if self.warm {
            match tokio::time::timeout(grace, self.child.wait()).await {
                Ok(Ok(status)) if status.success() => return,
                Ok(_) => {}
                Err(_) => {
                    tracing::warn!(?grace, "the interpreter did not stop in time and is killed");
                }
            }
        }
        sweep::kill_group(self.child.id());
        if let Err(error) = self.child.wait().await {
            tracing::warn!(%error, "the interpreter could not be killed");
        }
        self.ledger.end_orphans(&self.mark).await;
    }
}

impl Drop for Interpreter {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.ledger.see_off(running.end(DROPPED_GRACE));
        }
    }
}

/// What an interpreter that nobody wants any more may take to end its children in good order.
const DROPPED_GRACE: Duration = Duration::from_secs(5);

impl Interpreter {
    /// Starts one and returns when it is warm. Requests may be made before: they wait in the socket's backlog.
    pub(super) async fn start(start: &Start) -> io::Result<Interpreter> {
        let log = super::append(&start.log)?;
        let mut child = Command::new(&start.python)
            .arg(start.code.join("zygote.py"))
            .arg("--socket")
            .arg(&start.socket)
            .args(["--recipe", start.recipe])
            .env_clear()
            .envs(&start.environment)
            .env(MARK, &start.socket)
            .current_dir(&start.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            // Not killed when dropped: the end of the lifeline lets it end its children first.
            .spawn()?;
        let lifeline = child.stdin.take();
        let said = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        start.ledger.started(child.id());
        let ledger = start.ledger.clone();
        let mark = format!("{MARK}={}", start.socket.display());
        let running = Running { child, lifeline, warm: false, mark, ledger: ledger.clone() };
        let mut interpreter = Interpreter { running: Some(running), ledger };
        match interpreter.warm_up(said).await {
            Ok(()) => Ok(interpreter),
            Err(error) => {
                // The next one has the same mark: nothing of this one may be left to look for.
                interpreter.stop(DROPPED_GRACE).await;
                Err(error)
            }
        }
    }

    async fn warm_up(&mut self, said: ChildStdout) -> io::Result<()> {
        let mut line = String::new();
        let mut said = BufReader::new(said);
        let read = said.read_line(&mut line);
        let wait = Duration::from_secs(limits::INTERPRETER_START_MAX_SECONDS);
        let read = tokio::time::timeout(wait, read).await;
        match read {
            Ok(Ok(_)) if line.starts_with("{\"ready\"") => {
                tracing::debug!(ready = line.trim(), "the interpreter is warm");
                if let Some(running) = &mut self.running {
                    running.warm = true;
                }
                Ok(())
            }
            Ok(Ok(0)) => {
                let end = self.ended().await;
                Err(io::Error::other(format!("it ended with {end} while it was starting")))
            }
            Ok(Ok(_)) => Err(io::Error::other(format!("it said `{}`", line.trim()))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it was not ready after {} s", wait.as_secs()),
            )),
        }
    }

    /// Returns when it has ended, whoever ended it, and what it left has too: its tasks are nobody's then.
    pub(super) async fn ended(&mut self) -> String {
        let Some(running) = &mut self.running else { return "it was stopped".to_owned() };
        let end = match running.child.wait().await {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        self.ledger.end_orphans(&running.mark).await;
        // All of it is gone. A successor has the same mark, and this one must not look for orphans again.
        self.running = None;
        end
    }

    /// Asks it to stop, with its children, and waits for that; after `grace` it is killed, and they with it.
    pub(super) async fn stop(mut self, grace: Duration) {
        if let Some(running) = self.running.take() {
            self.ledger.see_out(running.end(grace)).await;
        }
    }
}

/// How something ended: an exit code, a signal, or a refusal to start.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Exit {
    Code { rc: i32 },
    Signal { signal: i32 },
    Refused { error: String },
}

impl Exit {
    /// As a shell reports it.
    pub(super) fn code(&self) -> i32 {
        match self {
            Exit::Code { rc } => *rc,
            Exit::Signal { signal } => 128 + signal,
            Exit::Refused { .. } => 1,
        }
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Exit::Code { rc } => write!(f, "exit code {rc}"),
            Exit::Signal { signal } => write!(f, "signal {signal}"),
            Exit::Refused { error } => f.write_str(error),
        }
    }
}

/// Variables that differ from the interpreter's own; `None` removes one.
pub type Difference = std::collections::BTreeMap<String, Option<String>>;

/// A connection with its one request on the way.
#[derive(Debug)]
pub(super) struct Call {
    stream: BufReader<UnixStream>,
}

enum Frame {
    Result(Vec<u8>),
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    Exit(Exit),
}

impl Call {
    async fn open(socket: &Path, request: &Value) -> io::Result<Call> {
        let mut stream = UnixStream::connect(socket).await?;
        write_frame(&mut stream, b'Q', &serde_json::to_vec(request)?).await?;
        Ok(Call { stream: BufReader::new(stream) })
    }

    async fn frame(&mut self) -> io::Result<Frame> {
        let kind = self.stream.read_u8().await?;
        let size = self.stream.read_u32().await? as usize;
        if size > limits::INTERPRETER_FRAME_MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an oversized frame"));
        }
        let mut payload = vec![0; size];
        self.stream.read_exact(&mut payload).await?;
        match kind {
            b'R' => Ok(Frame::Result(payload)),
            b'O' => Ok(Frame::Stdout(payload)),
            b'E' => Ok(Frame::Stderr(payload)),
            b'X' => Ok(Frame::Exit(serde_json::from_slice(&payload)?)),
            other => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("a frame of unknown type {other}"),
            )),
        }
    }

    /// Everything up to the exit; output beyond the limit is read and dropped.
    async fn finish(mut self) -> io::Result<(Vec<u8>, Output)> {
        let mut output = Output { stdout: Vec::new(), stderr: Vec::new(), code: 0 };
        let mut result = Vec::new();
        loop {
            match self.frame().await? {
                Frame::Result(data) => result = data,
                Frame::Stdout(data) => keep(&mut output.stdout, &data),
                Frame::Stderr(data) => keep(&mut output.stderr, &data),
                Frame::Exit(Exit::Refused { error }) => return Err(io::Error::other(error)),
                Frame::Exit(exit) => {
                    output.code = exit.code();
                    return Ok((result, output));
                }
            }
        }
    }
}

fn keep(kept: &mut Vec<u8>, data: &[u8]) {
    let room = limits::CLI_OUTPUT_MAX_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(&data[..data.len().min(room)]);
}

async fn write_frame(stream: &mut UnixStream, kind: u8, payload: &[u8]) -> io::Result<()> {
    stream.write_all(&frame(kind, payload)?).await
}

/// The bytes of one frame.
pub(super) fn frame(kind: u8, payload: &[u8]) -> io::Result<Vec<u8>> {
    let size = u32::try_from(payload.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a frame over 4 GiB"))?;
    let mut frame = Vec::with_capacity(payload.len() + 5);
    frame.push(kind);
    frame.extend_from_slice(&size.to_be_bytes());
    frame.extend_from_slice(payload);
    Ok(frame)
}

/// Asks one thing and waits for its end: the result, and what was printed.
pub(super) async fn ask(socket: &Path, request: &Value) -> io::Result<(Vec<u8>, Output)> {
    Call::open(socket, request).await?.finish().await
}

/// Runs `airflow <argv>`. Dropping the future ends the command.
pub(super) async fn run(socket: &Path, argv: &[String], env: &Difference) -> io::Result<Output> {
    let request = json!({"kind": "run", "argv": argv, "env": env});
    let (_, output) = Call::open(socket, &request).await?.finish().await?;
    Ok(output)
}

/// A component that runs. Dropping it ends the component.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) pid: u32,
    call: Call,
}

/// What a component is started with.
#[derive(Clone, Debug)]
pub(super) struct Component {
    pub(super) argv: Vec<String>,
    /// `module:function` instead of Airflow's command line.
    pub(super) call: Option<&'static str>,
    pub(super) log: PathBuf,
    pub(super) env: Difference,
}

/// Starts a component and returns once it has a process.
pub(super) async fn component(socket: &Path, component: &Component) -> io::Result<Started> {
    let request = json!({
        "kind": "component",
        "argv": component.argv,
        "call": component.call,
        "log": component.log,
        "env": component.env,
    });
    let mut call = Call::open(socket, &request).await?;
    match call.frame().await? {
        Frame::Result(data) => {
            #[derive(Deserialize)]
            struct Answer {
                pid: u32,
            }
            let Answer { pid } = serde_json::from_slice(&data)?;
            Ok(Started { pid, call })
        }
        Frame::Exit(exit) => Err(io::Error::other(exit.to_string())),
        Frame::Stdout(_) | Frame::Stderr(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "output instead of a process id"))
        }
    }
}

impl Started {
    /// Returns when the component has ended; `Err` when the interpreter went with it.
    pub(super) async fn ended(&mut self) -> io::Result<Exit> {
        loop {
            if let Frame::Exit(exit) = self.call.frame().await? {
                return Ok(exit);
            }
        }
    }

    /// Asks the component to stop; what is left of it after `grace` is killed. Returns when it is gone.
    pub(super) async fn stop(mut self, grace: Duration) -> io::Result<Exit> {
        self.tell_to_stop(grace).await?;
        self.ended().await
    }

    /// The same, without waiting. Told again, the shorter grace counts.
    pub(super) async fn tell_to_stop(&mut self, grace: Duration) -> io::Result<()> {
        let wish = json!({"signal": nix::sys::signal::Signal::SIGTERM as i32, "grace": grace.as_secs_f64()});
        write_frame(self.call.stream.get_mut(), b'K', &serde_json::to_vec(&wish)?).await
    }
}

/// What the interpreter says about one file.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ParsedFile {
    pub(super) file: PathBuf,
    pub(super) dag_ids: Vec<String>,
    pub(super) seconds: f64,
    pub(super) import_error: Option<FileError>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct FileError {
    pub(super) message: String,
    pub(super) file: PathBuf,
    pub(super) line: Option<u32>,
    pub(super) traceback: String,
}

/// Has files parsed and written to the database, and removed ones forgotten. Paths are absolute.
pub(super) async fn parse(
    socket: &Path,
    written: &[PathBuf],
    removed: &[PathBuf],
    env: &Difference,
) -> io::Result<Vec<ParsedFile>> {
    #[derive(Deserialize)]
    struct Answer {
        files: Vec<ParsedFile>,
    }
    let request = json!({"kind": "parse", "files": written, "removed": removed, "env": env});
    let (result, _) = Call::open(socket, &request).await?.finish().await?;
    let Answer { files } = serde_json::from_slice(&result)?;
    Ok(files)
}

/// What runs inside Airflow's interpreter. Ours, and part of the binary.
static CODE: &[(&str, &str)] = &[
    ("airflow2.py", include_str!("../python/airflow2.py")),
    ("airflow3.py", include_str!("../python/airflow3.py")),
    ("celery_config.py", include_str!("../python/celery_config.py")),
    ("project_files.py", include_str!("../python/project_files.py")),
    ("sitecustomize.py", include_str!("../python/sitecustomize.py")),
    ("template2.py", include_str!("../python/template2.py")),
    ("template3.py", include_str!("../python/template3.py")),
    ("windtunnel_logging.py", include_str!("../python/windtunnel_logging.py")),
    ("webserver_config.py", include_str!("../python/webserver_config.py")),
    ("windtunnel_bench.py", include_str!("../python/windtunnel_bench.py")),
    ("windtunnel_check.py", include_str!("../python/windtunnel_check.py")),
    ("windtunnel_probe.py", include_str!("../python/windtunnel_probe.py")),
    // These two can be installed by pip as well.
    ("windtunnel_pytest.py", include_str!("../../../python/windtunnel_pytest.py")),
    ("windtunnel_run.py", include_str!("../../../python/windtunnel_run.py")),
    ("windtunnel_show.py", include_str!("../python/windtunnel_show.py")),
    ("windtunnel_test.py", include_str!("../python/windtunnel_test.py")),
    ("zygote.py", include_str!("../python/zygote.py")),
];

/// Differs whenever one of them does.
pub(super) fn code_digest() -> String {
    let parts: Vec<&[u8]> = CODE.iter().map(|(_, text)| text.as_bytes()).collect();
    super::digest(&parts)
}

/// Writes our Python files into `folder`, where they differ from what is there.
pub(super) fn write_code(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, text) in CODE {
        let path = folder.join(name);
        if std::fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            let fresh = folder.join(format!(".{name}.new"));
            std::fs::write(&fresh, text)?;
            std::fs::rename(&fresh, &path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::{Ear, ended, ledger};
    use super::*;

    #[tokio::test]
    async fn one_that_is_dropped_while_it_warms_up_is_gone_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (ear, ledger) = (Ear::new(folder.path()), ledger(folder.path()));
        std::fs::write(folder.path().join("zygote.py"), Ear::program(folder.path())).unwrap();
        let start = start_in(folder.path(), &ledger);
        let process = tokio::select! {
            started = Interpreter::start(&start) => panic!("it never gets warm: {started:?}"),
            process = ear.hear() => process,
        };
        let recorded = std::fs::read_to_string(folder.path().join("processes")).unwrap();
        let pid: i32 = recorded.split(' ').next().unwrap().parse().unwrap();
        ledger.empty().await;
        let gone = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None);
        assert_eq!(gone, Err(nix::errno::Errno::ESRCH));
        ended(process).await;
    }

    /// What starts `zygote.py` of this folder.
    fn start_in(folder: &Path, ledger: &Ledger) -> Start {
        Start {
            python: PathBuf::from("python3"),
            code: folder.to_owned(),
            recipe: "none",
            socket: folder.join("z1"),
            home: folder.to_owned(),
            log: folder.join("log"),
            environment: Variables::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
            ledger: ledger.clone(),
        }
    }

    #[tokio::test]
    async fn what_a_killed_one_leaves_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let (ear, ledger) = (Ear::new(folder.path()), ledger(folder.path()));
        // Warm, with a child in a session of its own, as a task has.
        let text = format!(
            "import os\nif os.fork():\n    print('{{\"ready\"}}', flush=True)\nelse:\n    os.setsid()\n{}",
            Ear::program(folder.path())
        );
        let text = text.replace("{\"ready\"}", "{\"ready\": 1}");
        std::fs::write(folder.path().join("zygote.py"), text).unwrap();
        let start = start_in(folder.path(), &ledger);
        let mut interpreter = Interpreter::start(&start).await.unwrap();
        let (one, other) = (ear.hear().await, ear.hear().await);
        let pid = interpreter.running.as_ref().unwrap().child.id().unwrap();
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        interpreter.ended().await;
        ended(one).await;
        ended(other).await;
        // And its successor is not taken for something that it left.
        let mut successor = Interpreter::start(&start).await.unwrap();
        drop(interpreter);
        ledger.empty().await;
        assert_eq!(successor.running.as_mut().unwrap().child.try_wait().unwrap(), None);
        successor.stop(Duration::ZERO).await;
    }

    #[tokio::test]
    async fn one_that_made_way_leaves_the_launch_that_was_started_again_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (ear, ledger) = (Ear::new(folder.path()), ledger(folder.path()));
        let text =
            format!("print('{{\"ready\": 1}}', flush=True)\n{}", Ear::program(folder.path()));
        std::fs::write(folder.path().join("zygote.py"), text).unwrap();
        let start = start_in(folder.path(), &ledger);
        let (first, second) = (start.named_anew(), start.named_anew());
        assert_ne!(first.socket, second.socket);
        let parting = Interpreter::start(&first).await.unwrap();
        let parted = ear.hear().await;
        let mut again = Interpreter::start(&second).await.unwrap();
        let _running = ear.hear().await;
        // It has to be killed, and what carries its mark is looked for.
        parting.stop(Duration::ZERO).await;
        first.ledger.forget();
        ended(parted).await;
        assert_eq!(again.running.as_mut().unwrap().child.try_wait().unwrap(), None);
        let records = super::super::records(folder.path());
        assert_eq!(records.len(), 1, "the sweep still finds the one that runs: {records:?}");
        again.stop(Duration::ZERO).await;
    }
}
