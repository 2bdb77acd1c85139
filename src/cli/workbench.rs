//! The project's warm interpreter, for the verbs that work in it: `check`, `test`, `run`, `shell`.

use std::io::{self, IsTerminal as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

use nix::sys::signal::Signal;
use tokio::signal::unix::{SignalKind, signal};

use super::Place;
use super::client::Client;
use super::failure::{Failure, NO};
use super::progress::Progress;
use crate::airflow;
use crate::clock::Clock;
use crate::config::flags::Flags;
use crate::config::private::state_mode;
use crate::config::{Config, EnvironmentSettings};
use crate::runtime::process::Surroundings;
use crate::runtime::process::workbench::{Difference, Plan, Run, Said, Session, Workbench};
use crate::runtime::{Artefact, LaunchError};

/// What is set for the project.
pub(super) fn config(place: &Place) -> Result<Config, Failure> {
    let config = place.config(&Flags::default())?;
    super::up::version(&config)?;
    Ok(config)
}

/// The project's warm interpreter; what has to be made for it first is told on stderr.
pub(super) async fn open(place: &Place, config: &Config) -> Result<Workbench, LaunchError> {
    let shown = Mutex::new(Progress::for_people());
    let progress = crate::runtime::Progress::new(move |report| {
        if let Ok(mut shown) = shown.lock() {
            shown.report(&report);
        }
    });
    let around = Surroundings {
        cache: config.cache.clone(),
        state: config.state.clone(),
        variables: config.variables.0.clone(),
        clock: Clock::system(),
    };
    prepare(&config.state).map_err(|error| LaunchError {
        what: format!("cannot make {}", place.machine.shown(&config.state).display()),
        why: error.to_string(),
        next: "check the project folder's rights and free space".to_owned(),
        detail: String::new(),
    })?;
    Workbench::open(&around, &plan(place, config), &progress).await
}

/// The same, for verbs that have no better way to tell why not.
pub(super) fn unfit(error: &LaunchError) -> Failure {
    let LaunchError { what, why, next, detail } = error;
    if !detail.is_empty() {
        super::terminal::note(detail.trim_end());
    }
    Failure::new(what.clone()).why(why.clone()).next(next.clone()).code(NO)
}

/// Makes the state folder, ignored by git.
fn prepare(state: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(state_mode()).create(state)?;
    let ignore = state.join(".gitignore");
    if ignore.exists() { Ok(()) } else { std::fs::write(ignore, "*\n") }
}

fn plan(place: &Place, config: &Config) -> Plan {
    let settings = environment(config);
    let artefact = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| Artefact {
            path: path.clone(),
            label: place.machine.shown(path).display().to_string(),
        })
    };
    Plan {
        recipe: airflow::recipe(&settings.airflow_version).expect("`config` has looked"),
        class: settings.environment_class.clone(),
        project: config.project.clone(),
        dags: config.layout.dags.clone(),
        plugins: config.layout.plugins.clone(),
        requirements: artefact(&config.layout.requirements),
        startup_script: artefact(&config.layout.startup_script),
        options: settings.airflow_configuration_options.clone(),
        variables: settings.variables.clone(),
        region: config.region.to_string(),
        account: config.account.to_string(),
    }
}

/// The project's environment as it is described.
pub(super) fn environment(config: &Config) -> &EnvironmentSettings {
    config.environment.as_ref().expect("only `up --no-airflow` goes without")
}

/// A database and a folder for one session.
pub(super) fn session(bench: &Workbench) -> Result<Session, Failure> {
    bench.session().map_err(|error| {
        Failure::cannot("make a database for the session", &error, "free some disk space")
    })
}

/// Where code finds AWS: at the project's running windtunnel, if it runs and is `wanted`. Without, tests and runs
/// start services of their own, for which they get our program.
pub(super) async fn services(place: &Place, config: &Config, wanted: bool) -> Difference {
    let mut variables = Difference::new();
    let mut set = |name: &str, value: Option<String>| {
        variables.insert(name.to_owned(), value);
    };
    let binary = std::env::current_exe().ok();
    set("WINDTUNNEL_BINARY", binary.map(|path| path.display().to_string()));
    set("WINDTUNNEL_BUCKET", Some(environment(config).bucket.to_string()));
    set("WINDTUNNEL_CALLED_IN", Some(place.machine.folder.display().to_string()));
    // So that tools paint as they would in the person's shell.
    for name in ["TERM", "COLORTERM", "COLUMNS", "NO_COLOR", "CI"] {
        set(name, config.variables.0.get(name).cloned());
    }
    if !wanted {
        return variables;
    }
    if let Some((_, status)) = Client::running(&config.state).await
        && let Ok(running) = super::env::variables(place).await
    {
        let name = status["environments"][0]["name"].as_str().map(str::to_owned);
        set("WINDTUNNEL_RUNNING", Some("1".to_owned()));
        set("WINDTUNNEL_ENVIRONMENT", name);
        for (name, value) in running.set {
            set(name, Some(value));
        }
    }
    variables
}

/// The terminal that all three streams are, by its path; `None` where one of them is something else.
pub(super) fn terminal() -> Option<PathBuf> {
    let all = [io::stdin().is_terminal(), io::stdout().is_terminal(), io::stderr().is_terminal()];
    let path = |number| std::fs::read_link(format!("/proc/self/fd/{number}")).ok();
    let (stdin, stdout) = (path(0)?, path(1)?);
    (all == [true; 3] && stdin == stdout && stdin.starts_with("/dev")).then_some(stdin)
}

/// Runs something in a fork: its streams are ours, our signals its own.
pub(super) async fn relay(bench: &Workbench, run: &Run) -> Result<ExitCode, Failure> {
    let lost = |error: &io::Error| {
        let log = bench.home.join("logs/interpreter.log");
        Failure::cannot("finish", error, &format!("try again; see {}", log.display()))
    };
    let on = |kind| {
        signal(kind).map_err(|error| Failure::cannot("listen to signals", &error, "try again"))
    };
    let (mut interrupt, mut terminate) =
        (on(SignalKind::interrupt())?, on(SignalKind::terminate())?);
    let mut running = bench.run(run).await.map_err(|error| lost(&error))?;
    loop {
        let number = tokio::select! {
            said = running.next() => match said.map_err(|error| lost(&error))? {
                Said::Stdout(bytes) => {
                    super::terminal::raw_result(&bytes);
                    continue;
                }
                Said::Stderr(bytes) => {
                    super::terminal::raw_note(&bytes);
                    continue;
                }
                Said::Ended(code) => return Ok(ExitCode::from(u8::try_from(code).unwrap_or(1))),
            },
            _ = interrupt.recv() => Signal::SIGINT,
            _ = terminate.recv() => Signal::SIGTERM,
        };
        running.hand().signal(number as i32).await.map_err(|error| lost(&error))?;
    }
}
