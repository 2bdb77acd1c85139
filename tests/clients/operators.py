"""The environment that Airflow's own MWAA operators are pointed at: `python operators.py CASE …`."""

import sys

import boto3
from airflow_environment import Environment
from waiting import cases, wait_for

DAG = """from datetime import datetime

from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def of_far():
    @task
    def one():
        return 1

    one()


of_far()
"""


def made(bucket):
    boto3.client("s3").put_object(Bucket=bucket, Key="far-dags/of_far.py", Body=DAG.encode())
    mwaa = boto3.client("mwaa")
    mwaa.create_environment(
        Name="far",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/far",
        SourceBucketArn=f"arn:aws:s3:::{bucket}",
        DagS3Path="far-dags",
        NetworkConfiguration={"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]},
        AirflowVersion="2.10.3",
    )

    def settled():
        answer = mwaa.get_environment(Name="far")["Environment"]
        return answer if answer["Status"] != "CREATING" else None

    answer = wait_for("`far` settles", settled, 300)
    assert answer["Status"] == "AVAILABLE", answer["LastUpdate"]
    far = Environment("far").login()
    wait_for("its DAG", lambda: far.has_dag("of_far"))


def was_triggered(name):
    """One run, with what the operator gave along, by the identity that tasks have."""
    far = Environment(name).login()
    runs = far.get("/dags/of_far/dagRuns")["dag_runs"]
    assert [run["conf"] for run in runs] == [{"from": "near"}] and runs[0]["state"] == "success", runs


if __name__ == "__main__":
    cases(sys.modules[__name__])
