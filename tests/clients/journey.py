"""Steps of the journeys, on an environment that runs: `python journey.py STEP ENVIRONMENT …`."""

import json
import re
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import requests
from airflow_environment import Environment
from waiting import cases, refused, wait_for

MEMBERS = """AirflowVersion Arn CreatedAt DagS3Path EnvironmentClass ExecutionRoleArn LastUpdate
LoggingConfiguration MaxWorkers NetworkConfiguration RequirementsS3Path ServiceRoleArn SourceBucketArn Status Tags
WebserverAccessMode WebserverUrl WeeklyMaintenanceWindowStart""".split()
LOG_GROUPS = {"DagProcessingLogs", "SchedulerLogs", "TaskLogs", "WebserverLogs", "WorkerLogs"}


def described(name):
    """Everything that AWS's own example of GetEnvironment has."""
    answer = boto3.client("mwaa").get_environment(Name=name)["Environment"]
    missing = [member for member in MEMBERS if member not in answer]
    assert not missing, f"get-environment lacks {missing}: {answer}"
    assert answer["Status"] == "AVAILABLE" and answer["Name"] == name
    assert set(answer["LoggingConfiguration"]) == LOG_GROUPS, answer["LoggingConfiguration"]
    for group in answer["LoggingConfiguration"].values():
        assert {"Enabled", "LogLevel", "CloudWatchLogGroupArn"} <= set(group), group
    assert answer["LastUpdate"]["Status"] == "SUCCESS", answer["LastUpdate"]
    assert re.fullmatch(r"localhost:\d+", answer["WebserverUrl"]), answer["WebserverUrl"]
    assert re.fullmatch(r"arn:aws:airflow:[a-z0-9-]+:\d{12}:environment/.+", answer["Arn"])
    assert answer["RequirementsS3ObjectVersion"], "the requirements are pinned"


def first_dag(name, dag, began):
    """How long after `began` (seconds of the epoch) the DAG is there over REST."""
    environment = Environment(name).login()
    wait_for(f"{dag} over REST", lambda: environment.has_dag(dag), 120, every=0.02)
    print(f"figure: up to first DAG over REST: {time.time() - float(began):.2f} s")


def sample_run(name, dag, task, wanted):
    """The newest run, which a sample triggered, succeeds on the Celery worker; its XCom is read over REST."""
    environment = Environment(name).login()
    run = wait_for("the sample's run", lambda: environment.newest_run(dag))["dag_run_id"]
    assert run.startswith("manual__"), run
    environment.wait_run(dag, run)
    for instance in environment.tasks(dag, run):
        assert instance["queue"].startswith("airflow-celery-"), instance
    value = environment.xcom(dag, run, task)
    assert wanted in value, f"{task} left {value!r}, not {wanted!r}"
    print(f"xcom: {value}")
    environment.rest("DELETE", f"/dags/{dag}/dagRuns/{run}")


def runs(name, *dags):
    """Each of these DAGs runs to success."""
    environment = Environment(name).login()
    for dag in dags:
        wait_for(f"{dag} over REST", lambda: environment.has_dag(dag))
    began = [(dag, environment.trigger(dag)) for dag in dags]
    for dag, run in began:
        environment.wait_run(dag, run)


DAG = '''from datetime import datetime

from airflow.decorators import dag, task


@dag(dag_id="{dag}", schedule=None, start_date=datetime(2024, 1, 1), catchup=False, tags=["{tag}"])
def saved():
    @task
    def one():
        return 1

    one()


saved()
'''


def tags(environment, dag):
    answer = environment.has_dag(dag)
    return [tag["name"] for tag in answer["tags"]] if answer else None


def save(name, dags, count="10"):
    """Saves a changed DAG, and measures until REST shows it."""
    environment = Environment(name).login()
    path = Path(dags, "saved.py")
    took = []
    for number in range(int(count)):
        path.write_text(DAG.format(dag="saved", tag=f"save-{number}"))
        began = time.monotonic()
        wait_for(
            f"save {number} over REST",
            lambda: tags(environment, "saved") == [f"save-{number}"],
            seconds=30,
            every=0.01,
        )
        took.append(time.monotonic() - began)
    median, worst = statistics.median(took), max(took)
    print(f"figure: save to REST: median {median * 1000:.0f} ms, slowest of {count}: {worst * 1000:.0f} ms")
    assert median < 1, f"a save is visible in well under a second: {took}"


def uploaded(name):
    """What `aws s3 cp` put into the bucket is there as if it had been saved."""
    environment = Environment(name).login()
    wait_for("the uploaded DAG over REST", lambda: tags(environment, "uploaded") == ["by-upload"])


def removed(name, dag):
    """A deleted file's DAG is no longer active."""
    environment = Environment(name).login()

    wait_for(f"{dag} is gone", lambda: environment.has_dag(dag) is None)


def import_errors(name, count):
    environment = Environment(name).login()
    wait_for(
        f"{count} import errors over REST",
        lambda: environment.get("/importErrors")["total_entries"] == int(count),
    )
    for error in environment.get("/importErrors")["import_errors"]:
        print(error["filename"], error["stack_trace"].strip().splitlines()[-1])


def versions(bucket, key, least):
    """Every save is a version; an old one is fetched by its id."""
    s3 = boto3.client("s3")
    listed = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert len(listed) >= int(least), f"{len(listed)} versions, not {least}: {listed}"
    assert [v["IsLatest"] for v in listed] == [True] + [False] * (len(listed) - 1)
    oldest = s3.get_object(Bucket=bucket, Key=key, VersionId=listed[-1]["VersionId"])["Body"].read()
    newest = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    assert b"save-0" in oldest and oldest != newest, oldest


def restored(name, bucket, key, version):
    """A restored file is a new version with the old bytes, and Airflow shows what it says."""
    s3 = boto3.client("s3")
    old = s3.get_object(Bucket=bucket, Key=key, VersionId=version)["Body"].read()

    def newest():
        answer = s3.get_object(Bucket=bucket, Key=key)
        return answer["VersionId"] != version and answer["Body"].read() == old

    wait_for("the restored file is a new version", newest)
    environment = Environment(name).login()
    wait_for("the restored DAG over REST", lambda: tags(environment, "saved") == ["save-0"])


def cli_endpoint(name):
    """What the CLI endpoint allows, refuses and answers."""
    environment = Environment(name)
    out, _ = environment.cli_output("version")
    assert out.strip() == environment.version, out
    out, _ = environment.cli_output("dags list -o json")
    assert "hello_taskflow" in [row["dag_id"] for row in json.loads(out[out.index("[") :])]
    environment.cli_output("variables set colour 'deep blue'")
    out, _ = environment.cli_output("variables get colour")
    assert out.strip().endswith("deep blue"), out
    out, err = environment.cli_output("dags show no_such_dag")
    assert "no_such_dag" in out + err, "a failing command is still 200, with its text"
    for command in ("users list", "config list", "db reset -y", "variables export x", "celery worker"):
        assert environment.cli(command).status_code in (400, 403), command
    for command in ("dags list; id", "version && id", "dags list | cat"):
        answer = environment.cli(command)
        shown = "" if answer.status_code != 200 else json.dumps(answer.json())
        assert "uid=" not in shown, "no shell is involved"
    took = []
    token = environment.mwaa.create_cli_token(Name=name)
    for _ in range(10):
        began = time.monotonic()
        answer = requests.post(
            f"https://{token['WebServerHostname']}/aws_mwaa/cli",
            headers={"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"},
            data="version",
            timeout=60,
        )
        assert answer.status_code == 200, "one token serves many calls within its 60 s"
        took.append(time.monotonic() - began)
    print(f"figure: CLI endpoint, `version`: median {statistics.median(took) * 1000:.0f} ms")


def cli_crowd(name):
    """Few calls at once are served; the rest is told 503, and nothing breaks."""
    environment = Environment(name)
    token = environment.mwaa.create_cli_token(Name=name)

    def call(_):
        return requests.post(
            f"https://{token['WebServerHostname']}/aws_mwaa/cli",
            headers={"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"},
            data="dags list",
            timeout=120,
        ).status_code

    with ThreadPoolExecutor(16) as crowd:
        answers = list(crowd.map(call, range(16)))
    assert set(answers) <= {200, 503} and 200 in answers, answers
    assert environment.cli("version").status_code == 200


def doors(name):
    """Who may come in at the web server, and who may not."""
    environment = Environment(name).login()
    base = f"https://{environment.host}"
    dags = f"{base}{environment.api}/dags"
    cli = {"Content-Type": "text/plain"}
    web = environment.mwaa.create_web_login_token(Name=name)
    for bearer in ("nonsense", web["WebToken"], ""):
        answer = requests.post(
            f"{base}/aws_mwaa/cli", headers={**cli, "Authorization": f"Bearer {bearer}"}, data="version", timeout=10
        )
        assert answer.status_code in (401, 403), (bearer, answer.status_code)
    token = environment.mwaa.create_cli_token(Name=name)["CliToken"]
    answer = requests.post(f"{base}/aws_mwaa/login", data={"token": token}, timeout=10)
    assert answer.status_code in (401, 403) and "session" not in answer.cookies, "a CLI token buys no session"
    once = {"token": web["WebToken"]}
    assert requests.post(f"{base}/aws_mwaa/login", data=once, timeout=10).status_code == 200
    assert requests.post(f"{base}/aws_mwaa/login", data=once, timeout=10).status_code in (401, 403)
    answer = requests.get(dags, timeout=10)
    assert answer.status_code in (401, 403), "no session, no REST"
    spoofed = {"X-Windtunnel-User": "admin", "X-Windtunnel-Role": "Admin", "X-Windtunnel-Secret": "guess"}
    answer = requests.get(dags, headers=spoofed, timeout=10)
    assert answer.status_code in (401, 403), "identity headers of a client are not believed"
    cookie = {"session": environment.cookies["session"][:-4] + "AAAA"}
    assert requests.get(dags, cookies=cookie, timeout=10).status_code in (401, 403)
    page = requests.get(f"{base}/aws_mwaa/aws-console-sso?login=true", timeout=10)
    assert page.status_code == 200 and "text/html" in page.headers["Content-Type"]
    assert "Content-Security-Policy" in page.headers
    if environment.major == 2:
        assert requests.post(f"{base}/pluginsv2/aws_mwaa/login", data=once, timeout=10).status_code == 404
    health = "/health" if environment.major == 2 else "/api/v2/monitor/health"
    told = requests.get(f"{base}{health}", timeout=10).json()
    assert told["metadatabase"]["status"] == "healthy", told
    assert told["scheduler"]["status"] == "healthy", told
    pages(environment, base)
    logged_out(name)
    foreign = requests.get(f"{base}/health", headers={"Host": "evil.example"}, timeout=10)
    assert foreign.status_code in (400, 403, 421), foreign.status_code
    foreign = environment.session.post(
        f"{dags}/hello_taskflow/dagRuns", headers={"Origin": "https://evil.example"}, json={}, timeout=10
    )
    assert foreign.status_code in (400, 403), foreign.status_code


def logged_out(name):
    """Logging out ends that login and no other, and the next login is as good as the first."""
    one, other = Environment(name).login(), Environment(name).login()
    assert one.rest("GET", "/dags").status_code == 200
    requests.get(f"https://{one.host}/logout/", cookies=one.cookies, timeout=30)
    assert one.rest("GET", "/dags").status_code in (401, 403), "a session that was ended"
    assert other.rest("GET", "/dags").status_code == 200, "another login of the same person"
    assert one.login().rest("GET", "/dags").status_code == 200, "a login after a logout"


def pages(environment, base):
    """What a logged in browser sees: its cookies alone open Airflow's pages and its API."""
    browser = requests.Session()
    browser.cookies = environment.cookies
    browser.headers["Accept"] = "text/html"
    if environment.major == 2:
        home = browser.get(f"{base}/home", timeout=60)
        assert home.status_code == 200 and "hello_taskflow" in home.text, (home.status_code, home.text[:500])
        return
    home = browser.get(f"{base}/", timeout=60)
    assert home.status_code == 200 and "<title>Airflow" in home.text, (home.status_code, home.text[:500])
    me = browser.get(f"{base}/ui/auth/me", timeout=60)
    assert me.status_code == 200, (me.status_code, me.text)
    users = browser.get(f"{base}/auth/users/list/", timeout=60)
    assert users.status_code == 200 and "@windtunnel.invalid" in users.text, (users.status_code, users.text[:500])
    # MWAA's session cookie is enough, as on Airflow 2; so is the token of Airflow's that came with it.
    for name in ("session", "_token"):
        one = {name: environment.cookies[name]}
        answer = requests.get(f"{base}/api/v2/connections", cookies=one, timeout=60)
        assert answer.status_code == 200, (name, answer.status_code, answer.text)


def identity(name):
    """Who the token says the caller is."""
    token = boto3.client("mwaa").create_web_login_token(Name=name)
    assert token["IamIdentity"] and token["AirflowIdentity"], token
    arn = boto3.client("mwaa").get_environment(Name=name)["Environment"]["Arn"]
    tags = boto3.client("mwaa").list_tags_for_resource(ResourceArn=arn)["Tags"]
    assert isinstance(tags, dict)


def created_by_api(name, bucket):
    """A second environment by CreateEnvironment, on the same road as `up`; used, and deleted again."""
    mwaa = boto3.client("mwaa")
    request = {
        "Name": "second",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/second",
        "SourceBucketArn": f"arn:aws:s3:::{bucket}",
        "DagS3Path": "second-dags",
        "NetworkConfiguration": {"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]},
        "AirflowVersion": mwaa.get_environment(Name=name)["Environment"]["AirflowVersion"],
        "EnvironmentClass": "mw1.small",
        "Tags": {"made": "by-api"},
    }
    source = DAG.format(dag="of_the_second", tag="second")
    boto3.client("s3").put_object(Bucket=bucket, Key="second-dags/x.py", Body=source.encode())
    began = time.monotonic()
    arn = mwaa.create_environment(**request)["Arn"]
    assert mwaa.get_environment(Name="second")["Environment"]["Status"] == "CREATING"
    refused("ValidationException", mwaa.create_environment, **request)

    def settled():
        answer = mwaa.get_environment(Name="second")["Environment"]
        return answer if answer["Status"] != "CREATING" else None

    answer = wait_for("`second` settles", settled, 300)
    assert answer["Status"] == "AVAILABLE", answer.get("LastUpdate")
    print(f"figure: a second environment by CreateEnvironment: {time.monotonic() - began:.1f} s")
    assert answer["Arn"] == arn and answer["Tags"] == {"made": "by-api"}
    assert set(mwaa.list_environments()["Environments"]) == {name, "second"}
    second = Environment("second").login()
    wait_for("its own DAG", lambda: second.has_dag("of_the_second"))
    assert second.has_dag("hello_taskflow") is None, "environments do not see each other's DAGs"
    first = Environment(name).login()
    assert first.has_dag("of_the_second") is None
    cookie = {"session": first.cookies["session"]}
    strange = requests.get(f"https://{second.host}{second.api}/dags", cookies=cookie, timeout=10)
    assert strange.status_code in (401, 403), "one environment's session is nothing to another"
    web = {"token": mwaa.create_web_login_token(Name=name)["WebToken"]}
    strange = requests.post(f"https://{second.host}/aws_mwaa/login", data=web, timeout=10)
    assert strange.status_code in (401, 403) and not strange.cookies, "nor its web-login token"
    bearer = {"Authorization": f"Bearer {mwaa.create_cli_token(Name=name)['CliToken']}", "Content-Type": "text/plain"}
    strange = requests.post(f"https://{second.host}/aws_mwaa/cli", headers=bearer, data="version", timeout=10)
    assert strange.status_code in (401, 403), "nor its CLI token"
    mwaa.delete_environment(Name="second")

    def gone():
        try:
            assert mwaa.get_environment(Name="second")["Environment"]["Status"] == "DELETING"
        except mwaa.exceptions.ResourceNotFoundException:
            return True
        return False

    wait_for("`second` is gone", gone, 120)
    assert mwaa.list_environments()["Environments"] == [name]


def queue_is_empty(name):
    """Nothing that was acknowledged is still in the environment's queue."""
    sqs = boto3.client("sqs")
    (url,) = sqs.list_queues(QueueNamePrefix="airflow-celery-")["QueueUrls"]
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "VisibilityTimeout"]

    def drained():
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]
        assert attributes["VisibilityTimeout"] == "43200", attributes
        return attributes["ApproximateNumberOfMessages"] == attributes["ApproximateNumberOfMessagesNotVisible"] == "0"

    wait_for("the queue is empty", drained)


def start_long(name):
    """Starts the DAG whose first try never ends, and returns when its task runs."""
    environment = Environment(name).login()
    wait_for("`long` over REST", lambda: environment.has_dag("long"))
    run = environment.trigger("long")

    def running():
        tasks = environment.tasks("long", run)
        return [t for t in tasks if t["task_id"] == "stay" and t["state"] == "running" and t["pid"]]

    (task,) = wait_for("the task runs", running, 120)
    print(json.dumps({"run": run, "pid": task["pid"]}))


def end_long(name, run):
    """The killed try counts as failed, and the retry ends the run well: as Airflow defines."""
    environment = Environment(name).login()
    began = time.monotonic()
    environment.wait_run("long", run, seconds=240)
    print(f"figure: a run cut by kill -9 ended {time.monotonic() - began:.0f} s after the next start")
    (task,) = [t for t in environment.tasks("long", run) if t["task_id"] == "stay"]
    assert task["try_number"] == 2, task
    assert environment.xcom("long", run, "stay") == "done on try 2"


def still_saves(name, dags):
    save(name, dags, count="2")


if __name__ == "__main__":
    cases(sys.modules[__name__])
