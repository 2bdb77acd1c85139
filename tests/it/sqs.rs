//! The SQS endpoint, as boto3 (AWS JSON 1.0) and older SDKs (query protocol) see it.

use crate::support::Project;

/// A case of `clients/sqs.py` against a windtunnel of its own.
fn boto3(case: &str) {
    let project = Project::empty("sqs");
    project.up_without_airflow().python("sqs.py", &[case]);
}

#[test]
fn queues_are_made_found_and_deleted() {
    boto3("queues");
}

#[test]
fn a_message_is_sent_hidden_and_deleted() {
    boto3("messages");
}

#[test]
fn a_message_not_deleted_comes_back() {
    boto3("visibility");
}

#[test]
fn a_long_poll_wakes_at_once() {
    boto3("long_poll");
}

#[test]
fn batches_are_answered_entry_by_entry() {
    boto3("batches");
}

#[test]
fn a_delayed_message_comes_later() {
    boto3("delayed");
}

#[test]
fn the_query_protocol_is_spoken_too() {
    boto3("query_protocol");
}

#[test]
fn messages_survive_kill_nine() {
    let project = Project::empty("sqs");
    let up = project.up_without_airflow();
    up.python("sqs.py", &["fill", "kept", "25"]);
    up.kill_nine();
    project.up_without_airflow().python("sqs.py", &["kept", "kept", "25"]);
}

#[test]
fn the_aws_cli_sends_and_receives() {
    let project = Project::empty("sqs");
    let up = project.up_without_airflow();
    // For `aws sqs` the AWS CLI v1 knows addresses of its own, which only this option replaces; v2 needs no option.
    let address = up.aws_endpoint();
    let sqs = |args: &[&str]| up.aws_json(&[&["sqs", "--endpoint-url", &address], args].concat());
    let made = sqs(&["create-queue", "--queue-name", "from-the-cli"]);
    let url = made["QueueUrl"].as_str().expect("create-queue answers with it");
    sqs(&["send-message", "--queue-url", url, "--message-body", "hello"]);
    let got = sqs(&["receive-message", "--queue-url", url]);
    assert_eq!(got["Messages"][0]["Body"], "hello", "{got}");
}
