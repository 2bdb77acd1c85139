"""The user guide's Python sample: boto3 for the token, requests for the call, stderr read before stdout."""

import base64
import sys

import boto3
import requests

name, command = sys.argv[1], " ".join(sys.argv[2:])
token = boto3.client("mwaa").create_cli_token(Name=name)
response = requests.post(
    "https://" + token["WebServerHostname"] + "/aws_mwaa/cli",
    headers={"Authorization": "Bearer " + token["CliToken"], "Content-Type": "text/plain"},
    data=command,
)
errors = base64.b64decode(response.json()["stderr"]).decode("utf8")
output = base64.b64decode(response.json()["stdout"]).decode("utf8")
print(response.status_code)
print(errors)
print(output)
assert response.status_code == 200
