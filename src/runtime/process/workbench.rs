//! A project's warm interpreter on its own: no component, no database server, nothing that schedules.
//!
//! `check`, `test` and `run` fork their work from it. It stays between calls and goes by itself when nobody has asked
//! for a while; a change of what it was made from (requirements, startup script, settings, our own code) replaces it.
//! One that is at work then finishes that.
//!
//! Promise: it reads the project where it lies and writes below its own home only. One whose owner is gone costs
//! memory until it has been idle long enough, never more.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::Command;

pub use super::interpreter::Difference;

use super::host::Host;
use super::install::{Installer, Wish};
use super::interpreter::{self, Exit};
use super::{
    SPACE, Surroundings, Variables, digest, failed, in_front, plugins, requirements, startup, tail,
};
use crate::airflow::Recipe;
use crate::airflow::settings::{self, Wiring};
use crate::config::Plugins;
use crate::limits;
use crate::runtime::{Artefact, LaunchError, Progress, Report, Stage};

/// What it is made from.
#[derive(Clone, Debug)]
pub struct Plan {
    pub recipe: &'static Recipe,
    /// For example `mw1.small`.
    pub class: String,
    pub project: PathBuf,
    pub dags: PathBuf,
    pub plugins: Option<Plugins>,
    pub requirements: Option<Artefact>,
    pub startup_script: Option<Artefact>,
    /// `AirflowConfigurationOptions`: `section.key` to value.
    pub options: std::collections::BTreeMap<String, String>,
    /// Variables of the project's `.env`.
    pub variables: Variables,
    pub region: String,
    pub account: String,
}

/// A running one.
#[derive(Clone, Debug)]
pub struct Workbench {
    /// `AIRFLOW_HOME`.
    pub home: PathBuf,
    /// Names what it was made from: other answers come from another one.
    pub key: String,
    /// Where the plugins are, unpacked.
    pub plugins: PathBuf,
    /// How long the startup script took when it was run; `None` without one.
    pub startup: Option<Duration>,
    /// Whether it was warm already.
    pub warm: bool,
    /// An empty database of Airflow's: a file to copy, never to change.
    database: PathBuf,
    socket: PathBuf,
}

/// What is remembered of a running one, for the next call.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    key: String,
    socket: PathBuf,
    database: PathBuf,
    plugins: PathBuf,
    startup_seconds: Option<f64>,
}

/// Packages that tests are run with, where the project requires none of its own.
const TOOLS: [&str; 5] = ["pytest", "pytest-xdist", "pytest-cov", "debugpy", "watchdog"];

impl Workbench {
    /// The project's warm interpreter: the one that runs, if it was made from the same, or a new one.
    pub async fn open(
        around: &Surroundings,
        plan: &Plan,
        progress: &Progress,
    ) -> Result<Workbench, LaunchError> {
        let home = around.state.join("workbench");
        let key = key(plan).map_err(|error| failed("cannot read the project", &error, SPACE))?;
        if let Some(found) = running(&home, &key).await {
            return Ok(found);
        }
        let lock = locked(&home).await?;
        // Another call may have made it meanwhile.
        let made = match running(&home, &key).await {
            Some(found) => Ok(found),
            None => Making { around, plan, progress, home: &home, key: &key }.make().await,
        };
        drop(lock);
        made
    }

    /// The one that runs for this state folder, whatever it was made from; `None` when none does.
    pub async fn find(state: &Path) -> Option<Workbench> {
        let home = state.join("workbench");
        let record = read_record(&home)?;
        running(&home, &record.key).await
    }

    /// Ends it, with everything that is forked from it.
    pub async fn stop(&self) -> io::Result<()> {
        stop(&self.socket).await
    }

    /// Its process, and how many processes are forked from it now.
    pub async fn ping(&self) -> io::Result<(u32, u32)> {
        ping(&self.socket).await
    }

    /// The variables that what is forked from it has.
    pub async fn variables(&self) -> io::Result<Variables> {
        let request = json!({"kind": "run", "call": "windtunnel_bench:environment", "argv": []});
        let (_, output) = interpreter::ask(&self.socket, &request).await?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// A folder with an empty database of Airflow's, gone when dropped.
    pub fn session(&self) -> io::Result<Session> {
        let sessions = sessions(&self.home, &self.socket);
        std::fs::create_dir_all(&sessions)?;
        let folder = tempfile::Builder::new().prefix("s").tempdir_in(sessions)?;
        let database = folder.path().join("airflow.db");
        std::fs::copy(&self.database, &database)?;
        Ok(Session { folder, database, template: self.database.clone() })
    }

    /// Starts something in a fork.
    pub async fn run(&self, run: &Run) -> io::Result<Running> {
        let Run { call, argv, env, cwd, tty, stdin } = run;
        let request = json!({
            "kind": "run", "call": call, "argv": argv, "env": env, "cwd": cwd, "tty": tty, "stdin": stdin,
        });
        let (reader, mut writer) = UnixStream::connect(&self.socket).await?.into_split();
        writer.write_all(&interpreter::frame(b'Q', &serde_json::to_vec(&request)?)?).await?;
        Ok(Running { reader, unread: BytesMut::new(), hand: Hand(writer) })
    }
}

/// A place for one check, test session or run.
#[derive(Debug)]
pub struct Session {
    folder: tempfile::TempDir,
    database: PathBuf,
    template: PathBuf,
}

impl Session {
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves it in its place, until the interpreter is made anew.
    pub fn keep(self) {
        let Session { folder, .. } = self;
        drop(folder.keep());
    }

    /// What points Airflow at this session.
    pub fn variables(&self) -> Difference {
        let url = format!("sqlite:///{}", self.database.display());
        [
            ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", url),
            ("WINDTUNNEL_DATABASE_TEMPLATE", self.template.display().to_string()),
            ("AIRFLOW__LOGGING__BASE_LOG_FOLDER", self.folder().join("logs").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), Some(value)))
        .into()
    }
}

/// What to do in a fork.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// `module:function`; Airflow's command line without.
    pub call: Option<String>,
    pub argv: Vec<String>,
    /// What differs from the interpreter's own variables.
    pub env: Difference,
    pub cwd: Option<PathBuf>,
    /// The caller's terminal, to be its three streams. Nothing is said in frames then.
    pub tty: Option<PathBuf>,
    /// Whether it reads what [`Hand::feed`] gives it.
    pub stdin: bool,
}

/// Something that runs in a fork. Dropping it ends that.
#[derive(Debug)]
pub struct Running {
    reader: OwnedReadHalf,
    unread: BytesMut,
    hand: Hand,
}

/// The way to what runs.
#[derive(Debug)]
pub struct Hand(OwnedWriteHalf);

/// What comes from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    Stdout(Vec<u8>),
    Stderr(Vec<u8>),
    /// The exit code, as a shell reports it. The last that is said.
    Ended(i32),
}

impl Running {
    pub fn hand(&mut self) -> &mut Hand {
        &mut self.hand
    }

    /// The next thing that it says. May be dropped and asked again.
    pub async fn next(&mut self) -> io::Result<Said> {
        loop {
            if let Some((kind, payload)) = self.take()? {
                match kind {
                    b'O' => return Ok(Said::Stdout(payload)),
                    b'E' => return Ok(Said::Stderr(payload)),
                    b'X' => {
                        return match serde_json::from_slice(&payload)? {
                            Exit::Refused { error } => Err(io::Error::other(error)),
                            exit @ (Exit::Code { .. } | Exit::Signal { .. }) => {
                                Ok(Said::Ended(exit.code()))
                            }
                        };
                    }
                    _ => {}
                }
            } else if self.reader.read_buf(&mut self.unread).await? == 0 {
                let why = "the warm interpreter ended in the middle of its work";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
        }
    }

    fn take(&mut self) -> io::Result<Option<(u8, Vec<u8>)>> {
        let Some(head) = self.unread.first_chunk::<5>() else { return Ok(None) };
        let [kind, size @ ..] = *head;
        let size = u32::from_be_bytes(size) as usize;
        if size > limits::INTERPRETER_FRAME_MAX_BYTES {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "an oversized frame"));
        }
        if self.unread.len() < 5 + size {
            return Ok(None);
        }
        self.unread.advance(5);
        Ok(Some((kind, self.unread.split_to(size).to_vec())))
    }
}

impl Hand {
    /// Sends a signal to what runs.
    pub async fn signal(&mut self, number: i32) -> io::Result<()> {
        let wish = serde_json::to_vec(&json!({ "signal": number }))?;
        self.0.write_all(&interpreter::frame(b'K', &wish)?).await
    }

    /// Bytes for its standard input; none ends it.
    pub async fn feed(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(&interpreter::frame(b'I', bytes)?).await
    }
}

fn read_record(home: &Path) -> Option<Record> {
    serde_json::from_slice(&std::fs::read(home.join("workbench.json")).ok()?).ok()
}

async fn running(home: &Path, key: &str) -> Option<Workbench> {
    let Record { key: made_from, socket, database, plugins, startup_seconds } = read_record(home)?;
    if made_from != key || UnixStream::connect(&socket).await.is_err() || !database.exists() {
        return None;
    }
    let startup = startup_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    Some(Workbench {
        home: home.to_owned(),
        key: made_from,
        plugins,
        startup,
        warm: true,
        database,
        socket,
    })
}

async fn stop(socket: &Path) -> io::Result<()> {
    interpreter::ask(socket, &json!({"kind": "stop"})).await.map(|_| ())
}

async fn ping(socket: &Path) -> io::Result<(u32, u32)> {
    #[derive(Deserialize)]
    struct Answer {
        pid: u32,
        children: u32,
    }
    let (answer, _) = interpreter::ask(socket, &json!({"kind": "ping"})).await?;
    let Answer { pid, children } = serde_json::from_slice(&answer)?;
    Ok((pid, children))
}

async fn at_work(socket: &Path) -> bool {
    ping(socket).await.is_ok_and(|(_, children)| children > 0)
}

/// Where the sessions of one interpreter are.
fn sessions(home: &Path, socket: &Path) -> PathBuf {
    home.join("sessions").join(socket.file_name().unwrap_or_default())
}

/// Makes room for a new one: ends an idle predecessor, and removes what calls that were killed have left. One that is
/// at work keeps its sessions, and goes by itself when it has been idle for long enough.
async fn make_way(home: &Path, sockets: &Path) -> io::Result<()> {
    if let Some(before) = read_record(home)
        && !at_work(&before.socket).await
    {
        // It may be gone already.
        stop(&before.socket).await.ok();
    }
    let Ok(entries) = std::fs::read_dir(home.join("sessions")) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        if !at_work(&sockets.join(entry.file_name())).await {
            super::remove_folder(&entry.path())?;
        }
    }
    Ok(())
}

async fn locked(home: &Path) -> Result<File, LaunchError> {
    let path = home.join("lock");
    let locking = tokio::task::spawn_blocking(move || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let file = File::create(&path)?;
        file.lock()?;
        Ok::<_, io::Error>(file)
    });
    let locked = locking.await.map_err(io::Error::other).flatten();
    locked.map_err(|error| failed("cannot prepare the warm interpreter", &error, SPACE))
}

/// Differs whenever another interpreter is wanted. DAGs and plugins in a folder are read anew by every fork.
fn key(plan: &Plan) -> io::Result<String> {
    let read = |path: &Path| std::fs::read(path);
    let artefact = |artefact: &Option<Artefact>| -> io::Result<Vec<u8>> {
        artefact.as_ref().map_or(Ok(Vec::new()), |artefact| read(&artefact.path))
    };
    let list = artefact(&plan.requirements)?;
    let (folder, archive) = match &plan.plugins {
        None => (PathBuf::new(), Vec::new()),
        Some(Plugins::Folder(folder)) => (folder.clone(), Vec::new()),
        Some(Plugins::Archive(path)) => (path.clone(), read(path)?),
    };
    let settings = json!({
        "class": plan.class, "options": plan.options, "variables": plan.variables,
        "region": plan.region, "account": plan.account, "tools": TOOLS,
        "dags": plan.dags, "plugins": folder,
    });
    let code = interpreter::code_digest();
    // As the installer reads it. What is in an archive of plugins counts by the archive.
    let wish = Wish {
        requirements: plan.requirements.as_ref(),
        plugins: &folder,
        dags: &plan.dags,
        variables: &plan.variables,
    };
    let text = requirements::localise(&String::from_utf8_lossy(&list), &wish, plan.recipe);
    let named = text.depends_on(&plan.variables);
    let named = digest(&named.iter().map(Vec::as_slice).collect::<Vec<_>>());
    Ok(digest(&[
        plan.recipe.lock.as_bytes(),
        code.as_bytes(),
        settings.to_string().as_bytes(),
        &list,
        named.as_bytes(),
        &artefact(&plan.startup_script)?,
        &archive,
    ]))
}

/// One that is being made.
struct Making<'a> {
    around: &'a Surroundings,
    plan: &'a Plan,
    progress: &'a Progress,
    home: &'a Path,
    key: &'a str,
}

impl Making<'_> {
    async fn make(&self) -> Result<Workbench, LaunchError> {
        let Making { around, plan, progress, home, .. } = self;
        let host = Host::new(around.variables.clone());
        let installer = Installer {
            cache: around.cache.clone(),
            host: host.clone(),
            progress: (*progress).clone(),
        };
        let code = home.join("python");
        let unfit = |error| failed(&format!("cannot prepare {}", home.display()), &error, SPACE);
        let sockets = self.folders(&host, &code).map_err(unfit)?;
        make_way(home, &sockets).await.map_err(unfit)?;
        let base = installer.base(plan.recipe).await?;
        let plugins = self.plugins().await?;
        let wiring = self.wiring(&code, &plugins);
        let layers = settings::layers(&wiring);
        let mut under = host.basis(&base.programs, home);
        under.extend(layers.below);
        under.extend(plan.variables.clone());
        let began = Instant::now();
        let common = self.startup(under, self.own(layers.above), &base.python).await?;
        let startup = plan.startup_script.is_some().then(|| began.elapsed());
        let wish = Wish {
            requirements: plan.requirements.as_ref(),
            plugins: &plugins,
            dags: &plan.dags,
            variables: &common,
        };
        let project = installer.project(plan.recipe, &base, &wish).await?;
        let tools = installer.tools(plan.recipe, &base, &TOOLS).await?;
        let mut environments = in_front([("scheduler", common)].into(), &base, &project);
        let mut variables = environments.remove("scheduler").unwrap_or_default();
        variables.insert("WINDTUNNEL_TOOLS".to_owned(), tools.display().to_string());
        // A predecessor removes its own when it goes.
        let socket = sockets.join(format!("w{}", crate::id::random_text(6)));
        self.start(&project.python, &socket, &variables).await?;
        let recorded = async {
            let database = self.database(&base.id, &socket).await?;
            let record = Record {
                key: (*self.key).to_owned(),
                socket: socket.clone(),
                database: database.clone(),
                plugins: plugins.clone(),
                startup_seconds: startup.map(|took| took.as_secs_f64()),
            };
            self.write(&record)?;
            Ok(database)
        };
        let database = match recorded.await {
            Ok(database) => database,
            Err(error) => {
                // Without a record nobody would find it again.
                stop(&socket).await.ok();
                return Err(error);
            }
        };
        let (home, key) = (home.to_path_buf(), (*self.key).to_owned());
        Ok(Workbench { home, key, plugins, startup, warm: false, database, socket })
    }

    fn folders(&self, host: &Host, code: &Path) -> io::Result<PathBuf> {
        std::fs::create_dir_all(self.home.join("logs"))?;
        interpreter::write_code(code)?;
        host.sockets(self.home)
    }

    /// The plugins' folder as it lies in the project; an archive, unpacked.
    async fn plugins(&self) -> Result<PathBuf, LaunchError> {
        let archive = match &self.plan.plugins {
            Some(Plugins::Folder(folder)) => return Ok(folder.clone()),
            Some(Plugins::Archive(path)) => {
                let label = path.strip_prefix(&self.plan.project).unwrap_or(path);
                Some(Artefact { path: path.clone(), label: label.display().to_string() })
            }
            None => None,
        };
        let home = self.home.to_path_buf();
        let unpacking =
            tokio::task::spawn_blocking(move || plugins::unpack(&home, archive.as_ref()));
        unpacking.await.map_err(|error| {
            failed("cannot unpack the plugins", &io::Error::other(error), "try again")
        })?
    }

    /// MWAA's settings; addresses of what does not run here lead nowhere.
    fn wiring<'a>(&'a self, code: &'a Path, plugins: &'a Path) -> Wiring<'a> {
        let Making { plan, home, .. } = self;
        Wiring {
            recipe: plan.recipe,
            logging: None,
            class: &plan.class,
            max_workers: 1,
            home,
            dags: &plan.dags,
            plugins,
            has_plugins: plan.plugins.is_some(),
            task_logs: home,
            code,
            database_url: "sqlite://",
            broker: NOWHERE,
            statsd: (NOWHERE, ""),
            queue_name: "airflow-celery",
            queue_url: NOWHERE_URL,
            base_url: "https://localhost",
            // Of no use outside of one session's database.
            fernet_key: "d2luZHR1bm5lbC13aW5kdHVubmVsLXdpbmR0dW5uZWw=",
            web_secret_key: "-",
            token_secret: "-",
            proxy_secret: "-",
            options: &plan.options,
            endpoint_url: NOWHERE_URL,
            region: &plan.region,
            account: &plan.account,
            access_key_id: "-",
            secret_access_key: "-",
            ca_bundle: Path::new(""),
        }
    }

    /// What differs from a whole environment: no queue and no server.
    fn own(&self, mut above: Variables) -> Variables {
        let executor =
            if self.plan.recipe.major == 2 { "SequentialExecutor" } else { "LocalExecutor" };
        above.insert("AIRFLOW__CORE__EXECUTOR".to_owned(), executor.to_owned());
        above.insert("AIRFLOW__METRICS__STATSD_ON".to_owned(), "False".to_owned());
        // The authority is that of a running windtunnel; calls bring it.
        for name in ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"] {
            above.remove(name);
        }
        // The mark of its processes. Not the project's: `up` must not end it.
        above.insert(super::sweep::MARKER.to_owned(), self.home.display().to_string());
        above
    }

    async fn startup(
        &self,
        under: Variables,
        over: Variables,
        python: &Path,
    ) -> Result<Variables, LaunchError> {
        let mut merged = under;
        merged.extend(over.clone());
        let mut variables = match &self.plan.startup_script {
            None => merged,
            Some(script) => {
                self.progress.tell(Report::Began(Stage::StartupScript));
                let began = Instant::now();
                let log = self.home.join("logs/startup.log");
                let home = self.home;
                let run = startup::Run {
                    script,
                    python,
                    container: "scheduler",
                    variables: &merged,
                    home,
                    log: &log,
                };
                let after = run.run().await?;
                let (stage, took) = (Stage::StartupScript, began.elapsed());
                self.progress.tell(Report::Done { stage, took, cached: false });
                after
            }
        };
        variables.extend(over);
        for name in ["MWAA_AIRFLOW_COMPONENT", "MWAA_COMMAND"] {
            variables.insert(name.to_owned(), "scheduler".to_owned());
        }
        Ok(variables)
    }

    /// Starts the interpreter and returns when it is warm. From then on it lives on its own.
    async fn start(
        &self,
        python: &Path,
        socket: &Path,
        variables: &Variables,
    ) -> Result<(), LaunchError> {
        self.progress.tell(Report::Began(Stage::Interpreter));
        let began = Instant::now();
        let log = self.home.join("logs/interpreter.log");
        let unfit = |error: &io::Error| LaunchError {
            what: "cannot start the warm interpreter".to_owned(),
            why: error.to_string(),
            next: format!("see {}", log.display()),
            detail: tail(&log),
        };
        let stderr = super::append(&log).map_err(|error| unfit(&error))?;
        let idle = limits::WORKBENCH_IDLE_SECONDS.to_string();
        let mut child = Command::new(python)
            .arg(self.home.join("python/zygote.py"))
            .arg("--socket")
            .arg(socket)
            .args(["--recipe", self.plan.recipe.zygote, "--also", "windtunnel_bench"])
            .args(["--grace", "2", "--idle", &idle])
            .env_clear()
            .envs(variables)
            .current_dir(self.home)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .map_err(|error| unfit(&error))?;
        let said = child.stdout.take().expect("it was asked for");
        let mut line = String::new();
        let mut said = BufReader::new(said);
        let wait = Duration::from_secs(limits::INTERPRETER_START_MAX_SECONDS);
        let read = tokio::time::timeout(wait, said.read_line(&mut line)).await;
        if !line.starts_with("{\"ready\"") {
            child.kill().await.ok();
            let why = match read {
                Err(_) => format!("it was not ready after {} s", wait.as_secs()),
                Ok(_) => "it ended while it was starting".to_owned(),
            };
            return Err(unfit(&io::Error::other(why)));
        }
        let (stage, took) = (Stage::Interpreter, began.elapsed());
        self.progress.tell(Report::Done { stage, took, cached: false });
        Ok(())
    }

    /// The version's empty database, made once and kept in the cache.
    async fn database(&self, base: &str, socket: &Path) -> Result<PathBuf, LaunchError> {
        let folder = self.around.cache.join("templates").join(format!("{base}-sqlite-1"));
        let database = folder.join("airflow.db");
        if database.exists() {
            return Ok(database);
        }
        let what = "cannot make Airflow's database";
        let unmade = |error: io::Error| failed(what, &error, SPACE);
        let said = format!("making the database of Airflow {}, once", self.plan.recipe.version);
        self.progress.tell(Report::Said(Stage::Database, said));
        std::fs::create_dir_all(&folder).map_err(unmade)?;
        // None of the project's: it is every project's.
        let home = tempfile::tempdir_in(&folder).map_err(unmade)?;
        let fresh = home.path().join("airflow.db");
        let below = |name: &str| Some(home.path().join(name).display().to_string());
        let env = Difference::from([
            ("AIRFLOW_HOME".to_owned(), below("")),
            ("AIRFLOW__CORE__DAGS_FOLDER".to_owned(), below("dags")),
            ("AIRFLOW__CORE__PLUGINS_FOLDER".to_owned(), below("plugins")),
            ("AIRFLOW__LOGGING__BASE_LOG_FOLDER".to_owned(), below("logs")),
            (
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN".to_owned(),
                Some(format!("sqlite:///{}", fresh.display())),
            ),
        ]);
        let request =
            json!({"kind": "run", "call": "windtunnel_bench:database", "argv": [], "env": env});
        let (_, output) = interpreter::ask(socket, &request).await.map_err(unmade)?;
        if output.code != 0 {
            let detail = String::from_utf8_lossy(&output.stderr).into_owned();
            let why = detail.lines().last().unwrap_or("it gave no reason").to_owned();
            let next = "report this with the lines below".to_owned();
            return Err(LaunchError { what: what.to_owned(), why, next, detail });
        }
        std::fs::rename(&fresh, &database).map_err(unmade)?;
        Ok(database)
    }

    fn write(&self, record: &Record) -> Result<(), LaunchError> {
        let path = self.home.join("workbench.json");
        let fresh = path.with_extension("new");
        let text: Value = json!(record);
        std::fs::write(&fresh, text.to_string())
            .and_then(|()| std::fs::rename(&fresh, &path))
            .map_err(|error| failed(&format!("cannot write {}", path.display()), &error, SPACE))
    }
}

/// The port of the discard service, where nobody listens.
const NOWHERE: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);
const NOWHERE_URL: &str = "http://127.0.0.1:9";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_the_requirements_name_makes_it_another_one() {
        let folder = tempfile::tempdir().unwrap();
        let dags = folder.path().join("dags");
        std::fs::create_dir(&dags).unwrap();
        let path = folder.path().join("requirements.txt");
        std::fs::write(&path, "-r /usr/local/airflow/dags/more.txt\n").unwrap();
        std::fs::write(dags.join("more.txt"), "a==1\n").unwrap();
        let plan = Plan {
            recipe: crate::airflow::recipe("2.10.3").unwrap(),
            class: "mw1.small".to_owned(),
            project: folder.path().to_owned(),
            dags: dags.clone(),
            plugins: None,
            requirements: Some(Artefact { path, label: "requirements.txt".to_owned() }),
            startup_script: None,
            options: std::collections::BTreeMap::new(),
            variables: Variables::new(),
            region: "us-east-1".to_owned(),
            account: "123456789012".to_owned(),
        };
        let before = key(&plan).unwrap();
        assert_eq!(before, key(&plan).unwrap());
        std::fs::write(dags.join("more.txt"), "a==2\n").unwrap();
        assert_ne!(before, key(&plan).unwrap());
    }
}
