//! What Airflow made of an environment's DAG files, and what happened lately.

use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::failure::Failure;
use super::{Surroundings, json, query};
use crate::api::wire::Response;
use crate::delivery;
use crate::environment::Environment;
use crate::limits::EVENTS_BATCH;

/// A DAG file as Airflow last read it.
#[derive(Debug, Serialize)]
struct FileTold {
    /// Below the dags directory.
    path: String,
    /// Where it comes from.
    bucket: String,
    key: String,
    dag_ids: Vec<String>,
    error: Option<ErrorTold>,
}

#[derive(Debug, Serialize)]
struct ErrorTold {
    message: String,
    /// Below the dags directory where it lies there.
    file: String,
    line: u32,
    traceback: String,
}

/// `GET /environments/NAME/files`.
pub(super) async fn files(
    around: &Surroundings,
    environment: &Environment,
) -> Result<Response, Failure> {
    let spec = &environment.spec;
    let outcomes = delivery::outcomes(&around.db, &spec.name).await?;
    let told = outcomes.into_iter().map(|outcome| {
        let path = outcome.path.display().to_string();
        FileTold {
            bucket: spec.bucket.to_string(),
            key: format!("{}/{path}", spec.dag_path.trim_matches('/')),
            path,
            dag_ids: outcome.dag_ids,
            error: outcome.error.map(|error| ErrorTold {
                message: error.message,
                file: error.file.display().to_string(),
                line: error.line,
                traceback: error.traceback,
            }),
        }
    });
    Ok(json(StatusCode::OK, &told.collect::<Vec<_>>()))
}

/// `GET /journal?count=N`: the newest events, the oldest of them first.
pub(super) async fn journal(around: &Surroundings, uri: &Uri) -> Result<Response, Failure> {
    let count = query::number(uri, "count", u64::from(EVENTS_BATCH))?;
    let mut after = around.db.journal().last().saturating_sub(count);
    let mut told: Vec<Value> = Vec::new();
    loop {
        let events = around.db.events_after(after, EVENTS_BATCH).await?;
        let Some(last) = events.last() else { break };
        after = last.seq;
        told.extend(events.iter().map(|numbered| {
            let mut body = serde_json::to_value(&numbered.event).expect("an event is plain data");
            body["seq"] = numbered.seq.into();
            body["at"] = numbered.at.as_millis().into();
            body
        }));
    }
    Ok(json(StatusCode::OK, &told))
}
