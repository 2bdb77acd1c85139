//! A version's template database: filled once, by the recipe's own program, and copied for each new environment.

use std::path::Path;

use super::install::{self, Installer};
use super::{Variables, failed, postgres, remove_folder, upgrade};
use crate::airflow::Recipe;
use crate::runtime::{LaunchError, LaunchPlan, Report, Stage};

/// What a template is made with.
pub(super) struct Template<'a> {
    pub(super) installer: &'a Installer,
    pub(super) base: &'a install::Interpreter,
    pub(super) environment: &'a Variables,
}

pub(super) const SPACE: &str = "free some disk space, or check the folder's permissions";

/// Makes the template of the plan's version at `template`.
pub(super) async fn make(
    plan: &LaunchPlan,
    files: &postgres::Files,
    source: &Template<'_>,
    template: &Path,
) -> Result<(), LaunchError> {
    let said = format!("making the database of Airflow {}, once", plan.recipe.version);
    source.installer.progress.tell(Report::Said(Stage::Database, said));
    let fresh = template.with_extension("new");
    let unable = |error: std::io::Error| failed("cannot make the template", &error, SPACE);
    remove_folder(&fresh).map_err(unable)?;
    let files = postgres::Files { data: fresh.clone(), ..files.clone() };
    files.initialise().await?;
    let server = files.start(&Variables::new()).await?;
    let filled = async {
        files.create_database().await?;
        fill(&Filling {
            recipe: plan.recipe,
            python: &source.base.python,
            environment: source.environment,
            code: &plan.home.join("python"),
        })
        .await
    };
    let filled = filled.await;
    server.stop().await;
    filled?;
    std::fs::rename(&fresh, template).map_err(unable)
}

/// Which program fills a database, and with what.
pub(super) struct Filling<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) python: &'a Path,
    pub(super) environment: &'a Variables,
    /// The folder of our Python files.
    pub(super) code: &'a Path,
}

/// Runs the recipe's template program against the running server: on an empty database, or on an older version's.
pub(super) async fn fill(filling: &Filling<'_>) -> Result<(), LaunchError> {
    let home =
        tempfile::tempdir().map_err(|error| failed("cannot make a folder", &error, SPACE))?;
    let home = home.path();
    let mut command = tokio::process::Command::new(filling.python);
    command.arg(filling.code.join(filling.recipe.template));
    command.env_clear().envs(filling.environment).current_dir(home);
    // None of the project's: the tables are Airflow's.
    for (name, folder) in [
        ("AIRFLOW_HOME", home.to_owned()),
        ("AIRFLOW__CORE__DAGS_FOLDER", home.join("dags")),
        ("AIRFLOW__CORE__PLUGINS_FOLDER", home.join("plugins")),
        ("AIRFLOW__LOGGING__BASE_LOG_FOLDER", home.join("logs")),
    ] {
        command.env(name, folder);
    }
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let what = "cannot fill the database";
    let output = command.output().await.map_err(|error| failed(what, &error, SPACE))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(LaunchError {
        what: what.to_owned(),
        why: said.lines().last().unwrap_or("it gave no reason").to_owned(),
        next: "report this with the lines below".to_owned(),
        detail: said,
    })
}

/// A database below `to`, copied from the template.
pub(super) fn copy(
    place: &postgres::Place,
    template: &Path,
    to: &Path,
    recipe: &Recipe,
) -> std::io::Result<()> {
    let fresh = to.with_extension("new");
    remove_folder(&fresh)?;
    place.copy(template, &fresh)?;
    upgrade::note(&fresh, recipe)?;
    remove_folder(to)?;
    std::fs::rename(&fresh, to)
}
