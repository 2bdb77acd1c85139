//! The console as a person uses it: Chromium on the real binary and a real Airflow.
//!
//! What is looked at and clicked stands in `ui/tests/journey.mjs`; its pictures go to `tests/screenshots/`.

use std::path::Path;
use std::process::Command;

use crate::support::{Project, Windtunnel, airflow_turn, finished, repository, told};

/// Runs a script of `ui/tests` against this windtunnel; its checks are the test.
fn browse(up: &Windtunnel<'_>, script: &str) {
    let ui = repository().join("ui");
    let built = ui.join("dist/app/index.html").exists() && ui.join("node_modules").exists();
    assert!(built, "the console is not built; `make ui` does it, and `make test` before the tests");
    let console = up.status()["console"].as_str().expect("status has it").to_owned();
    let mut node = Command::new("node");
    node.arg(Path::new("tests").join(script))
        .current_dir(&ui)
        .env("CONSOLE_URL", console)
        .env("ENVIRONMENT", "hello")
        .env("PROJECT", up.project.root())
        .env("SCREENSHOTS", repository().join("tests/screenshots"));
    let output = finished(&mut node);
    let said = String::from_utf8_lossy(&output.stdout);
    for line in
        said.lines().filter(|line| line.starts_with("figure: ") || line.starts_with("step: "))
    {
        println!("{line}");
    }
    assert!(output.status.success(), "{script}: {}", told(&output));
}

#[test]
fn a_person_finds_and_does_everything_in_the_console() {
    let _turn = airflow_turn();
    let project = Project::hello();
    let up = project.up_with_airflow();
    browse(&up, "journey.mjs");
}

#[test]
fn an_empty_project_shows_what_to_do_next_and_many_objects_stay_quick() {
    let project = Project::empty("empty");
    let up = project.up_without_airflow();
    up.aws(&["s3", "mb", "s3://many-versions"]);
    let on = ["--versioning-configuration", "Status=Enabled"];
    up.aws(&[&["s3api", "put-bucket-versioning", "--bucket", "many-versions"], &on[..]].concat());
    browse(&up, "alone.mjs");
}
