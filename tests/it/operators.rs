//! Airflow's own MWAA operators, run inside one environment against another.

use crate::support::{Project, Steps, airflow_turn};

/// The first of Airflow's amazon providers that has the hook, the operator and the sensor, on this Airflow.
const REQUIREMENTS: &str = "--constraint \"/usr/local/airflow/dags/constraints.txt\"\n\
    apache-airflow-providers-amazon[aiobotocore]==9.8.0\n";

const CROSSES: &str = r#"from datetime import datetime

from airflow.decorators import dag, task
from airflow.providers.amazon.aws.hooks.mwaa import MwaaHook
from airflow.providers.amazon.aws.operators.mwaa import MwaaTriggerDagRunOperator
from airflow.providers.amazon.aws.sensors.mwaa import MwaaDagRunSensor

RUN = "{{ ti.xcom_pull(task_ids='trigger')['RestApiResponse']['dag_run_id'] }}"


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def crosses():
    there = {"external_env_name": "far", "external_dag_id": "of_far", "external_dag_run_id": RUN, "poke_interval": 1}
    trigger = MwaaTriggerDagRunOperator(
        task_id="trigger",
        env_name="far",
        trigger_dag_id="of_far",
        conf={"from": "near"},
        wait_for_completion=True,
        waiter_delay=1,
        waiter_max_attempts=120,
    )

    @task
    def hook():
        from botocore.exceptions import ClientError

        for local in (False, True):
            answer = MwaaHook().invoke_rest_api(
                env_name="far", path="/dags/of_far", method="GET", generate_local_token=local
            )
            assert answer["RestApiStatusCode"] == 200 and answer["RestApiResponse"]["dag_id"] == "of_far", answer
        try:
            MwaaHook().invoke_rest_api(env_name="far", path="/dags/nobody", method="GET")
        except ClientError as error:
            assert error.response["Error"]["Code"] == "RestApiClientException", error.response
            assert error.response["RestApiStatusCode"] == 404, error.response
        else:
            raise AssertionError("a DAG that is not there")

    trigger >> MwaaDagRunSensor(task_id="sense", **there) >> hook()
    trigger >> MwaaDagRunSensor(task_id="sense_deferred", deferrable=True, **there)


crosses()
"#;

#[test]
fn airflows_own_operators_reach_another_environment() {
    let _turn = airflow_turn();
    let project = Project::small("near");
    project.write("requirements.txt", REQUIREMENTS);
    project.write("dags/constraints.txt", "# none of our own\n");
    project.write("dags/crosses.py", CROSSES);
    let up = project.up_with_airflow();
    let mut steps = Steps::default();
    steps.step("a second environment is made by the API", || {
        up.python("operators.py", &["made", "windtunnel-near-123456789012"]);
    });
    steps.step("hook, operator and sensors work against it, in tasks and in the triggerer", || {
        up.python("journey.py", &["runs", "near", "crosses"]);
        up.python("operators.py", &["was_triggered", "far"]);
    });
    steps.finish();
}
