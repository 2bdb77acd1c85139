//! What runs: the answer behind `windtunnel status --json`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Surroundings;
use super::import_errors::{ImportError, parted};
use super::launches::{Launches, Step};
use crate::airflow::classes::class_of;
use crate::environment::Environment;
use crate::id::{EnvironmentName, ObjectKey};

#[derive(Debug, Serialize)]
pub(super) struct Overview {
    aws_endpoint: String,
    console: String,
    pid: u32,
    runtime: &'static str,
    environments: Vec<EnvironmentStatus>,
}

#[derive(Debug, Serialize)]
struct EnvironmentStatus {
    name: String,
    status: &'static str,
    /// Host and port, as `WebserverUrl` in the API's answers; null until a listener is bound.
    webserver_url: Option<String>,
    airflow_version: String,
    bucket: String,
    /// Why the last creation or update failed; null when it did not.
    reason: Option<Reason>,
    components: Vec<ComponentStatus>,
    workers: WorkersStatus,
    import_errors: Vec<ImportError>,
    /// The stages of the newest launch.
    launch: Vec<Step>,
}

#[derive(Debug, Serialize)]
struct Reason {
    code: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct ComponentStatus {
    name: String,
    pid: Option<u32>,
    restarts: u32,
    /// A worker that ends once it has finished what it runs.
    leaving: bool,
    log: String,
}

/// The Celery workers together, and what they have to do.
#[derive(Debug, Serialize)]
struct WorkersStatus {
    /// Those that stay; others may still be finishing what they run.
    count: usize,
    min: u32,
    max: u32,
    /// Tasks that each runs at once; null while none runs.
    slots: Option<u32>,
    /// Tasks that wait for a worker.
    queued: u64,
    /// Tasks that a worker has taken.
    running: u64,
}

fn workers(around: &Surroundings, environment: &Environment) -> WorkersStatus {
    let spec = &environment.spec;
    let (min, max) = class_of(&spec.class).workers((spec.min_workers, spec.max_workers));
    let there = around.runtime.workers(&spec.name);
    let there = there.borrow();
    let work = around.environments.work(&spec.name).map(|work| *work.borrow()).unwrap_or_default();
    WorkersStatus {
        count: there.iter().filter(|worker| !worker.leaving).count(),
        min,
        max,
        slots: there.first().map(|worker| worker.slots),
        queued: work.queued,
        running: work.running,
    }
}

/// Everything as it is now. `errors`: the DAG files that do not import.
pub(super) fn of(
    around: &Surroundings,
    errors: &BTreeMap<(EnvironmentName, ObjectKey), String>,
    launches: &Launches,
) -> Overview {
    let environments = around.environments.list();
    let known = environments.iter().filter_map(|name| around.environments.get(name));
    Overview {
        aws_endpoint: format!("http://{}", around.addresses.aws),
        console: format!("http://{}", around.addresses.console),
        pid: std::process::id(),
        runtime: "process",
        environments: known.map(|environment| one(around, environment, errors, launches)).collect(),
    }
}

fn one(
    around: &Surroundings,
    environment: Environment,
    errors: &BTreeMap<(EnvironmentName, ObjectKey), String>,
    launches: &Launches,
) -> EnvironmentStatus {
    let name = &environment.spec.name;
    let components = around.runtime.components(name).into_iter().map(|state| ComponentStatus {
        name: state.name(),
        pid: state.pid,
        restarts: state.restarts,
        leaving: state.leaving,
        log: state.log.display().to_string(),
    });
    let import_errors = errors
        .iter()
        .filter(|((owner, _), _)| owner == name)
        .map(|((_, key), said)| parted(key, said));
    EnvironmentStatus {
        status: environment.status.name(),
        webserver_url: environment.web.map(|address| format!("localhost:{}", address.port())),
        reason: environment
            .last_update
            .error
            .clone()
            .map(|(code, message)| Reason { code, message }),
        components: components.collect(),
        workers: workers(around, &environment),
        import_errors: import_errors.collect(),
        launch: launches.of(name),
        name: name.to_string(),
        airflow_version: environment.spec.airflow_version,
        bucket: environment.spec.bucket.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page's own types are held against this sample (`ui/src/wire.test.ts`).
    #[test]
    fn the_sample_of_a_status_is_one() {
        let overview = Overview {
            aws_endpoint: "http://127.0.0.1:4570".to_owned(),
            console: "http://127.0.0.1:4571".to_owned(),
            pid: 4242,
            runtime: "process",
            environments: vec![EnvironmentStatus {
                name: "hello".to_owned(),
                status: "UPDATE_FAILED",
                webserver_url: Some("localhost:8080".to_owned()),
                airflow_version: "2.10.3".to_owned(),
                bucket: "windtunnel-hello".to_owned(),
                reason: Some(Reason {
                    code: "INCORRECT_CONFIGURATION".to_owned(),
                    message: "cannot resolve requirements.txt".to_owned(),
                }),
                components: vec![ComponentStatus {
                    name: "scheduler".to_owned(),
                    pid: Some(4243),
                    restarts: 0,
                    leaving: false,
                    log: "logs/scheduler.log".to_owned(),
                }],
                workers: WorkersStatus {
                    count: 1,
                    min: 1,
                    max: 10,
                    slots: Some(5),
                    queued: 0,
                    running: 0,
                },
                import_errors: vec![ImportError {
                    file: "dags/broken.py".to_owned(),
                    line: 4,
                    message: "NameError: name 'x' is not defined".to_owned(),
                }],
                launch: vec![Step::sample()],
            }],
        };
        let told = serde_json::to_string_pretty(&overview).unwrap() + "\n";
        let kept = include_str!("../../../fixtures/console/status.json");
        assert_eq!(told, kept, "fixtures/console/status.json is no longer what status says");
    }
}
