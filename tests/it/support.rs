//! Starts the real binary on a throw-away project, and waits for conditions with a deadline.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A start without Airflow is a matter of milliseconds; a loaded machine may take its time.
pub(crate) const START: Duration = Duration::from_mins(1);
/// A first start installs Airflow.
pub(crate) const FIRST_AIRFLOW: Duration = Duration::from_mins(20);
/// Everything else that a test waits for.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// A clean stop: Airflow's components get their grace, the database its checkpoint.
pub(crate) const STOP: Duration = Duration::from_mins(1);

/// Looks until `probe` finds something. The only sleep of these tests.
fn look<T>(limit: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        let found = probe();
        if found.is_some() || Instant::now() > deadline {
            return found;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Looks until `probe` finds something, and fails when it does not in time.
pub(crate) fn wait_for<T>(what: &str, limit: Duration, probe: impl FnMut() -> Option<T>) -> T {
    look(limit, probe).unwrap_or_else(|| panic!("waited {limit:?} in vain: {what}"))
}

/// Prints a measured figure so that it can be found in the runner's output.
pub(crate) fn figure(what: &str, value: &str) {
    println!("figure: {what}: {value}");
}

/// Says that a check could not be made on this machine, and why.
pub(crate) fn skipped(what: &str, why: &str) {
    println!("skipped: {what}: {why}");
}

fn scratch() -> PathBuf {
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(&scratch).expect("the build directory is ours");
    scratch
}

pub(crate) fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn binary() -> &'static str {
    env!("CARGO_BIN_EXE_windtunnel")
}

pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether every user may walk to `path`: as root, the database runs as somebody else.
fn open_to_all(path: &Path) -> bool {
    path.ancestors().all(|folder| {
        fs::metadata(folder).map_or(true, |meta| meta.permissions().mode() & 0o001 != 0)
    })
}

/// Where the tests' windtunnels keep Airflow: installed by the first one, shared by all.
pub(crate) fn cache() -> PathBuf {
    if is_root() && !open_to_all(&scratch()) {
        return PathBuf::from("/var/tmp/windtunnel-test-cache");
    }
    scratch().join("cache")
}

/// One Airflow at a time on this machine. Held until dropped, across test processes too.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held for its lock")] File);

pub(crate) fn airflow_turn() -> Turn {
    Turn(locked("airflow.lock"))
}

fn locked(name: &str) -> File {
    let file = File::create(scratch().join(name)).expect("a lock file can be made");
    file.lock().expect("a lock file can be locked");
    file
}

/// The `bin` folder of a Python environment with boto3, the AWS CLI and requests.
///
/// `make test` makes it; a bare `cargo test` makes its own, once.
pub(crate) fn clients() -> PathBuf {
    if let Some(made) = std::env::var_os("WINDTUNNEL_TEST_CLIENTS") {
        return PathBuf::from(made).join("bin");
    }
    let turn = locked("clients.lock");
    let venv = scratch().join("clients");
    let wanted = fs::read_to_string(repository().join("tests/clients/requirements.txt"))
        .expect("the clients' requirements are in the repository");
    let ready = venv.join("ready");
    if fs::read_to_string(&ready).is_ok_and(|have| have == wanted) {
        return venv.join("bin");
    }
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    done(Command::new(python).args(["-m", "venv", "--clear"]).arg(&venv));
    done(
        Command::new(venv.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(repository().join("tests/clients/requirements.txt")),
    );
    fs::write(&ready, wanted).expect("the environment is ours");
    drop(turn);
    venv.join("bin")
}

/// The folder with `tests/clients/javascript` and the packages that it asks for; `None` where there is no npm.
pub(crate) fn javascript() -> Option<PathBuf> {
    let version = Command::new("npm").arg("--version").stdin(Stdio::null()).output();
    if !version.is_ok_and(|output| output.status.success()) {
        return None;
    }
    let turn = locked("javascript.lock");
    let folder = scratch().join("javascript");
    fs::create_dir_all(&folder).expect("the build directory is ours");
    let from = repository().join("tests/clients/javascript");
    let wanted = fs::read_to_string(from.join("package.json")).expect("it is in the repository");
    fs::copy(from.join("mwaa.js"), folder.join("mwaa.js")).expect("the build directory is ours");
    let ready = folder.join("ready");
    if !fs::read_to_string(&ready).is_ok_and(|have| have == wanted) {
        fs::write(folder.join("package.json"), &wanted).expect("the build directory is ours");
        let words = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"];
        done(Command::new("npm").args(words).current_dir(&folder));
        fs::write(&ready, wanted).expect("the build directory is ours");
    }
    drop(turn);
    Some(folder)
}

/// The folders of `PATH` seen through links, less every Python and uv.
pub(crate) fn path_without_python(project: &Project) -> PathBuf {
    let bin = project.path("bin");
    fs::create_dir_all(&bin).expect("it is ours");
    for folder in ["/usr/bin", "/bin", "/usr/sbin", "/sbin"] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !["python", "pypy", "uv", "pip", "conda"].iter().any(|word| name.starts_with(word)) {
                // The same name in two folders: the first one wins, as in PATH.
                drop(symlink(entry.path(), bin.join(name)));
            }
        }
    }
    bin
}

/// Runs a command that must succeed, and gives what it printed.
pub(crate) fn done(command: &mut Command) -> String {
    let output = finished(command);
    assert!(output.status.success(), "{command:?} failed: {}", told(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs a command to its end, whatever that is.
pub(crate) fn finished(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"))
}

pub(crate) fn told(output: &Output) -> String {
    format!(
        "{}\n--- stdout\n{}\n--- stderr\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A project in a folder of its own, removed with everything that still runs out of it.
#[derive(Debug)]
pub(crate) struct Project {
    #[expect(dead_code, reason = "removes the folder when dropped")]
    folder: tempfile::TempDir,
    root: PathBuf,
}

impl Project {
    /// An empty project: no file, no `windtunnel.toml`.
    pub(crate) fn empty(name: &str) -> Project {
        let folder = tempfile::Builder::new()
            .prefix("wt-")
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir()
            .expect("a temporary folder can be made");
        let root = folder.path().canonicalize().expect("it is there").join(name);
        fs::create_dir_all(root.join("dags")).expect("it is ours");
        Project { folder, root }
    }

    /// A project with a small DAG, `small`, whose task says where it ran. On Airflow 2, which starts quicker: what it
    /// is used for holds for every version.
    pub(crate) fn small(name: &str) -> Project {
        let project = Project::empty(name);
        project.write("dags/small.py", SMALL_DAG);
        project.write("windtunnel.toml", "[environment]\nAirflowVersion = \"2.10.3\"\n");
        project
    }

    /// A copy of `fixtures/projects/hello`, on Airflow 2.
    pub(crate) fn hello() -> Project {
        Project::hello_on("2.10.3")
    }

    /// The same on another version.
    pub(crate) fn hello_on(version: &str) -> Project {
        let project = Project::empty("hello");
        let sample = repository().join("fixtures/projects/hello");
        for entry in walkdir::WalkDir::new(&sample) {
            let entry = entry.expect("the sample project can be read");
            let place = entry.path().strip_prefix(&sample).expect("listed below it");
            let hidden = place.components().any(|part| {
                let part = part.as_os_str();
                part == ".windtunnel" || part == "__pycache__"
            });
            if !hidden && entry.file_type().is_file() {
                let bytes = fs::read(entry.path()).expect("the sample project can be read");
                project.write_bytes(&place.to_string_lossy(), &bytes);
            }
        }
        let settings = fs::read_to_string(project.path("windtunnel.toml")).expect("it has one");
        let named = format!("[environment]\nAirflowVersion = \"{version}\"\n");
        assert!(
            !settings.contains("AirflowVersion"),
            "the sample leaves the version to who runs it"
        );
        project.write("windtunnel.toml", &settings.replace("[environment]\n", &named));
        project
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    pub(crate) fn write(&self, relative: &str, text: &str) {
        self.write_bytes(relative, text.as_bytes());
    }

    fn write_bytes(&self, relative: &str, bytes: &[u8]) {
        let path = self.path(relative);
        fs::create_dir_all(path.parent().expect("below the project")).expect("it is ours");
        fs::write(path, bytes).expect("it is ours");
    }

    /// `windtunnel ARGS…` in this project's folder, with a bare environment.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bare(binary());
        command.args(args);
        command
    }

    /// `bash` in this project's folder, with the same environment.
    pub(crate) fn shell(&self) -> Command {
        self.bare("bash")
    }

    fn bare(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("WINDTUNNEL_")
                || name.starts_with("AWS_")
                || name == "PYTHONDONTWRITEBYTECODE"
            {
                command.env_remove(name.as_ref());
            }
        }
        command.env("WINDTUNNEL_CACHE_DIR", cache());
        command
    }

    /// `windtunnel ARGS…`, which must succeed; gives its standard output.
    pub(crate) fn run(&self, args: &[&str]) -> String {
        done(&mut self.command(args))
    }

    /// `windtunnel up` on free ports, its life announced as JSON lines.
    pub(crate) fn up_command(&self, args: &[&str]) -> Command {
        let mut command = self.command(&["up", "--json"]);
        command.args(["--aws-addr", "127.0.0.1:0"]);
        command.args(["--console-addr", "127.0.0.1:0", "--web-addr", "127.0.0.1:0"]);
        command.args(args);
        command
    }

    /// Starts windtunnel and returns once it answers.
    pub(crate) fn up(&self, args: &[&str]) -> Windtunnel<'_> {
        let up = Windtunnel::start(self, &mut self.up_command(args));
        up.wait_line("it says that it is ready", START, |line| line.get("ready").is_some());
        up
    }

    /// Starts the AWS services alone.
    pub(crate) fn up_without_airflow(&self) -> Windtunnel<'_> {
        self.up(&["--no-airflow"])
    }

    /// Starts everything and returns once the environment is AVAILABLE.
    pub(crate) fn up_with_airflow(&self) -> Windtunnel<'_> {
        let up = self.up(&[]);
        up.wait_available();
        up
    }

    /// Processes that belong to this project: they name its folder, or live in it.
    pub(crate) fn processes(&self) -> Vec<String> {
        let needle = self.root.to_string_lossy().into_owned();
        let mut found = Vec::new();
        // Only Linux has /proc; elsewhere nothing is claimed.
        let Ok(entries) = fs::read_dir("/proc") else { return found };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !name.bytes().all(|byte| byte.is_ascii_digit())
                || name == std::process::id().to_string()
            {
                continue;
            }
            let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let settings = fs::read(entry.path().join("environ")).unwrap_or_default();
            let settings = String::from_utf8_lossy(&settings).into_owned();
            let folder = fs::read_link(entry.path().join("cwd")).unwrap_or_default();
            let ours = words.contains(&needle)
                || settings.contains(&needle)
                || folder.starts_with(&self.root);
            // A zombie has no words; its parent has not collected it yet, but nothing of it runs.
            if ours && !words.is_empty() {
                found.push(format!("{name} {words}"));
            }
        }
        found
    }

    /// Fails unless everything of this project ends soon.
    pub(crate) fn nothing_runs(&self, limit: Duration) {
        let mut last = Vec::new();
        let gone = look(limit, || {
            last = self.processes();
            last.is_empty().then_some(())
        });
        assert!(gone.is_some(), "still running after {limit:?}:\n{}", last.join("\n"));
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // A failed test must not leave an Airflow behind. These are ours: they name our own temporary folder.
        for line in self.processes() {
            let pid = line.split(' ').next().and_then(|pid| pid.parse().ok());
            if let Some(pid) = pid {
                // It may have ended meanwhile.
                kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap_or(());
            }
        }
    }
}

/// A task that says where it ran.
pub(crate) const SMALL_DAG: &str = r#"from datetime import datetime

from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def small():
    @task
    def where():
        import os

        return {"pid": os.getpid(), "home": os.environ.get("AIRFLOW_HOME")}

    where()


small()
"#;

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    open_streams: usize,
}

/// What a process has printed, with a bell that rings for every line.
#[derive(Clone, Debug, Default)]
struct Transcript(Arc<(Mutex<Said>, Condvar)>);

impl Transcript {
    fn listen(&self, stream: impl Read + Send + 'static) {
        let (said, bell) = &*self.0;
        said.lock().expect("no listener panics").open_streams += 1;
        bell.notify_all();
        let own = self.clone();
        thread::spawn(move || {
            let (said, bell) = &*own.0;
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                let line = String::from_utf8_lossy(&line).into_owned();
                said.lock().expect("no listener panics").lines.push(line);
                bell.notify_all();
            }
            said.lock().expect("no listener panics").open_streams -= 1;
            bell.notify_all();
        });
    }

    fn all(&self) -> String {
        self.0.0.lock().expect("no listener panics").lines.join("\n")
    }

    /// Waits for a line; `None` when the streams closed or the time passed without one.
    fn wait<T>(&self, limit: Duration, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + limit;
        let (said, bell) = &*self.0;
        let mut said = said.lock().expect("no listener panics");
        let mut seen = 0;
        loop {
            for line in &said.lines[seen..] {
                if let Some(found) = find(line) {
                    return Some(found);
                }
            }
            seen = said.lines.len();
            let left = deadline.saturating_duration_since(Instant::now());
            if said.open_streams == 0 || left.is_zero() {
                return None;
            }
            said = bell.wait_timeout(said, left).expect("no listener panics").0;
        }
    }
}

/// A running `windtunnel up`. Stopped when dropped, by its own pid.
#[derive(Debug)]
pub(crate) struct Windtunnel<'p> {
    pub(crate) project: &'p Project,
    child: Child,
    transcript: Transcript,
    pub(crate) began: Instant,
}

impl<'p> Windtunnel<'p> {
    pub(crate) fn start(project: &'p Project, command: &mut Command) -> Windtunnel<'p> {
        let began = Instant::now();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is built with the tests");
        let transcript = Transcript::default();
        transcript.listen(child.stdout.take().expect("it was asked for"));
        transcript.listen(child.stderr.take().expect("it was asked for"));
        Windtunnel { project, child, transcript, began }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything printed so far.
    pub(crate) fn output(&self) -> String {
        self.transcript.all()
    }

    /// Waits for a JSON line for which `is` holds.
    pub(crate) fn wait_line(
        &self,
        what: &str,
        limit: Duration,
        is: impl Fn(&Value) -> bool,
    ) -> Value {
        self.transcript
            .wait(limit, |line| serde_json::from_str::<Value>(line).ok().filter(|line| is(line)))
            .unwrap_or_else(|| panic!("within {limit:?}, {what}; it said:\n{}", self.output()))
    }

    /// Waits for a line of plain text that has all these words.
    pub(crate) fn wait_words(&self, limit: Duration, words: &[&str]) -> String {
        self.transcript
            .wait(limit, |line| {
                words.iter().all(|word| line.contains(word)).then(|| line.to_owned())
            })
            .unwrap_or_else(|| {
                panic!("no line with {words:?} in {limit:?}; it said:\n{}", self.output())
            })
    }

    pub(crate) fn wait_available(&self) -> Duration {
        self.wait_line("the environment is AVAILABLE", FIRST_AIRFLOW, |line| {
            line.get("available").is_some()
        });
        self.began.elapsed()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.project.run(&["status", "--json"])).expect("status prints JSON")
    }

    pub(crate) fn aws_endpoint(&self) -> String {
        self.status()["aws_endpoint"].as_str().expect("status has it").to_owned()
    }

    /// The variables that `windtunnel env` exports.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let text = self.project.run(&["env", "--shell", "json"]);
        let value: Value = serde_json::from_str(&text).expect("`env --shell json` prints JSON");
        let members = value.as_object().expect("an object");
        members
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
            .collect()
    }

    /// A program of the clients' Python environment, with nothing but those variables set.
    pub(crate) fn client(&self, program: &str) -> Command {
        self.tool(&clients().join(program).to_string_lossy())
    }

    /// Any program, with nothing but those variables set; it finds the clients through `PATH`.
    pub(crate) fn tool(&self, program: &str) -> Command {
        let clients = clients();
        let mut command = Command::new(program);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{}:{path}", clients.display()))
            .env("HOME", self.project.root())
            .env("LC_ALL", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .envs(self.variables())
            .current_dir(self.project.root());
        command
    }

    /// The AWS CLI, unmodified. Gives what it printed.
    pub(crate) fn aws(&self, args: &[&str]) -> String {
        done(self.client("aws").args(args))
    }

    /// The AWS CLI's answer as JSON.
    pub(crate) fn aws_json(&self, args: &[&str]) -> Value {
        let text = self.aws(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("aws {args:?} printed no JSON: {text}"))
    }

    /// A script of `tests/clients`. Its assertions are the test; gives what it printed.
    pub(crate) fn python(&self, script: &str, args: &[&str]) -> String {
        let script = repository().join("tests/clients").join(script);
        let output = finished(self.client("python").arg(&script).args(args));
        assert!(
            output.status.success(),
            "{} {args:?}: {}\n--- windtunnel said\n{}",
            script.display(),
            told(&output),
            self.output()
        );
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in text.lines().filter(|line| line.starts_with("figure: ")) {
            println!("{line}");
        }
        text
    }

    /// Ends it as no program can prevent, and waits until it is gone. Its children may live on.
    pub(crate) fn kill_nine(mut self) {
        self.child.kill().expect("it is our child");
        self.child.wait().expect("it is our child");
    }

    /// Asks it to stop, as Ctrl-C does, and waits for its end.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        self.signal(Signal::SIGINT);
        let status = self.wait_end(STOP);
        (status, self.output())
    }

    /// Waits for it to end by itself. Gives its exit code and all that it printed.
    pub(crate) fn ends(mut self, limit: Duration) -> (Option<i32>, String) {
        let status = self.wait_end(limit);
        (status.code(), self.output())
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid fits");
        // It may have ended by itself, which the wait that follows will tell.
        kill(Pid::from_raw(pid), signal).unwrap_or(());
    }

    fn wait_end(&mut self, limit: Duration) -> ExitStatus {
        let transcript = self.transcript.clone();
        let child = &mut self.child;
        let status = look(limit, || child.try_wait().expect("it is our child"));
        let status = status.unwrap_or_else(|| {
            panic!("windtunnel ends within {limit:?}; it said:\n{}", transcript.all())
        });
        // Until the listeners have read to the end; a surviving child may hold the streams, so not for ever.
        transcript.wait(Duration::from_secs(2), |_| None::<()>);
        status
    }
}

impl Drop for Windtunnel<'_> {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            let child = &mut self.child;
            if look(STOP, || child.try_wait().ok().flatten()).is_none() {
                drop(child.kill());
                drop(child.wait());
            }
        }
        if thread::panicking() {
            println!("--- windtunnel (pid {}) said:\n{}", self.child.id(), self.transcript.all());
        }
    }
}

/// Steps of one journey on one environment: every step runs, and all failures are told at the end.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    failed: Vec<&'static str>,
}

impl Steps {
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce()) {
        let began = Instant::now();
        let result = catch_unwind(AssertUnwindSafe(run));
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("step: {name} ... {word} ({:.1} s)", began.elapsed().as_secs_f64());
        if result.is_err() {
            self.failed.push(name);
        }
    }

    pub(crate) fn finish(self) {
        assert!(self.failed.is_empty(), "{} steps failed: {:#?}", self.failed.len(), self.failed);
    }
}
