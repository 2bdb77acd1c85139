//! CloudWatch Logs, as boto3, watchtower and the AWS CLI see it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::support::{Project, Steps};

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
