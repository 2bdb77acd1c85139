"""One MWAA environment as a client reaches it: tokens by boto3, the rest over HTTPS with verification on."""

import base64

import boto3
import requests
from waiting import wait_for


class Environment:
    def __init__(self, name):
        self.name = name
        self.mwaa = boto3.client("mwaa")
        self.session = None
        self.version = self.mwaa.get_environment(Name=name)["Environment"]["AirflowVersion"]
        self.major = int(self.version.split(".")[0])
        self.api = "/api/v1" if self.major == 2 else "/api/v2"

    def login(self):
        """A web-login session, as AWS's REST sample makes it."""
        token = self.mwaa.create_web_login_token(Name=self.name)
        self.host = token["WebServerHostname"]
        path = "/aws_mwaa/login" if self.major == 2 else "/pluginsv2/aws_mwaa/login"
        answer = requests.post(f"https://{self.host}{path}", data={"token": token["WebToken"]}, timeout=10)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        assert "session" in answer.cookies, answer.headers
        self.session = requests.Session()
        if self.major == 2:
            self.session.cookies = answer.cookies
        else:
            self.session.headers["Authorization"] = f"Bearer {answer.cookies['_token']}"
        self.cookies = answer.cookies
        return self

    def rest(self, method, path, **more):
        """A call of Airflow's stable REST API; the raw answer."""
        if self.session is None:
            self.login()
        return self.session.request(method, f"https://{self.host}{self.api}{path}", timeout=30, **more)

    def get(self, path, **parameters):
        answer = self.rest("GET", path, params=parameters)
        assert answer.status_code == 200, (path, answer.status_code, answer.text)
        return answer.json()

    def cli(self, command):
        """One command at the CLI endpoint, with a fresh token. Gives the HTTP answer."""
        token = self.mwaa.create_cli_token(Name=self.name)
        return requests.post(
            f"https://{token['WebServerHostname']}/aws_mwaa/cli",
            headers={"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"},
            data=command,
            timeout=60,
        )

    def cli_output(self, command):
        answer = self.cli(command)
        assert answer.status_code == 200, (command, answer.status_code, answer.text)
        body = answer.json()
        assert set(body) == {"stdout", "stderr"}, body
        return (base64.b64decode(body["stdout"]).decode(), base64.b64decode(body["stderr"]).decode())

    def has_dag(self, dag):
        """A DAG's description; None where there is no such DAG, or no longer."""
        answer = self.rest("GET", f"/dags/{dag}")
        if answer.status_code != 200:
            return None
        told = answer.json()
        return None if told.get("is_stale") or told.get("is_active") is False else told

    def trigger(self, dag, conf=None):
        body = {"conf": conf or {}} if self.major == 2 else {"conf": conf or {}, "logical_date": None}
        answer = self.rest("POST", f"/dags/{dag}/dagRuns", json=body)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()["dag_run_id"]

    def tasks(self, dag, run):
        return self.get(f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]

    def newest_run(self, dag):
        newest = "-execution_date" if self.major == 2 else "-run_after"
        runs = self.get(f"/dags/{dag}/dagRuns", order_by=newest, limit=1)["dag_runs"]
        return runs[0] if runs else None

    def wait_run(self, dag, run, seconds=180, wanted="success"):
        """Waits for the run's end, which must be the wanted one."""

        def ended():
            state = self.get(f"/dags/{dag}/dagRuns/{run}")["state"]
            return state if state in ("success", "failed") else None

        try:
            state = wait_for(f"run {run} of {dag} ends", ended, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.explain(dag, run)}") from None
        assert state == wanted, f"{dag} {run}: {state}, not {wanted}: {self.explain(dag, run)}"

    def explain(self, dag, run):
        """What became of each task, with the end of its log."""
        told = []
        for task in self.tasks(dag, run):
            told.append(f"{task['task_id']}: {task['state']} try {task['try_number']}")
            if task["state"] not in ("success", None, "upstream_failed"):
                path = f"/dags/{dag}/dagRuns/{run}/taskInstances/{task['task_id']}/logs/{task['try_number'] or 1}"
                kind = "text/plain" if self.major == 2 else "application/json"
                log = self.rest("GET", path, headers={"Accept": kind}).text
                told.append(log[-3000:])
        return "\n".join(told)

    def xcom(self, dag, run, task, key="return_value"):
        return self.get(f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}")["value"]
