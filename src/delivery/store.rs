//! The tables of what was delivered and of what Airflow made of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;

use super::Outcome;
use crate::db::Schema;
use crate::id::{EnvironmentName, VersionId};
use crate::runtime::ImportError;

pub(super) const SCHEMA: Schema = Schema {
    room: "delivery",
    steps: &["CREATE TABLE delivered (
        environment TEXT NOT NULL,
        path TEXT NOT NULL,
        version TEXT NOT NULL,
        PRIMARY KEY (environment, path)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE parse_outcomes (
        environment TEXT NOT NULL,
        path TEXT NOT NULL,
        -- One id a line: an id holds no line break.
        dag_ids TEXT NOT NULL,
        error_message TEXT,
        error_file TEXT,
        error_line INTEGER,
        error_traceback TEXT,
        PRIMARY KEY (environment, path)
    ) STRICT, WITHOUT ROWID"],
};

pub(super) fn delivered(
    connection: &Connection,
    environment: &EnvironmentName,
) -> rusqlite::Result<BTreeMap<String, String>> {
    connection
        .prepare_cached("SELECT path, version FROM delivered WHERE environment = ?1")?
        .query_map([environment.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

pub(super) fn record(
    connection: &Connection,
    environment: &EnvironmentName,
    path: &str,
    version: &VersionId,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO delivered (environment, path, version) VALUES (?1, ?2, ?3)",
        )?
        .execute((environment.as_str(), path, version.as_str()))?;
    Ok(())
}

pub(super) fn forget(
    connection: &Connection,
    environment: &EnvironmentName,
    path: &str,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM delivered WHERE environment = ?1 AND path = ?2")?
        .execute((environment.as_str(), path))?;
    Ok(())
}

pub(super) fn outcomes(
    connection: &Connection,
    environment: &EnvironmentName,
) -> rusqlite::Result<Vec<Outcome>> {
    connection
        .prepare_cached(
            "SELECT path, dag_ids, error_message, error_file, error_line, error_traceback
             FROM parse_outcomes WHERE environment = ?1 ORDER BY path",
        )?
        .query_map([environment.as_str()], |row| {
            let error = match row.get::<_, Option<String>>(2)? {
                None => None,
                Some(message) => Some(ImportError {
                    message,
                    file: PathBuf::from(row.get::<_, String>(3)?),
                    line: row.get(4)?,
                    traceback: row.get(5)?,
                }),
            };
            Ok(Outcome {
                path: PathBuf::from(row.get::<_, String>(0)?),
                dag_ids: row.get::<_, String>(1)?.lines().map(str::to_owned).collect(),
                error,
            })
        })?
        .collect()
}

pub(super) fn record_outcome(
    connection: &Connection,
    environment: &EnvironmentName,
    outcome: &Outcome,
) -> rusqlite::Result<()> {
    let error = outcome.error.as_ref();
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO parse_outcomes (environment, path, dag_ids, error_message,
                error_file, error_line, error_traceback) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute((
            environment.as_str(),
            outcome.path.to_string_lossy(),
            outcome.dag_ids.join("\n"),
            error.map(|error| &error.message),
            error.map(|error| error.file.to_string_lossy()),
            error.map(|error| error.line),
            error.map(|error| &error.traceback),
        ))?;
    Ok(())
}

pub(super) fn forget_outcome(
    connection: &Connection,
    environment: &EnvironmentName,
    path: &Path,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM parse_outcomes WHERE environment = ?1 AND path = ?2")?
        .execute((environment.as_str(), path.to_string_lossy()))?;
    Ok(())
}
