//! The MWAA API where no Airflow needs to run; with Airflow it is in `journeys`.

use crate::support::Project;

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
