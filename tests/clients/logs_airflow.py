"""What an environment's log groups hold: `python logs_airflow.py STEP ENVIRONMENT …`."""

import re
import sys
import time

import boto3
from airflow_environment import Environment
from waiting import cases, wait_for

logs = boto3.client("logs")


def stream_of(run, task, attempt=1):
    return f"dag_id=chatty/run_id={run}/task_id={task}/attempt={attempt}.log".replace(":", "_")


def lines(group, **more):
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, **more)
    return [event["message"] for page in pages for event in page["events"]]


def streams(group):
    pages = logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
    return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]


def running(name):
    """A running task's lines are there within a second of being written, and Airflow shows them from there."""
    environment = Environment(name).login()
    wait_for("chatty over REST", lambda: environment.has_dag("chatty"))
    run = environment.trigger("chatty")
    seen = {}

    def look():
        now = time.time()
        found = lines(f"airflow-{name}-Task", logStreamNamePrefix=stream_of(run, "talk"))
        for tick, at in (re.search(r"tick (\d+) at ([\d.]+)", line).groups() for line in found if " tick " in line):
            seen.setdefault(int(tick), now - float(at))
        return len(seen) >= 20

    wait_for("twenty ticks", look, 60)
    worst, middle = max(seen.values()), sorted(seen.values())[len(seen) // 2]
    print(f"figure: a running task's line in CloudWatch Logs after {middle:.2f} s (p50), {worst:.2f} s (worst)")
    assert middle < 1.0, seen
    path = f"/dags/chatty/dagRuns/{run}/taskInstances/talk/logs/1"
    shown = environment.rest("GET", path, headers={"Accept": "text/plain"}).text
    assert "remote log from Cloudwatch" in shown and " tick 1 at" in shown, shown
    state = environment.get(f"/dags/chatty/dagRuns/{run}/taskInstances/talk")["state"]
    assert state == "running", "the lines were there before the task's end"
    environment.wait_run("chatty", run, wanted="failed")
    failure = lines(f"airflow-{name}-Task", logStreamNames=[stream_of(run, "fail")], filterPattern='"no such table"')
    assert any("ValueError: no such table" in line for line in failure), failure
    told = [line for line in lines(f"airflow-{name}-Task", logStreamNames=[stream_of(run, "talk")]) if "password" in line]
    assert told and all("***" in line for line in told), told
    (tick, *_) = lines(f"airflow-{name}-Task", logStreamNames=[stream_of(run, "talk")], filterPattern='"tick 1 at"')
    assert re.match(r"\[\d{4}-\d\d-\d\dT[^]]+\] \{.*:\d+\} INFO - tick 1 at", tick), tick


def components(name):
    """Every component has its stream, in the group and under the name that MWAA gives it."""
    number = r"_\S+_\d+\.\d+\.log"
    for group, wanted in {
        "Scheduler": ["scheduler" + number, "triggerer" + number],
        "Worker": ["worker" + number],
        "WebServer": ["webserver" + number],
        "DAGProcessing": [r"dag_processor_manager\.log", r"scheduler_chatty\.py\.log"],
    }.items():
        group = f"airflow-{name}-{group}"
        for pattern in wanted:
            probe = lambda: any(re.fullmatch(pattern, stream) for stream in streams(group))
            wait_for(f"{pattern} in {group}", probe)
    said = lines(f"airflow-{name}-DAGProcessing", logStreamNames=["scheduler_chatty.py.log"])
    assert any("imported once more" in line for line in said), said


def trigger(name):
    environment = Environment(name).login()
    environment.trigger("chatty")


def tokens(name):
    """Uses every kind of token once, and prints them for who looks for them in the logs."""
    mwaa = boto3.client("mwaa")
    environment = Environment(name).login()
    environment.cli_output("version")
    web = mwaa.create_web_login_token(Name=name)["WebToken"]
    cli = mwaa.create_cli_token(Name=name)["CliToken"]
    for token in (web, cli, environment.session.cookies["session"]):
        print(f"secret: {token}")


if __name__ == "__main__":
    cases(sys.modules[__name__])
