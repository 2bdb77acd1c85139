"""Two environments side by side: one of the project, one made through the API, updated, failed, and deleted."""

import json
import os
import sys

import boto3
import requests
from airflow_environment import Environment
from botocore.exceptions import ClientError
from mwaa_contract import seen
from waiting import cases, refused, wait_for

FIRST, SECOND = "first", "second"
BUCKET = "second-source"
mwaa = boto3.client("mwaa")
s3 = boto3.client("s3")

# Ends when the file that its run was given is there: whoever waits for nothing else decides how long it runs.
PATIENT = '''
import os, time
from datetime import datetime
from airflow.decorators import dag, task

@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def patient():
    @task
    def wait(params=None):
        while not os.path.exists(params["file"]):
            time.sleep(0.1)  # a task waits here
        return {"tries": os.environ.get("AIRFLOW_CTX_TRY_NUMBER"), "option": os.environ.get("AIRFLOW__WT__MARK")}

    wait()

patient()
'''


def rest(environment, method, path, **more):
    return seen("InvokeRestApi", Name=environment, Path=path, Method=method, **more)["RestApiResponse"]


def status(environment):
    return mwaa.get_environment(Name=environment)["Environment"]["Status"]


def settled(environment, wanted, seconds=300):
    """Waits for the end of what is under way; gives every status on the way and the environment."""
    passed = []

    def ended():
        found = mwaa.get_environment(Name=environment)["Environment"]
        if found["Status"] not in passed:
            passed.append(found["Status"])
        moving = ("CREATING", "UPDATING", "CREATING_SNAPSHOT", "ROLLING_BACK", "DELETING")
        return None if found["Status"] in moving else found

    found = wait_for(f"{environment} is {wanted}", ended, seconds)
    assert found["Status"] == wanted, (passed, found.get("LastUpdate"))
    return passed, found


def dag_ids(environment):
    return sorted(dag["dag_id"] for dag in rest(environment, "GET", "/dags")["dags"])


def made():
    """A second environment, out of a bucket of its own."""
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=BUCKET, Key="flows/patient.py", Body=PATIENT.encode())
    seen(
        "CreateEnvironment",
        Name=SECOND,
        AirflowVersion="2.10.3",
        ExecutionRoleArn="arn:aws:iam::123456789012:role/second",
        SourceBucketArn=f"arn:aws:s3:::{BUCKET}",
        DagS3Path="flows/",
        NetworkConfiguration={"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]},
    )
    for call in (mwaa.delete_environment, mwaa.update_environment):
        answer = refused("ValidationException", call, Name=SECOND)
        assert "CREATING status must complete previous operation" in answer["Error"]["Message"], answer
    passed, _ = settled(SECOND, "AVAILABLE")
    assert passed == ["CREATING", "AVAILABLE"], passed
    pages = mwaa.get_paginator("list_environments").paginate(PaginationConfig={"PageSize": 1})
    assert [page["Environments"] for page in pages] == [[FIRST], [SECOND]]


def apart():
    """Each has its own web server, queue, database and log groups."""
    one, other = (seen("GetEnvironment", Name=name)["Environment"] for name in (FIRST, SECOND))
    for member in ("WebserverUrl", "CeleryExecutorQueue", "Arn", "DatabaseVpcEndpointService"):
        assert one[member] != other[member], member
    for module, logging in one["LoggingConfiguration"].items():
        assert logging["CloudWatchLogGroupArn"] != other["LoggingConfiguration"][module]["CloudWatchLogGroupArn"]
    wait_for("the first one's DAG is there", lambda: dag_ids(FIRST) == ["small"])
    wait_for("the second one's DAG is there", lambda: dag_ids(SECOND) == ["patient"])
    rest(SECOND, "POST", "/variables", Body={"key": "mine", "value": "second's"})
    absent = refused("RestApiClientException", mwaa.invoke_rest_api, Name=FIRST, Path="/variables/mine", Method="GET")
    assert absent["RestApiStatusCode"] == 404 and absent["RestApiResponse"]["status"] == 404, absent
    assert absent["ResponseMetadata"]["HTTPStatusCode"] == 400, absent
    token = seen("CreateCliToken", Name=FIRST)
    elsewhere = requests.post(
        f"https://{other['WebserverUrl']}/aws_mwaa/cli",
        headers={"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"},
        data="dags list",
        timeout=30,
    )
    assert elsewhere.status_code in (401, 403), (elsewhere.status_code, elsewhere.text)


def asked_as(identities):
    """InvokeRestApi has the caller's own Airflow role."""
    keys = json.loads(identities)
    arguments = {"Name": SECOND, "Path": "/variables", "Method": "POST", "Body": {"key": "k", "value": "v"}}

    def client(who):
        return boto3.client("mwaa", aws_access_key_id=keys[who], aws_secret_access_key="secret")

    viewer = client("viewer")
    assert viewer.invoke_rest_api(Name=SECOND, Path="/dags", Method="GET", QueryParameters={"limit": 1, "only_active": False})
    denied = refused("RestApiClientException", viewer.invoke_rest_api, **arguments)
    assert denied["RestApiStatusCode"] == 403, denied
    answer = refused("AccessDeniedException", client("nobody").invoke_rest_api, **arguments)
    assert answer["Error"]["Message"] == "No Airflow role granted in IAM.", answer


def bad_update(folder):
    """A requirement that does not resolve: what ran goes on, its tasks too, and the reason is the installer's."""
    gate = os.path.join(folder, "gate-1")
    run = rest(SECOND, "POST", "/dags/patient/dagRuns", Body={"conf": {"file": gate}})["dag_run_id"]
    environment = Environment(SECOND)
    wait_for("the task runs", lambda: [t for t in environment.tasks("patient", run) if t["state"] == "running"])
    s3.put_object(Bucket=BUCKET, Key="requirements.txt", Body=b"humanize==4.0.0\nhumanize==4.1.0\n")
    before = seen("GetEnvironment", Name=SECOND)["Environment"]
    seen(
        "UpdateEnvironment",
        Name=SECOND,
        RequirementsS3Path="requirements.txt",
        AirflowConfigurationOptions={"wt.mark": "new"},
    )
    served, passed = 0, []

    def ended():
        nonlocal served
        now = status(SECOND)
        passed.extend({now} - set(passed))
        assert environment.rest("GET", "/dags").status_code == 200, "it serves throughout"
        served += 1
        return now not in ("UPDATING", "ROLLING_BACK")

    wait_for("the update ends", ended, 120)
    assert passed[0] == "UPDATING" and passed[-1] == "UPDATE_FAILED", passed
    after = seen("GetEnvironment", Name=SECOND)["Environment"]
    error = after["LastUpdate"]["Error"]["ErrorMessage"]
    assert after["LastUpdate"]["Status"] == "FAILED" and "humanize" in error and "4.1.0" in error, error
    for member in ("AirflowConfigurationOptions", "WebserverUrl", "CeleryExecutorQueue"):
        assert after[member] == before[member], member
    assert "RequirementsS3Path" not in after, after
    open(gate, "w").close()
    environment.wait_run("patient", run)
    assert environment.tasks("patient", run)[0]["try_number"] == 1, "the task was not disturbed"
    try:
        mwaa.update_environment(Name=SECOND, AirflowVersion="3.3.1")
    except mwaa.exceptions.ValidationException as refused:
        assert "different majors" in str(refused), refused
    else:
        raise AssertionError("another major was accepted")
    print(f"figure: REST calls served during a failing update: {served}")


def good_update(folder):
    """Afterwards an update that works; only then is a graceful one allowed."""
    graceful = {"Name": SECOND, "WorkerReplacementStrategy": "GRACEFUL"}
    answer = refused("ValidationException", mwaa.update_environment, **graceful)
    assert "FORCED" in answer["Error"]["Message"], answer
    seen("UpdateEnvironment", Name=SECOND, AirflowConfigurationOptions={"wt.mark": "new"})
    passed, found = settled(SECOND, "AVAILABLE")
    assert "UPDATING" in passed and found["LastUpdate"]["Status"] == "SUCCESS", (passed, found["LastUpdate"])
    assert found["AirflowConfigurationOptions"] == {"wt.mark": "new"} and not found.get("Tags"), found
    gate = os.path.join(folder, "gate-2")
    open(gate, "w").close()
    environment = Environment(SECOND)
    run = rest(SECOND, "POST", "/dags/patient/dagRuns", Body={"conf": {"file": gate}})["dag_run_id"]
    environment.wait_run("patient", run)
    told = environment.xcom("patient", run, "wait")
    assert "new" in told, told
    seen("UpdateEnvironment", Name=SECOND, MinWorkers=2, MaxWorkers=2, WeeklyMaintenanceWindowStart="MON:01:30")
    _, found = settled(SECOND, "AVAILABLE", 30)
    assert (found["MinWorkers"], found["MaxWorkers"], found["WeeklyMaintenanceWindowStart"]) == (2, 2, "MON:01:30")
    for wrong in ({"MinWorkers": 3}, {"EnvironmentClass": "mw1.micro"}, {"SourceBucketArn": "arn:aws:s3:::absent"}):
        refused("ValidationException", mwaa.update_environment, Name=SECOND, **wrong)


def deleted():
    """Of the second one nothing is left but its bucket; the first one has noticed nothing."""
    web = mwaa.get_environment(Name=SECOND)["Environment"]["WebserverUrl"]
    queue = mwaa.get_environment(Name=SECOND)["Environment"]["CeleryExecutorQueue"].rsplit(":", 1)[-1]
    seen("DeleteEnvironment", Name=SECOND)
    wait_for("it is gone", lambda: seen("ListEnvironments")["Environments"] == [FIRST])
    try:
        mwaa.get_environment(Name=SECOND)
        raise AssertionError("it is still there")
    except ClientError as error:
        assert error.response["Error"]["Code"] == "ResourceNotFoundException", error
    try:
        requests.get(f"https://{web}/health", timeout=5)
        raise AssertionError("its web server still answers")
    except requests.exceptions.ConnectionError:
        pass
    urls = boto3.client("sqs").list_queues(QueueNamePrefix="airflow-celery-").get("QueueUrls", [])
    assert urls and not [url for url in urls if url.endswith(queue)], urls
    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 2
    run = rest(FIRST, "POST", "/dags/small/dagRuns", Body={})["dag_run_id"]
    Environment(FIRST).wait_run("small", run)


if __name__ == "__main__":
    cases(sys.modules[__name__])
