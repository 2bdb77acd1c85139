//! `windtunnel run`: one run of a DAG, task by task, without a scheduler.
//!
//! The run and how it is shown are `python/windtunnel_run.py` and `runtime/python/windtunnel_show.py`.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::failure::Failure;
use super::{Place, workbench};
use crate::runtime::process::workbench::Run as Call;

/// Run one DAG from beginning to end, here and now, without a scheduler
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel run hello\n  \
    windtunnel run etl --conf '{\"day\": \"2024-01-01\"}' --logs\n  \
    windtunnel run etl --from transform --logical-date 2024-01-01\n  \
    windtunnel run etl --record before.json && windtunnel run etl --diff before.json\n\n\
    Needs no running windtunnel; the AWS services of one that runs are used. The run has an empty database of its\n\
    own, and its retries follow at once. Exits with 1 when the run fails, or differs from the recording.")]
pub(super) struct Run {
    /// The DAG's id
    dag_id: String,
    /// What the run is given, as JSON
    #[arg(long, value_name = "JSON")]
    conf: Option<String>,
    /// The run's logical date [default: now]
    #[arg(long, value_name = "TIME")]
    logical_date: Option<String>,
    /// Run this task alone
    #[arg(long, value_name = "TASK", conflicts_with = "from")]
    task: Option<String>,
    /// Run this task and all that follow it
    #[arg(long, value_name = "TASK")]
    from: Option<String>,
    /// Tasks whose id has a match are taken for done
    #[arg(long, value_name = "REGEX")]
    mark_success_pattern: Option<String>,
    /// Show what tasks print as they print it; with a name, that task's whole log at the end
    #[arg(long, value_name = "TASK", num_args = 0..=1, default_missing_value = "")]
    logs: Option<String>,
    /// Write states, `XComs` and rendered templates to a file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Run as a recording was made (date and conf), and tell what differs from it
    #[arg(long, value_name = "FILE")]
    diff: Option<PathBuf>,
    /// The result as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(place: &Place, asked: &Run) -> Result<ExitCode, Failure> {
    let conf = match &asked.conf {
        None => Value::Null,
        Some(text) => serde_json::from_str(text).map_err(|error| {
            Failure::cannot("read --conf", &error, "give one JSON object: '{\"name\": \"Ada\"}'")
        })?,
    };
    let config = workbench::config(place)?;
    let bench = workbench::open(place, &config).await.map_err(|e| workbench::unfit(&e))?;
    let session = workbench::session(&bench)?;
    let mut env = session.variables();
    env.extend(workbench::services(place, &config, true).await);
    let absolute = |path: &Option<PathBuf>| path.as_ref().map(|p| place.machine.folder.join(p));
    let request = json!({
        "dag_id": asked.dag_id,
        "dags": config.layout.dags,
        "plugins": bench.plugins,
        "conf": conf,
        "logical_date": asked.logical_date,
        "task": asked.task,
        "from": asked.from,
        "mark_success": asked.mark_success_pattern,
        "logs": match asked.logs.as_deref() {
            None => Value::Bool(false),
            Some("") => Value::Bool(true),
            Some(task) => json!(task),
        },
        "record": absolute(&asked.record),
        "diff": absolute(&asked.diff),
        "json": asked.json,
    });
    let call = Call {
        call: Some("windtunnel_show:main".to_owned()),
        argv: vec![request.to_string()],
        env,
        cwd: Some(session.folder().to_owned()),
        tty: workbench::terminal(),
        stdin: false,
    };
    workbench::relay(&bench, &call).await
}
