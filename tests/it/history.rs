//! `windtunnel versions`, `diff` and `restore` of a project's file.

use std::fs;

use serde_json::Value;

use crate::support::{Project, finished, told};

const BUCKET: &str = "s3://windtunnel-history-123456789012";

/// A project whose bucket has these versions of `dags/etl.py`, the newest first in the answer.
fn versions(project: &Project) -> Vec<Value> {
    let told: Value =
        serde_json::from_str(&project.run(&["versions", "dags/etl.py", "--json"])).expect("JSON");
    told["versions"].as_array().expect("it lists them").clone()
}

#[test]
fn a_file_goes_back_to_what_it_was() {
    let project = Project::empty("history");
    // Without Airflow nothing is mirrored, so what the folder holds is ours to say.
    let up = project.up_without_airflow();
    up.aws(&["s3", "mb", BUCKET]);
    let versioned = ["--versioning-configuration", "Status=Enabled"];
    let bucket = ["--bucket", &BUCKET["s3://".len()..]];
    up.aws(&[&["s3api", "put-bucket-versioning"][..], &bucket, &versioned].concat());
    for text in ["a = 1\nb = 2\n", "a = 1\nb = 3\n"] {
        project.write("etl.py", text);
        up.aws(&["s3", "cp", "etl.py", &format!("{BUCKET}/dags/etl.py")]);
    }
    // A longer name that begins the same is another file.
    up.aws(&["s3", "cp", "etl.py", &format!("{BUCKET}/dags/etl.py.bak")]);

    let listed = versions(&project);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert_eq!(listed[0]["is_latest"], true);
    let first = listed[1]["version_id"].as_str().expect("an id").to_owned();
    let table = project.run(&["versions", "dags/etl.py"]);
    assert!(table.contains(&first) && table.contains("current"), "{table}");

    let diff = project.run(&["diff", "dags/etl.py"]);
    assert!(diff.contains("\n-b = 2\n+b = 3\n"), "{diff}");
    let diff: Value =
        serde_json::from_str(&project.run(&["diff", "dags/etl.py", "--json"])).expect("JSON");
    assert_eq!((&diff["added_lines"], &diff["removed_lines"]), (&1.into(), &1.into()), "{diff}");

    project.write("dags/etl.py", "something newer\n");
    let told_it = project.run(&["restore", "dags/etl.py", "--version-id", &first[..8]]);
    assert!(told_it.contains(&first), "{told_it}");
    assert_eq!(fs::read_to_string(project.path("dags/etl.py")).expect("there"), "a = 1\nb = 2\n");

    // Deleted, in the bucket and in the folder: the history is still there, and so is the way back.
    up.aws(&["s3", "rm", &format!("{BUCKET}/dags/etl.py")]);
    fs::remove_file(project.path("dags/etl.py")).expect("it is there");
    let listed = versions(&project);
    assert_eq!(listed[0]["is_delete_marker"], true, "{listed:?}");
    let marker = listed[0]["version_id"].as_str().expect("an id");
    let output =
        finished(&mut project.command(&["restore", "dags/etl.py", "--version-id", marker]));
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    project.run(&["restore", "dags/etl.py", "--version-id", &first]);
    assert!(project.path("dags/etl.py").is_file());
}

#[test]
fn what_has_no_history_says_so() {
    let project = Project::small("none");
    let output = finished(&mut project.command(&["versions", "dags/small.py"]));
    assert!(told(&output).contains("windtunnel up"), "{}", told(&output));
    let up = project.up_without_airflow();
    for (args, code) in [
        (&["versions", "dags/small.py"][..], 1),
        (&["diff", "dags/small.py"], 1),
        (&["restore", "dags/small.py", "--version-id", "x"], 1),
        (&["versions", "windtunnel.toml"], 2),
        (&["versions", "../elsewhere"], 2),
        (&["restore", "dags/small.py"], 2),
    ] {
        let output = finished(&mut project.command(args));
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", told(&output));
    }
    drop(up);
}
