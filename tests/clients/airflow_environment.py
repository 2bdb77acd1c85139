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

    def login(self):
        """A web-login session, as AWS's REST sample makes it."""
        token = self.mwaa.create_web_login_token(Name=self.name)
        self.host = token["WebServerHostname"]
        answer = requests.post(
            f"https://{self.host}/aws_mwaa/login", data={"token": token["WebToken"]}, timeout=10
        )
        assert answer.status_code == 200, (answer.status_code, answer.text)
        assert "session" in answer.cookies, answer.headers
        self.session = requests.Session()
        self.session.cookies = answer.cookies
        return self

    def rest(self, method, path, **more):
        """A call of Airflow's stable REST API; the raw answer."""
        if self.session is None:
            self.login()
        return self.session.request(method, f"https://{self.host}/api/v1{path}", timeout=30, **more)

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
        answer = self.rest("GET", f"/dags/{dag}")
        return answer.json() if answer.status_code == 200 else None

    def trigger(self, dag, conf=None):
        answer = self.rest("POST", f"/dags/{dag}/dagRuns", json={"conf": conf or {}})
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()["dag_run_id"]

    def tasks(self, dag, run):
        return self.get(f"/dags/{dag}/dagRuns/{run}/taskInstances")["task_instances"]

    def newest_run(self, dag):
        runs = self.get(f"/dags/{dag}/dagRuns", order_by="-execution_date", limit=1)["dag_runs"]
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
                log = self.rest("GET", path, headers={"Accept": "text/plain"}).text
                told.append(log[-3000:])
        return "\n".join(told)

    def xcom(self, dag, run, task, key="return_value"):
        return self.get(f"/dags/{dag}/dagRuns/{run}/taskInstances/{task}/xcomEntries/{key}")["value"]
