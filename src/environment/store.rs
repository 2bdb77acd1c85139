//! All SQL of the environments room.

use std::net::SocketAddr;

use rusqlite::types::Type;
use rusqlite::{Connection, Row};

use super::phase::{Life, Phase};
use super::{LastUpdate, Spec, UpdateStatus};
use crate::clock::Timestamp;
use crate::db::Schema;
use crate::id::{EnvironmentName, LaunchId};
use crate::runtime::{Replacement, Secrets};

pub(super) const SCHEMA: Schema = Schema {
    room: "environment",
    steps: &[
        "CREATE TABLE environments (
        name TEXT PRIMARY KEY,
        created_ms INTEGER NOT NULL,
        queue TEXT NOT NULL,
        fernet_key TEXT NOT NULL,
        web_secret_key TEXT NOT NULL,
        proxy_secret TEXT NOT NULL,
        web TEXT,
        phase TEXT NOT NULL,
        spec TEXT NOT NULL,
        next_spec TEXT,
        launch INTEGER NOT NULL,
        live INTEGER,
        update_status TEXT NOT NULL,
        update_at_ms INTEGER NOT NULL,
        error_code TEXT,
        error_message TEXT
    ) STRICT",
        "ALTER TABLE environments ADD COLUMN replacement TEXT NOT NULL DEFAULT 'forced'",
        "ALTER TABLE environments ADD COLUMN forced_once INTEGER NOT NULL DEFAULT 0",
    ],
};

/// An environment as it is kept.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) life: Life,
    pub(super) queue: String,
    pub(super) secrets: Secrets,
    pub(super) web: Option<SocketAddr>,
}

/// Writes the environment, new or known.
pub(super) fn put(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let Record { life, queue, secrets, web } = record;
    let (phase, next, live) = phase_columns(&life.phase);
    let error = life.last_update.error.as_ref();
    connection
        .prepare_cached(
            "INSERT INTO environments (name, created_ms, queue, fernet_key, web_secret_key,
                 proxy_secret, web, phase, spec, next_spec, launch, update_status, update_at_ms,
                 error_code, error_message, live, replacement, forced_once)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)
             ON CONFLICT (name) DO UPDATE SET web = ?7, phase = ?8, spec = ?9, next_spec = ?10,
                 launch = ?11, update_status = ?12, update_at_ms = ?13, error_code = ?14,
                 error_message = ?15, live = ?16, replacement = ?17, forced_once = ?18",
        )?
        .execute(rusqlite::params![
            life.spec.name.as_str(),
            life.created.as_millis(),
            queue,
            secrets.fernet_key,
            secrets.web_secret_key,
            secrets.proxy_secret,
            web.map(|web| web.to_string()),
            phase,
            to_json(&life.spec),
            next.map(to_json),
            life.launch.0.cast_signed(),
            update_status(life.last_update.status),
            life.last_update.at.as_millis(),
            error.map(|(code, _)| code),
            error.map(|(_, message)| message),
            live.map(|live| live.0.cast_signed()),
            replacement(life.last_update.replacement),
            life.forced_once,
        ])?;
    Ok(())
}

/// Forgets the environment.
pub(super) fn remove(connection: &Connection, name: &EnvironmentName) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM environments WHERE name = ?1", [name.as_str()]).map(drop)
}

/// All environments, in name order.
pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Record>> {
    let mut statement = connection.prepare("SELECT * FROM environments ORDER BY name")?;
    let records = statement.query_map([], record)?;
    records.collect()
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    let code: Option<String> = row.get("error_code")?;
    let message: Option<String> = row.get("error_message")?;
    let web: Option<String> = row.get("web")?;
    let launch: i64 = row.get("launch")?;
    Ok(Record {
        life: Life {
            spec: from_json(&row.get::<_, String>("spec")?)?,
            phase: phase(row)?,
            launch: LaunchId(launch.cast_unsigned()),
            created: Timestamp::from_millis(row.get("created_ms")?),
            last_update: LastUpdate {
                status: parse_update_status(&row.get::<_, String>("update_status")?)?,
                at: Timestamp::from_millis(row.get("update_at_ms")?),
                error: code.zip(message),
                replacement: parse_replacement(&row.get::<_, String>("replacement")?)?,
            },
            forced_once: row.get("forced_once")?,
        },
        queue: row.get("queue")?,
        secrets: Secrets {
            fernet_key: row.get("fernet_key")?,
            web_secret_key: row.get("web_secret_key")?,
            proxy_secret: row.get("proxy_secret")?,
        },
        web: web.and_then(|web| web.parse().ok()),
    })
}

/// The phase's name, and what exists in it: the next description, the launch that runs.
fn phase_columns(phase: &Phase) -> (&'static str, Option<&Spec>, Option<LaunchId>) {
    match phase {
        Phase::Creating => ("creating", None, None),
        Phase::CreationInterrupted => ("creation interrupted", None, None),
        Phase::CreateFailed => ("create failed", None, None),
        Phase::Available { live } => ("available", None, Some(*live)),
        Phase::Updating { next } => ("updating", next.as_deref(), None),
        Phase::Snapshotting { next } => ("snapshotting", Some(next), None),
        Phase::Adjusting { live, next } => ("adjusting", Some(next), Some(*live)),
        Phase::RollingBack { live } => ("rolling back", None, *live),
        Phase::UpdateFailed { live } => ("update failed", None, Some(*live)),
        Phase::Unavailable { next } => ("unavailable", next.as_deref(), None),
        Phase::Deleting => ("deleting", None, None),
        Phase::Deleted => ("deleted", None, None),
    }
}

fn phase(row: &Row<'_>) -> rusqlite::Result<Phase> {
    let next = || -> rusqlite::Result<Option<Box<Spec>>> {
        let text: Option<String> = row.get("next_spec")?;
        text.map(|text| from_json(&text).map(Box::new)).transpose()
    };
    let known_next = || next()?.ok_or_else(|| unreadable("the next description is missing".into()));
    let live = || -> rusqlite::Result<LaunchId> {
        let live: i64 = row.get("live")?;
        Ok(LaunchId(live.cast_unsigned()))
    };
    let still_live = || -> rusqlite::Result<Option<LaunchId>> {
        let live: Option<i64> = row.get("live")?;
        Ok(live.map(|live| LaunchId(live.cast_unsigned())))
    };
    let name: String = row.get("phase")?;
    Ok(match name.as_str() {
        "creating" => Phase::Creating,
        "creation interrupted" => Phase::CreationInterrupted,
        "create failed" => Phase::CreateFailed,
        "available" => Phase::Available { live: live()? },
        "updating" => Phase::Updating { next: next()? },
        "snapshotting" => Phase::Snapshotting { next: known_next()? },
        "adjusting" => Phase::Adjusting { live: live()?, next: known_next()? },
        "rolling back" => Phase::RollingBack { live: still_live()? },
        "update failed" => Phase::UpdateFailed { live: live()? },
        "unavailable" => Phase::Unavailable { next: next()? },
        "deleting" => Phase::Deleting,
        "deleted" => Phase::Deleted,
        other => return Err(unreadable(format!("no phase is called `{other}`").into())),
    })
}

fn update_status(status: UpdateStatus) -> &'static str {
    match status {
        UpdateStatus::Success => "success",
        UpdateStatus::Pending => "pending",
        UpdateStatus::Failed => "failed",
    }
}

fn parse_update_status(name: &str) -> rusqlite::Result<UpdateStatus> {
    match name {
        "success" => Ok(UpdateStatus::Success),
        "pending" => Ok(UpdateStatus::Pending),
        "failed" => Ok(UpdateStatus::Failed),
        other => Err(unreadable(format!("no update status is called `{other}`").into())),
    }
}

fn replacement(replacement: Replacement) -> &'static str {
    match replacement {
        Replacement::Forced => "forced",
        Replacement::Graceful => "graceful",
    }
}

fn parse_replacement(name: &str) -> rusqlite::Result<Replacement> {
    match name {
        "forced" => Ok(Replacement::Forced),
        "graceful" => Ok(Replacement::Graceful),
        other => Err(unreadable(format!("no replacement is called `{other}`").into())),
    }
}

fn to_json(spec: &Spec) -> String {
    serde_json::to_string(spec).expect("a description is plain data")
}

fn from_json(text: &str) -> rusqlite::Result<Spec> {
    serde_json::from_str(text).map_err(|error| unreadable(Box::new(error)))
}

fn unreadable(cause: Box<dyn std::error::Error + Send + Sync>) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, cause)
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn every_phase_is_read_back_as_it_was_written() {
        let connection = Connection::open_in_memory().unwrap();
        for step in SCHEMA.steps {
            connection.execute_batch(step).unwrap();
        }
        let spec = Box::new(sample::spec("dev"));
        let next = Some(spec.clone());
        for phase in [
            Phase::Creating,
            Phase::CreationInterrupted,
            Phase::CreateFailed,
            Phase::Available { live: LaunchId(3) },
            Phase::Updating { next: next.clone() },
            Phase::Updating { next: None },
            Phase::Snapshotting { next: spec.clone() },
            Phase::Adjusting { live: LaunchId(3), next: spec },
            Phase::RollingBack { live: None },
            Phase::RollingBack { live: Some(LaunchId(1)) },
            Phase::UpdateFailed { live: LaunchId(2) },
            Phase::Unavailable { next },
            Phase::Unavailable { next: None },
            Phase::Deleting,
            Phase::Deleted,
        ] {
            let now = Timestamp::from_millis(1_700_000_000_123);
            let (mut life, _) = Life::begin(sample::spec("dev"), now);
            life.phase = phase;
            life.last_update.status = UpdateStatus::Failed;
            life.last_update.replacement = Replacement::Graceful;
            life.forced_once = true;
            life.last_update.error = Some(("CODE".to_owned(), "why".to_owned()));
            let secrets = Secrets {
                fernet_key: "f".to_owned(),
                web_secret_key: "w".to_owned(),
                proxy_secret: "p".to_owned(),
            };
            let web = Some("127.0.0.1:8080".parse().unwrap());
            let written = Record { life, queue: "airflow-celery-1".to_owned(), secrets, web };
            put(&connection, &written).unwrap();
            let read = all(&connection).unwrap().remove(0);
            assert_eq!(read.life, written.life);
            assert_eq!((read.queue, read.web), (written.queue, written.web));
            assert_eq!(read.secrets.fernet_key, "f");
        }
        remove(&connection, &EnvironmentName::parse("dev").unwrap()).unwrap();
        assert!(all(&connection).unwrap().is_empty());
    }
}
