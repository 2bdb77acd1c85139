"""The user guide's REST sample for Airflow 2: a web-login token buys a session cookie, the cookie triggers a run."""

import sys

import boto3
import requests

name, dag = sys.argv[1:]
answer = boto3.client("mwaa").create_web_login_token(Name=name)
host = answer["WebServerHostname"]
login = requests.post(f"https://{host}/aws_mwaa/login", data={"token": answer["WebToken"]}, timeout=10)
assert login.status_code == 200, login.status_code
session = login.cookies["session"]
response = requests.post(
    f"https://{host}/api/v1/dags/{dag}/dagRuns", cookies={"session": session}, json={"conf": {}}
)
assert response.status_code == 200, (response.status_code, response.text)
print(response.json()["dag_run_id"])
