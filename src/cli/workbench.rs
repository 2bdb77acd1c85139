//! The project's warm interpreter, for the verbs that work in it: `check`, `test`, `run`, `shell`.

use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Mutex;

use super::Place;
use super::failure::{Failure, NO};
use super::progress::Progress;
use crate::airflow;
use crate::clock::Clock;
use crate::config::flags::Flags;
use crate::config::private::state_mode;
use crate::config::{Config, EnvironmentSettings};
use crate::runtime::process::Surroundings;
use crate::runtime::process::workbench::{Plan, Workbench};
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
fn prepare(state: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(state_mode()).create(state)?;
    let ignore = state.join(".gitignore");
    if ignore.exists() { Ok(()) } else { std::fs::write(ignore, "*\n") }
}

fn plan(place: &Place, config: &Config) -> Plan {
    let settings = environment(config);
    let artefact = |path: &Option<std::path::PathBuf>| {
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
