//! The MWAA API where no Airflow needs to run; with Airflow it is in `journeys`.

use crate::support::{Project, START, Windtunnel, path_without_python};

#[test]
fn an_environment_that_is_not_there_is_not_found() {
    let project = Project::empty("mwaa");
    project.up_without_airflow().python("mwaa.py", &["nothing_there"]);
}

#[test]
fn a_create_request_is_checked_member_by_member() {
    let project = Project::empty("mwaa");
    project.up_without_airflow().python("mwaa.py", &["validation"]);
}

#[test]
fn the_aws_cli_lists_environments() {
    let project = Project::empty("mwaa");
    let listed = project.up_without_airflow().aws_json(&["mwaa", "list-environments"]);
    assert_eq!(listed["Environments"], serde_json::json!([]));
}

#[test]
fn every_constraint_of_the_service_model_is_held() {
    let project = Project::empty("mwaa");
    project.up_without_airflow().python("mwaa_contract.py", &["constraints"]);
}

#[test]
fn every_answer_has_the_shape_of_the_service_model() {
    let project = Project::empty("mwaa");
    // Where there is no Python, a creation fails within milliseconds, and says so.
    let mut command = project.up_command(&["--no-airflow"]);
    command.env("PATH", path_without_python(&project)).env("HOME", project.root());
    command.env("WINDTUNNEL_CACHE_DIR", project.path("cache"));
    let up = Windtunnel::start(&project, &mut command);
    up.wait_line("it says that it is ready", START, |line| line.get("ready").is_some());
    up.python("mwaa_contract.py", &["answers"]);
}
