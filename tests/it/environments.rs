//! Several environments in one windtunnel, and what an update makes of one.

use crate::support::{Project, Steps, airflow_turn};

/// Who asks, by the Airflow role that IAM grants them.
const IDENTITIES: &str = r#"
[environment]
AirflowVersion = "2.10.3"

[[identity]]
access_key_id = "AKIAWINDTUNNELADMIN1"
secret_access_key = "secret"
airflow_role = "Admin"

[[identity]]
access_key_id = "AKIAWINDTUNNELVIEWER"
secret_access_key = "secret"
arn = "arn:aws:iam::123456789012:user/viewer"
airflow_role = "Viewer"

[[identity]]
access_key_id = "AKIAWINDTUNNELNOBODY"
secret_access_key = "secret"
arn = "arn:aws:iam::123456789012:user/nobody"
airflow_role = "none"
"#;

#[test]
fn a_second_environment_lives_beside_the_project_and_outlives_a_bad_update() {
    let _turn = airflow_turn();
    let project = Project::small("first");
    project.write("windtunnel.toml", IDENTITIES);
    let gates = project.path("gates");
    std::fs::create_dir(&gates).expect("it is ours");
    let gates = gates.to_str().expect("a plain path").to_owned();
    let up = project.up_with_airflow();
    let mut steps = Steps::default();
    let script = "mwaa_life.py";
    steps.step("a second environment", || drop(up.python(script, &["made"])));
    steps.step("they are apart", || drop(up.python(script, &["apart"])));
    let keys = r#"{"viewer": "AKIAWINDTUNNELVIEWER", "nobody": "AKIAWINDTUNNELNOBODY"}"#;
    steps.step("asked with one's own role", || drop(up.python(script, &["asked_as", keys])));
    steps.step("a bad update", || drop(up.python(script, &["bad_update", &gates])));
    steps.step("a good update", || drop(up.python(script, &["good_update", &gates])));
    steps.step("a deletion", || drop(up.python(script, &["deleted"])));
    steps.finish();
    let (status, said) = up.stop();
    assert!(status.success(), "{said}");
}
