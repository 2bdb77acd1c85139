"""The user guide's script that imports variables: one CLI token, then one call per variable, values unquoted."""

import argparse
import base64
import json

import boto3
import requests

parser = argparse.ArgumentParser()
parser.add_argument("-e", required=True)
parser.add_argument("-r", required=True)
parser.add_argument("-v", required=True)
arguments = parser.parse_args()

client = boto3.client("mwaa", region_name=arguments.r)
token = client.create_cli_token(Name=arguments.e)
url = "https://" + token["WebServerHostname"] + "/aws_mwaa/cli"
headers = {"Authorization": "Bearer " + token["CliToken"], "Content-Type": "text/plain"}
with open(arguments.v) as file:
    variables = json.load(file)
for key in variables:
    response = requests.post(url, headers=headers, data=f"variables set {key} {variables[key]}")
    errors = base64.b64decode(response.json()["stderr"]).decode("utf8")
    output = base64.b64decode(response.json()["stdout"]).decode("utf8")
    print(response.status_code, errors, output)
    assert response.status_code == 200
