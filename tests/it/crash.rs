//! `kill -9` while a DAG runs, then `up`: no orphans, nothing lost, and the run ends as Airflow defines.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::{FIRST_AIRFLOW, Project, airflow_turn, figure, wait_for};

/// Its task never ends on the first try. The retry, which only a detected death brings, ends at once.
const LONG: &str = r#"from datetime import datetime, timedelta

from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def long():
    @task(retries=1, retry_delay=timedelta(seconds=0))
    def stay(ti=None):
        import time

        if ti.try_number == 1:
            time.sleep(3600)  # a task that is still there when windtunnel is killed
        return f"done on try {ti.try_number}"

    stay()


long()
"#;

/// Airflow looks for dead tasks every 10 s and believes a task dead after 5 minutes; here sooner, by its own options.
const SOONER: &str = r#"[environment]
AirflowVersion = "2.10.3"
AirflowConfigurationOptions = { "scheduler.scheduler_zombie_task_threshold" = "15", "scheduler.zombie_detection_interval" = "3", "scheduler.local_task_job_heartbeat_sec" = "3", "scheduler.scheduler_health_check_threshold" = "10", "scheduler.scheduler_heartbeat_sec" = "2", "scheduler.orphaned_tasks_check_interval" = "5" }
"#;

fn alive(pid: &Value) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !text.is_empty() && !text.contains(") Z ")
}

#[test]
fn kill_nine_while_a_dag_runs_loses_nothing() {
    let _turn = airflow_turn();
    let project = Project::empty("crash");
    project.write("dags/long.py", LONG);
    project.write("windtunnel.toml", SOONER);
    let up = project.up_with_airflow();
    let started = up.python("journey.py", &["start_long", "crash"]);
    let started: Value =
        serde_json::from_str(started.lines().next().unwrap_or_default()).expect("it prints JSON");
    let (run, pid) = (started["run"].as_str().expect("a run id"), started["pid"].clone());
    assert!(alive(&pid), "the task runs");
    up.python("sqs.py", &["fill", "kept", "25"]);
    let before =
        up.aws(&["s3api", "list-object-versions", "--bucket", "windtunnel-crash-123456789012"]);
    assert!(before.contains("dags/long.py"), "{before}");

    up.kill_nine();
    project.nothing_runs(Duration::from_secs(30));
    assert!(!alive(&pid), "the task's process went with it");

    let up = project.up_with_airflow();
    figure("up after kill -9 to AVAILABLE", &format!("{:.2} s", up.began.elapsed().as_secs_f64()));
    let after =
        up.aws(&["s3api", "list-object-versions", "--bucket", "windtunnel-crash-123456789012"]);
    assert_eq!(before, after, "versions are what they were");
    up.python("sqs.py", &["kept", "kept", "25"]);
    up.python("journey.py", &["end_long", "crash", run]);
    let (status, said) = up.stop();
    assert!(status.success(), "{said}");
    project.nothing_runs(Duration::from_secs(10));
}

#[test]
fn kill_nine_during_the_start_is_cleaned_up() {
    let _turn = airflow_turn();
    let project = Project::small("early");
    let up = project.up(&[]);
    // PostgreSQL runs, Airflow does not yet: the moment with the most half-made things.
    up.wait_line("the components are being started", FIRST_AIRFLOW, |line| {
        line.to_string().contains("components")
    });
    up.kill_nine();
    project.nothing_runs(Duration::from_secs(30));
    let up = project.up_with_airflow();
    up.python("journey.py", &["runs", "early", "small"]);
}

#[test]
fn a_stop_during_the_start_leaves_nothing_running() {
    let _turn = airflow_turn();
    let project = Project::small("stopped");
    for part in ["zygote.py", "startup.sh"] {
        if part == "startup.sh" {
            project.write(
                "startup_script/startup.sh",
                "export A=1\nsleep 3600  # a task that is there when windtunnel stops\n",
            );
        }
        let up = project.up(&[]);
        wait_for(part, FIRST_AIRFLOW, || {
            project.processes().iter().any(|process| process.contains(part)).then_some(())
        });
        let (status, said) = up.stop();
        assert!(status.success(), "{said}");
        // At once: who reads "stopped" may remove the folder, or start again.
        assert_eq!(project.processes(), Vec::<String>::new(), "while {part} was starting");
    }
}
