"""Runs of a DAG whose tasks sleep: `python workers.py STEP ENVIRONMENT …`."""

import sys

import time

import boto3
from airflow_environment import Environment
from waiting import cases, wait_for


def start(name, count, seconds):
    """Triggers a run of so many tasks, and prints its id."""
    environment = Environment(name).login()
    wait_for("the DAG over REST", lambda: environment.has_dag("sleepers"))
    print(environment.trigger("sleepers", {"count": int(count), "seconds": int(seconds)}))


def naps(environment, run):
    answer = environment.get(f"/dags/sleepers/dagRuns/{run}/taskInstances/nap/listMapped", limit=100)
    return answer["task_instances"]


def ended(name, run):
    """The run ends well."""
    environment = Environment(name).login()
    environment.wait_run("sleepers", run, seconds=120)
    return naps(environment, run)


def ended_at_first_try(name, run, hosts):
    """No task was tried twice; with `hosts`, they were shared by so many workers."""
    tasks = ended(name, run)
    again = [task for task in tasks if task["try_number"] != 1]
    assert not again, again
    used = {task["hostname"] for task in tasks}
    assert all(host.startswith("worker-") and host.endswith(".localhost") for host in used), used
    if int(hosts):
        assert len(used) == int(hosts), used


def update(name, strategy):
    """Changes an option, as CI would, and waits until the environment is AVAILABLE again."""
    mwaa = boto3.client("mwaa")
    options = mwaa.get_environment(Name=name)["Environment"]["AirflowConfigurationOptions"]
    options["herd.round"] = str(time.time_ns())
    mwaa.update_environment(
        Name=name, AirflowConfigurationOptions=options, WorkerReplacementStrategy=strategy
    )

    def done():
        environment = mwaa.get_environment(Name=name)["Environment"]
        return environment if environment["Status"] != "UPDATING" else None

    environment = wait_for("the update", done, 120)
    assert environment["Status"] == "AVAILABLE", environment
    assert environment["LastUpdate"]["WorkerReplacementStrategy"] == strategy, environment["LastUpdate"]


if __name__ == "__main__":
    cases(sys.modules[__name__])
