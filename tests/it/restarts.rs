//! What environments are after windtunnel was stopped, and when they make way for others of their name.

use serde_json::json;

use crate::support::{Project, SOON, Windtunnel, airflow_turn, wait_for};

const DAG: &str = r#"
from datetime import datetime
from airflow.decorators import dag, task

@dag(dag_id="NAME", schedule=None, start_date=datetime(2024, 1, 1), catchup=False)
def one():
    @task
    def go():
        return 1
    go()

one()
"#;

fn status(up: &Windtunnel<'_>, name: &str) -> Option<String> {
    let status = up.status();
    let environments = status["environments"].as_array()?;
    let found = environments.iter().find(|environment| environment["name"] == name)?;
    Some(found["status"].as_str()?.to_owned())
}

fn available(up: &Windtunnel<'_>, name: &str) {
    wait_for(&format!("{name} is AVAILABLE"), SOON * 2, || {
        status(up, name).filter(|status| status == "AVAILABLE")
    });
}

/// Airflow's own list of DAGs in that environment holds `dag`.
fn has(up: &Windtunnel<'_>, environment: &str, dag: &str) {
    wait_for(&format!("{dag} is in {environment}"), SOON, || {
        let list = ["airflow", "--environment", environment, "--", "dags", "list", "-o", "plain"];
        up.project.run(&list).lines().any(|line| line.starts_with(dag)).then_some(())
    });
}

fn create_second(up: &Windtunnel<'_>, bucket: &str, folder: &str) {
    let key = format!("s3://{bucket}/{folder}/x.py");
    let file = up.project.path("second.txt");
    up.project.write("second.txt", &DAG.replace("NAME", folder));
    up.aws(&["s3", "cp", &file.to_string_lossy(), &key]);
    let request = json!({
        "Name": "second",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/second",
        "SourceBucketArn": format!("arn:aws:s3:::{bucket}"),
        "DagS3Path": folder,
        "NetworkConfiguration": { "SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"] },
        "AirflowVersion": "2.10.3",
    });
    up.aws(&["mwaa", "create-environment", "--cli-input-json", &request.to_string()]);
    available(up, "second");
    has(up, "second", folder);
}

#[test]
fn environments_come_back_as_they_are_described() {
    let _turn = airflow_turn();
    let project = Project::small("again");
    let bucket = "windtunnel-again-123456789012";
    let up = project.up_with_airflow();
    create_second(&up, bucket, "first_place");
    let (stopped, said) = up.stop();
    assert!(stopped.success(), "{said}");

    project.write(
        "windtunnel.toml",
        "[environment]\nAirflowVersion = \"2.10.3\"\nDagS3Path = \"flows\"\n",
    );
    let up = project.up_with_airflow();
    // The project's DAGs moved in the bucket; the other environment was only asked for over the API.
    has(&up, "again", "small");
    available(&up, "second");
    has(&up, "second", "first_place");
    project.write("dags/later.py", &DAG.replace("NAME", "later"));
    has(&up, "again", "later");

    up.aws(&["mwaa", "delete-environment", "--name", "second"]);
    wait_for("second is gone", SOON, || status(&up, "second").is_none().then_some(()));
    let home = project.path(".windtunnel/environments/second");
    assert!(!home.exists(), "a deleted environment leaves no files");
    create_second(&up, bucket, "other_place");
    assert!(!home.join("dags/first_place.py").exists());
}
