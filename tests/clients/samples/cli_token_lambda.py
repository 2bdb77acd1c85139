"""The user guide's Lambda sample: http.client alone, and the answer read as a Python literal."""

import ast
import base64
import http.client
import sys

import boto3


def lambda_handler(event, context):
    client = boto3.client("mwaa")
    token = client.create_cli_token(Name=event["environment"])
    connection = http.client.HTTPSConnection(token["WebServerHostname"])
    connection.request(
        "POST",
        "/aws_mwaa/cli",
        "dags trigger " + event["dag"],
        {"Authorization": "Bearer " + token["CliToken"], "Content-Type": "text/plain"},
    )
    answer = connection.getresponse()
    mydict = ast.literal_eval(answer.read().decode("UTF-8"))
    return base64.b64decode(mydict["stdout"])


if __name__ == "__main__":
    output = lambda_handler({"environment": sys.argv[1], "dag": sys.argv[2]}, None)
    print(output.decode())
    assert sys.argv[2] in output.decode()
