//! CloudWatch Logs, as boto3, watchtower and the AWS CLI see it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::{Project, Steps, Windtunnel, airflow_turn, figure};

#[test]
fn the_logs_endpoint_serves_boto3_and_watchtower() {
    let project = Project::empty("logs");
    let up = project.up_without_airflow();
    let mut steps = Steps::default();
    for case in ["groups", "pages", "live_tail", "handler"] {
        steps.step(case, || drop(up.python("logs.py", &[case])));
    }
    steps.step("load", || drop(up.python("logs.py", &["load", "5"])));
    steps.finish();
}

#[test]
fn an_acknowledged_line_survives_a_kill() {
    let project = Project::empty("logs-kill");
    let up = project.up_without_airflow();
    let script = crate::support::repository().join("tests/clients/logs.py");
    let mut writer = up
        .client("python")
        .arg(script)
        .arg("kept")
        .env("AWS_MAX_ATTEMPTS", "1")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the clients are installed");
    let mut said = BufReader::new(writer.stdout.take().expect("it was asked for")).lines();
    let number = |line: String| line.rsplit(' ').next().and_then(|word| word.parse::<u32>().ok());
    let mut next = || said.next().and_then(Result::ok).and_then(number);
    while next().is_some_and(|acknowledged| acknowledged < 50) {}
    up.kill_nine();
    let mut last = 50;
    while let Some(acknowledged) = next() {
        last = acknowledged;
    }
    writer.wait().expect("it is our child");
    let again = project.up_without_airflow();
    again.python("logs.py", &["still_there", &last.to_string()]);
}

/// A DAG whose tasks have something to say.
const CHATTY: &str = r#"from datetime import datetime

from airflow.decorators import dag, task

print("imported once more")


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def chatty():
    @task
    def talk():
        import time

        from airflow.hooks.base import BaseHook

        print("the password is", BaseHook.get_connection("shop").password)
        for tick in range(40):
            print(f"tick {tick} at {time.time()}")
            time.sleep(0.2)  # a task that takes its time

    @task
    def fail():
        raise ValueError("no such table")

    talk()
    fail()


chatty()
"#;

const PASSWORD: &str = "hunter2-in-the-shop";

/// Starts it, and gives the first line that holds `words`; then ends it.
fn says(command: &mut Command, act: impl FnOnce(), words: &str) -> String {
    let mut child = command.stdout(Stdio::piped()).spawn().expect("it is installed");
    act();
    let said = BufReader::new(child.stdout.take().expect("it was asked for"));
    let found = said.lines().map_while(Result::ok).find(|line| line.contains(words));
    child.kill().expect("it is our child");
    child.wait().expect("it is our child");
    found.unwrap_or_else(|| panic!("{command:?} never said {words}"))
}

/// Version 2 of the AWS CLI, from the system's packages; version 1 knows no `logs tail`.
fn second_aws(up: &Windtunnel<'_>, args: &[&str]) -> Option<Command> {
    let program = "/usr/bin/aws";
    let version = Command::new(program).arg("--version").output().ok()?;
    if !String::from_utf8_lossy(&version.stdout).starts_with("aws-cli/2") {
        return None;
    }
    let mut command = up.tool(program);
    // Older ones do not read AWS_ENDPOINT_URL.
    command.args(["--endpoint-url", &up.aws_endpoint()]).args(args);
    Some(command)
}

#[test]
fn the_life_of_a_dag_is_in_its_log_groups() {
    let _turn = airflow_turn();
    let project = Project::empty("chat");
    project.write("dags/chatty.py", CHATTY);
    project.write(".env", &format!("AIRFLOW_CONN_SHOP=postgres://shop:{PASSWORD}@db/shop\n"));
    let up = project.up_with_airflow();
    let name = up.status()["environments"][0]["name"].as_str().expect("it has one").to_owned();
    let group = format!("airflow-{name}-Task");
    let mut steps = Steps::default();
    steps.step("a running task is heard within a second", || {
        up.python("logs_airflow.py", &["running", &name]);
    });
    steps.step("every component has its stream", || {
        up.python("logs_airflow.py", &["components", &name]);
    });
    let trigger = || drop(up.python("logs_airflow.py", &["trigger", &name]));
    steps.step("windtunnel logs follows a task", || {
        let mut follow = project.command(&["logs", "chatty/talk", "-f", "-n", "0"]);
        let line = says(&mut follow, trigger, "tick 3 at");
        let line: serde_json::Value = serde_json::from_str(&line).expect("a JSON line in a pipe");
        assert_eq!(line["source"], "task", "{line}");
        let last = project.run(&["logs", "--source", "scheduler", "--grep", "INFO", "-n", "5"]);
        assert!(last.lines().count() == 5 && last.contains("scheduler_"), "{last}");
    });
    the_aws_cli_shows_them(&mut steps, &up, &group);
    steps.step("no secret is in any log", || {
        let secrets = secrets(&up, &name);
        let names: Vec<&String> = secrets.iter().map(|(name, _)| name).collect();
        assert!(names.len() > 8, "{names:?}");
        nothing_holds(&secrets, &up.output(), Path::new("the terminal"));
        for file in files(&project.path(".windtunnel")) {
            let is_log = file.extension().is_some_and(|kind| kind == "log")
                || file
                    .file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with("logs.db"));
            if is_log {
                let bytes = fs::read(&file).unwrap_or_default();
                nothing_holds(&secrets, &String::from_utf8_lossy(&bytes), &file);
            }
        }
    });
    steps.finish();
}

fn the_aws_cli_shows_them(steps: &mut Steps, up: &Windtunnel<'_>, group: &str) {
    let name = group.trim_start_matches("airflow-").trim_end_matches("-Task").to_owned();
    let trigger = || drop(up.python("logs_airflow.py", &["trigger", &name]));
    steps.step("aws logs start-live-tail shows a task's lines", || {
        let account = "arn:aws:logs:us-east-1:123456789012:log-group:";
        let mut tail = up.client("aws");
        tail.args([
            "logs",
            "start-live-tail",
            "--log-group-identifiers",
            &format!("{account}{group}"),
        ]);
        tail.env("PYTHONUNBUFFERED", "1");
        says(&mut tail, trigger, "tick 3 at");
    });
    steps.step("aws logs filter-log-events finds a failure", || {
        let pattern = "\"ValueError: no such table\"";
        let found = up.aws_json(&[
            "logs",
            "filter-log-events",
            "--log-group-name",
            group,
            "--filter-pattern",
            pattern,
        ]);
        let events = found["events"].as_array().expect("a list");
        assert!(!events.is_empty(), "{found}");
    });
    steps.step("aws logs tail --follow shows a task's lines", || {
        let args = ["logs", "tail", group, "--follow", "--since", "1m", "--format", "short"];
        match second_aws(up, &args) {
            Some(mut tail) => drop(says(tail.env("PYTHONUNBUFFERED", "1"), trigger, "tick 3 at")),
            None => figure("aws logs tail", "not tried: /usr/bin/aws is no AWS CLI of version 2"),
        }
    });
}

fn nothing_holds(secrets: &[(String, String)], text: &str, place: &Path) {
    for (name, secret) in secrets {
        assert!(!text.contains(secret.as_str()), "{} holds {name}", place.display());
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .flat_map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => files(&entry.path()),
            Ok(kind) if kind.is_file() => vec![entry.path()],
            _ => Vec::new(),
        })
        .collect()
}

/// Tokens that were used, keys that requests are signed with, what components are told in confidence.
fn secrets(up: &Windtunnel<'_>, name: &str) -> Vec<(String, String)> {
    let mut secrets = vec![("a connection's password".to_owned(), PASSWORD.to_owned())];
    let own = up.variables().remove("AWS_SECRET_ACCESS_KEY");
    secrets.extend(own.map(|secret| ("AWS_SECRET_ACCESS_KEY".to_owned(), secret)));
    let said = up.python("logs_airflow.py", &["tokens", name]);
    let tokens = said.lines().filter_map(|line| line.strip_prefix("secret: "));
    secrets.extend(tokens.map(|token| ("a token".to_owned(), token.to_owned())));
    let status = up.status();
    // The interpreter that all components are forked from: they overwrite theirs with their titles.
    let pid = &status["environments"][0]["components"][0]["pid"];
    let told = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let parent = told.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap_or_default();
    let variables = fs::read(format!("/proc/{}/environ", parent.trim())).unwrap_or_default();
    for variable in String::from_utf8_lossy(&variables).split('\0') {
        let Some((name, value)) = variable.split_once('=') else { continue };
        let secret = ["FERNET_KEY", "SECRET_KEY", "WEB_SECRET", "SECRET_ACCESS_KEY"];
        if secret.iter().any(|end| name.ends_with(end)) && value.len() > 8 {
            secrets.push((name.to_owned(), value.to_owned()));
        }
    }
    secrets
}
