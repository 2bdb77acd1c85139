//! Celery workers come and go with the work, and no task suffers from it.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::support::{Project, SOON, Steps, Windtunnel, airflow_turn, figure, wait_for};

/// Tasks that only sleep, as many and as long as a run's configuration says.
const SLEEPERS: &str = r#"from datetime import datetime, timedelta

from airflow.decorators import dag, task


@dag(
    schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False, max_active_tasks=40,
    default_args={"retries": 2, "retry_delay": timedelta(seconds=0)},
)
def sleepers():
    @task
    def naps(dag_run=None):
        return [dag_run.conf["seconds"]] * dag_run.conf["count"]

    @task
    def nap(seconds):
        import time

        time.sleep(seconds)  # a task's whole work

    nap.expand(seconds=naps())


sleepers()
"#;

/// The smallest class that scales, and a killed task's death noticed sooner than after Airflow's five minutes.
const SETTINGS: &str = r#"[environment]
AirflowVersion = "2.10.3"
EnvironmentClass = "mw1.small"
MaxWorkers = 3
AirflowConfigurationOptions = { "scheduler.scheduler_zombie_task_threshold" = "10", "scheduler.zombie_detection_interval" = "3", "scheduler.local_task_job_heartbeat_sec" = "2", "scheduler.orphaned_tasks_check_interval" = "5", "scheduler.scheduler_health_check_threshold" = "10", "scheduler.scheduler_heartbeat_sec" = "2" }
"#;

fn workers(up: &Windtunnel<'_>) -> Value {
    up.status()["environments"][0]["workers"].clone()
}

/// Process ids of the workers that are there, those that leave included.
fn processes(up: &Windtunnel<'_>) -> Vec<(String, i32)> {
    let status = up.status();
    let components = status["environments"][0]["components"].as_array().cloned();
    let workers = components.into_iter().flatten().filter_map(|component| {
        let name = component["name"].as_str()?.strip_prefix("worker-")?.to_owned();
        Some((name, i32::try_from(component["pid"].as_i64()?).ok()?))
    });
    workers.collect()
}

fn reach(up: &Windtunnel<'_>, count: u64) {
    wait_for(&format!("there are {count} workers"), SOON, || {
        (workers(up)["count"] == count && processes(up).len() as u64 == count).then_some(())
    });
}

fn start(up: &Windtunnel<'_>, count: u32, seconds: u32) -> String {
    let said =
        up.python("workers.py", &["start", "herd", &count.to_string(), &seconds.to_string()]);
    said.lines().next().unwrap_or_default().to_owned()
}

/// Memory that a process and its children do not share with others, in megabytes.
fn proportional_mb(pid: i32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kb = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    kb.and_then(|kb| kb.split_whitespace().next()?.parse::<f64>().ok()).unwrap_or_default() / 1024.0
}

#[test]
fn workers_come_and_go_with_the_work_and_no_task_fails_of_it() {
    let _turn = airflow_turn();
    let project = Project::empty("herd");
    project.write("dags/sleepers.py", SLEEPERS);
    project.write("windtunnel.toml", SETTINGS);
    let up = project.up_with_airflow();
    let mut steps = Steps::default();

    steps.step("thirty tasks bring three workers, which share them", || {
        assert_eq!(processes(&up).len(), 1, "one worker to begin with");
        let began = std::time::Instant::now();
        let run = start(&up, 30, 2);
        reach(&up, 3);
        figure("three workers after", &format!("{:.1} s", began.elapsed().as_secs_f64()));
        up.python("workers.py", &["ended_at_first_try", "herd", &run, "3"]);
        figure("thirty naps of 2 s took", &format!("{:.1} s", began.elapsed().as_secs_f64()));
    });
    steps.step("only idle workers leave, and tasks that run go on", || {
        // Four tasks fit into one worker, and may be anywhere: whoever runs one stays until it is done.
        let run = start(&up, 4, 11);
        let idle = processes(&up).last().map(|(_, pid)| proportional_mb(*pid)).unwrap_or_default();
        figure("a further worker that is idle, PSS", &format!("{idle:.0} MB"));
        up.python("workers.py", &["ended_at_first_try", "herd", &run, "0"]);
        reach(&up, 1);
    });
    steps.step("a killed worker comes back, and its messages with it", || {
        let run = start(&up, 6, 4);
        wait_for("tasks run", SOON, || (workers(&up)["running"].as_u64()? >= 5).then_some(()));
        let (name, killed) = processes(&up).remove(0);
        kill(Pid::from_raw(killed), Signal::SIGKILL).expect("it is there");
        wait_for("another one takes its place", SOON, || {
            processes(&up).into_iter().find(|(same, pid)| *same == name && *pid != killed)
        });
        up.python("workers.py", &["ended", "herd", &run]);
        wait_for("nothing is left behind", SOON, || (workers(&up)["running"] == 0).then_some(()));
    });
    steps.step("a graceful update lets tasks finish on the worker that runs them", || {
        // MWAA takes no graceful update before a forced one.
        up.python("workers.py", &["update", "herd", "FORCED"]);
        let run = start(&up, 3, 15);
        wait_for("tasks run", SOON, || (workers(&up)["running"] == 3).then_some(()));
        let before = processes(&up).remove(0);
        up.python("workers.py", &["update", "herd", "GRACEFUL"]);
        assert_eq!(workers(&up)["count"], 1, "only the new worker counts");
        let other = start(&up, 1, 0);
        up.python("workers.py", &["ended_at_first_try", "herd", &other, "1"]);
        up.python("workers.py", &["ended_at_first_try", "herd", &run, "1"]);
        wait_for("the old worker is gone", SOON, || {
            (!processes(&up).contains(&before)).then_some(())
        });
        reach(&up, 1);
    });
    steps.step("kill -9 of windtunnel while workers are being added loses no task", || {
        let run = start(&up, 16, 3);
        reach(&up, 3);
        up.kill_nine();
        project.nothing_runs(Duration::from_secs(30));
        let again = project.up_with_airflow();
        again.python("workers.py", &["ended", "herd", &run]);
    });
    steps.finish();
}
