"""The user guide's REST sample for Airflow 3: a web-login token buys a bearer token, which triggers a run."""

import sys

import boto3
import requests

name, dag = sys.argv[1:]
answer = boto3.client("mwaa").create_web_login_token(Name=name)
host = answer["WebServerHostname"]
login = requests.post(f"https://{host}/pluginsv2/aws_mwaa/login", data={"token": answer["WebToken"]}, timeout=10)
assert login.status_code == 200, login.status_code
token = login.cookies["_token"]
response = requests.post(
    f"https://{host}/api/v2/dags/{dag}/dagRuns",
    headers={"Authorization": f"Bearer {token}"},
    json={"conf": {}, "logical_date": None},
)
assert response.status_code == 200, (response.status_code, response.text)
print(response.json()["dag_run_id"])
