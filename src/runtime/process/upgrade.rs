//! The database of another Airflow version, taken to the one that is launched.
//!
//! Promise: it is copied aside first, and the copy is put back when the migration or the launch that follows fails.
//! A stop in the middle leaves the copy too; the next launch finds it and puts it back before anything else.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::postgres::{Files, Place};
use super::template::{Filling, SPACE, fill};
use super::{Prepared, failed, remove_folder};
use crate::airflow::{Recipe, versions};
use crate::runtime::{LaunchError, Progress, Report, Stage};

/// The file beside PostgreSQL's own that says which Airflow the tables are of.
const NOTE: &str = "airflow-version";

/// Of databases that were made before there was a note.
const BEFORE_NOTES: &str = "2.10.3";

/// Says that the tables below `data` are of this version.
pub(super) fn note(data: &Path, recipe: &Recipe) -> io::Result<()> {
    std::fs::write(data.join(NOTE), recipe.version)
}

/// The version that the tables below `data` are of; `None` without a database.
fn noted(data: &Path) -> Option<String> {
    data.join("PG_VERSION").exists().then(|| {
        let note = std::fs::read_to_string(data.join(NOTE));
        note.map_or_else(|_| BEFORE_NOTES.to_owned(), |text| text.trim().to_owned())
    })
}

/// Where the copy lies while it may be needed.
fn aside(data: &Path) -> PathBuf {
    data.with_extension("before")
}

/// Where the copy lies while it is removed: what is left of it there is never put back.
fn spent(data: &Path) -> PathBuf {
    data.with_extension("spent")
}

/// Puts back what a launch that was cut short has left, and refuses a version that the database cannot become.
pub(super) fn settle(data: &Path, recipe: &Recipe) -> Result<(), LaunchError> {
    if let Err(error) = remove_folder(&spent(data)) {
        tracing::warn!(%error, "what is left of an earlier copy of the database cannot be removed");
    }
    if aside(data).exists() {
        tracing::warn!(data = %data.display(), "a change of the Airflow version was cut short and is undone");
        put_back(data).map_err(|error| failed("cannot put the database back", &error, SPACE))?;
    }
    let Some(from) = noted(data) else { return Ok(()) };
    versions::move_in_place(&from, recipe).map_err(|refused| LaunchError {
        what: format!("cannot take the environment from Airflow {from} to {}", recipe.version),
        why: refused.to_string(),
        next: format!(
            "set AirflowVersion back to {from}, or start a new environment: another Name, or a state folder that is empty"
        ),
        detail: String::new(),
    })
}

/// A database that was copied aside and migrated. Either [`Moved::keep`] or [`Moved::undo`] ends it.
#[derive(Debug)]
#[must_use]
pub(super) struct Moved {
    data: PathBuf,
}

/// Copies and migrates the database, if its tables are of another version. Nothing of the environment may be running.
pub(super) async fn migrate(
    prepared: &Prepared,
    progress: &Progress,
) -> Result<Option<Moved>, LaunchError> {
    let (recipe, files) = (prepared.plan.recipe, &prepared.files);
    let Some(from) = noted(&files.data).filter(|from| from != recipe.version) else {
        return Ok(None);
    };
    let began = Instant::now();
    progress.tell(Report::Began(Stage::Snapshot));
    copy_aside(files.place.clone(), files.data.clone())
        .await
        .map_err(|error| failed("cannot copy the database aside", &error, SPACE))?;
    let stage = Stage::Snapshot;
    progress.tell(Report::Done { stage, took: began.elapsed(), cached: false });
    progress.tell(Report::Began(Stage::Database));
    let said = format!("taking the database from Airflow {from} to {}", recipe.version);
    progress.tell(Report::Said(Stage::Database, said));
    let moved = Moved { data: files.data.clone() };
    match run(prepared, files).await {
        Ok(()) => Ok(Some(moved)),
        Err(error) => {
            moved.undo();
            let what =
                format!("cannot take the database from Airflow {from} to {}", recipe.version);
            let next = format!("the environment stays on {from}; the lines below say what failed");
            Err(LaunchError { what, next, ..error })
        }
    }
}

async fn run(prepared: &Prepared, files: &Files) -> Result<(), LaunchError> {
    let server = files.start(&prepared.marker).await?;
    let filling = Filling {
        recipe: prepared.plan.recipe,
        python: &prepared.start.python,
        environment: &prepared.start.environment,
        code: &prepared.start.code,
    };
    let filled = fill(&filling).await;
    server.stop().await;
    filled?;
    let noted = note(&files.data, prepared.plan.recipe);
    noted.map_err(|error| failed("cannot note the database's version", &error, SPACE))
}

async fn copy_aside(place: Place, data: PathBuf) -> io::Result<()> {
    let copied = tokio::task::spawn_blocking(move || {
        let fresh = data.with_extension("copying");
        remove_folder(&fresh)?;
        place.copy(&data, &fresh)?;
        // Only a whole copy gets the name that is looked for.
        std::fs::rename(&fresh, aside(&data))
    });
    copied.await.map_err(io::Error::other).flatten()
}

fn put_back(data: &Path) -> io::Result<()> {
    remove_folder(data)?;
    std::fs::rename(aside(data), data)
}

impl Moved {
    /// The new version runs: the copy has done its service.
    pub(super) fn keep(self) {
        let spent = spent(&self.data);
        // The name says that it is to be put back, so that goes first, and at once.
        let renamed =
            remove_folder(&spent).and_then(|()| std::fs::rename(aside(&self.data), &spent));
        if let Err(error) = renamed {
            tracing::error!(%error, "the copy of the database cannot be renamed and would be put back");
        } else if let Err(error) = remove_folder(&spent) {
            tracing::warn!(%error, "the copy of the database cannot be removed; the next launch tries again");
        }
    }

    /// The new version does not run: the database is again what it was.
    pub(super) fn undo(self) {
        if let Err(error) = put_back(&self.data) {
            tracing::error!(%error, "the database cannot be put back yet; the next launch tries again");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(version: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("postgres");
        std::fs::create_dir(&data).unwrap();
        std::fs::write(data.join("PG_VERSION"), "16").unwrap();
        std::fs::write(data.join(NOTE), version).unwrap();
        (folder, data)
    }

    fn recipe(version: &str) -> &'static Recipe {
        crate::airflow::recipe(version).unwrap()
    }

    #[test]
    fn another_major_is_refused_with_what_to_do() {
        let (_folder, data) = database("2.10.3");
        let error = settle(&data, recipe("3.3.1")).unwrap_err();
        assert_eq!(error.what, "cannot take the environment from Airflow 2.10.3 to 3.3.1");
        assert!(error.why.contains("different majors"), "{}", error.why);
        assert!(error.next.contains("set AirflowVersion back to 2.10.3"), "{}", error.next);
        let (_folder, data) = database("2.9.2");
        assert_eq!(settle(&data, recipe("2.10.3")), Ok(()));
    }

    #[tokio::test]
    async fn a_change_that_was_cut_short_is_undone_by_the_next_launch() {
        let (_folder, data) = database("2.9.2");
        copy_aside(Place::find(), data.clone()).await.unwrap();
        note(&data, recipe("2.10.3")).unwrap();
        std::fs::write(data.join("half"), "").unwrap();
        settle(&data, recipe("2.10.3")).unwrap();
        assert_eq!(noted(&data).as_deref(), Some("2.9.2"));
        assert!(!data.join("half").exists() && !aside(&data).exists());
    }

    #[tokio::test]
    async fn a_copy_that_was_cut_short_while_it_was_removed_is_not_put_back() {
        let (_folder, data) = database("2.9.2");
        copy_aside(Place::find(), data.clone()).await.unwrap();
        note(&data, recipe("2.10.3")).unwrap();
        Moved { data: data.clone() }.keep();
        assert!(!aside(&data).exists() && !spent(&data).exists());
        // As a kill in the middle leaves it.
        std::fs::create_dir(spent(&data)).unwrap();
        std::fs::write(spent(&data).join("half"), "").unwrap();
        settle(&data, recipe("2.10.3")).unwrap();
        assert_eq!(noted(&data).as_deref(), Some("2.10.3"));
        assert!(!data.join("half").exists() && !spent(&data).exists());
    }

    #[test]
    fn a_new_environment_has_no_version_to_leave() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(settle(&folder.path().join("postgres"), recipe("3.3.1")), Ok(()));
    }
}
