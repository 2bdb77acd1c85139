//! `windtunnel status`: what runs, and where it listens.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::client::Client;
use super::failure::Failure;
use super::{Place, terminal};
use crate::runtime::process::workbench::Workbench;

/// Show what runs for this project, and where it listens
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel status\n  \
    windtunnel status --json | jq -r '.environments[0].webserver_url'\n\n\
    Exits with 1 when nothing runs.")]
pub(super) struct Status {
    /// The same for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(place: &Place, asked: &Status) -> Result<ExitCode, Failure> {
    let state = place.state()?;
    let (_, mut status) = Client::needed(&state).await?;
    if let Some(bench) = Workbench::find(&state).await
        && let Ok((pid, children)) = bench.ping().await
    {
        status["warm_interpreter"] = json!({ "pid": pid, "children": children });
    }
    if asked.json {
        terminal::result(&status.to_string());
    } else {
        terminal::raw_result(table(&status).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

fn table(status: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = String::new();
    let mut line = |words: String| {
        out.push_str(words.trim_end());
        out.push('\n');
    };
    line(format!("AWS      {}", text(&status["aws_endpoint"])));
    line(format!("console  {}", text(&status["console"])));
    line(format!("pid      {} ({} runtime)", status["pid"], text(&status["runtime"])));
    if let Some(pid) = status["warm_interpreter"]["pid"].as_u64() {
        line(format!("warm     pid {pid} (of check, test and run; ends when idle)"));
    }
    for environment in status["environments"].as_array().into_iter().flatten() {
        let web = environment["webserver_url"].as_str();
        line(format!(
            "\n{}  {}  Airflow {}{}  s3://{}",
            text(&environment["name"]),
            text(&environment["status"]),
            text(&environment["airflow_version"]),
            web.map(|web| format!("  https://{web}")).unwrap_or_default(),
            text(&environment["bucket"]),
        ));
        if let Some(message) = environment["reason"]["message"].as_str() {
            line(format!("  {message}"));
        }
        for component in environment["components"].as_array().into_iter().flatten() {
            let pid =
                component["pid"].as_u64().map_or("down".to_owned(), |pid| format!("pid {pid}"));
            let name = text(&component["name"]);
            let restarts = component["restarts"].as_u64().unwrap_or(0);
            let again =
                if restarts > 0 { format!("  restarted {restarts}x") } else { String::new() };
            let leaving = if component["leaving"] == true { "  leaves when done" } else { "" };
            line(format!("  {name:<14} {pid}{again}{leaving}"));
        }
        let workers = &environment["workers"];
        if let Some(slots) = workers["slots"].as_u64() {
            line(format!(
                "  workers        {} ({} to {}) with {slots} slots each; {} tasks queued, {} running",
                workers["count"],
                workers["min"],
                workers["max"],
                workers["queued"],
                workers["running"],
            ));
        }
        for error in environment["import_errors"].as_array().into_iter().flatten() {
            line(format!(
                "  {}:{}: {}",
                text(&error["file"]),
                error["line"],
                text(&error["message"])
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_shows_what_runs_and_what_does_not_import() {
        let status = serde_json::json!({
            "aws_endpoint": "http://127.0.0.1:4570", "console": "http://127.0.0.1:4571",
            "pid": 7, "runtime": "process",
            "environments": [{
                "name": "hello", "status": "AVAILABLE", "webserver_url": "localhost:8080",
                "airflow_version": "2.10.3", "bucket": "windtunnel-hello", "reason": null,
                "components": [
                    { "name": "scheduler", "pid": 11, "restarts": 0, "log": "" },
                    { "name": "worker-1", "pid": null, "restarts": 2, "log": "" },
                    { "name": "worker-2", "pid": 12, "restarts": 0, "leaving": true, "log": "" },
                ],
                "workers": { "count": 1, "min": 1, "max": 10, "slots": 5, "queued": 3, "running": 5 },
                "import_errors": [
                    { "file": "dags/a.py", "line": 3, "message": "NameError: name 'x' is not defined" },
                ],
            }],
        });
        insta::assert_snapshot!(table(&status), @r"
        AWS      http://127.0.0.1:4570
        console  http://127.0.0.1:4571
        pid      7 (process runtime)

        hello  AVAILABLE  Airflow 2.10.3  https://localhost:8080  s3://windtunnel-hello
          scheduler      pid 11
          worker-1       down  restarted 2x
          worker-2       pid 12  leaves when done
          workers        1 (1 to 10) with 5 slots each; 3 tasks queued, 5 running
          dags/a.py:3: NameError: name 'x' is not defined
        ");
    }
}
