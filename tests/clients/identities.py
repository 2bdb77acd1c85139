"""Who may do what, on an environment with an identity for each role: `python identities.py CASE ENVIRONMENT`."""

import base64
import json
import re
import sys
from pathlib import Path

import boto3
import requests
from airflow_environment import Environment
from waiting import cases, refused

# Where one start leaves sessions for the next.
KEPT = Path("sessions.json")


def keys(name):
    return {"aws_access_key_id": f"AKIAPEOPLE0000000{name}", "aws_secret_access_key": f"{name}-secret"}


def client(name, service="mwaa", **more):
    return boto3.client(service, **{**keys(name), **more})


def logged_in(name, environment):
    there = Environment(environment)
    there.mwaa = client(name)
    return there.login()


def tokens(environment):
    for name in ("admin", "op", "user", "viewer", "public"):
        token = client(name).create_web_login_token(Name=environment)
        assert token["IamIdentity"] == f"user/{name}" == token["AirflowIdentity"], token
        assert token["WebServerHostname"].startswith("localhost:") and token["WebToken"].count(".") == 2
    answer = refused("AccessDeniedException", client("stranger").create_web_login_token, Name=environment)
    assert "No Airflow role granted in IAM." in answer["Error"]["Message"], answer["Error"]


def rest(environment):
    run = {"conf": {}}
    # What each may: read DAGs, trigger one, read connections, read users.
    expected = {
        "admin": (200, 200, 200, 200),
        "op": (200, 200, 200, 403),
        "user": (200, 200, 403, 403),
        "viewer": (200, 403, 403, 403),
        "public": (403, 403, 403, 403),
    }
    for name, wanted in expected.items():
        there = logged_in(name, environment)
        got = (
            there.rest("GET", "/dags/small").status_code,
            there.rest("POST", "/dags/small/dagRuns", json=run).status_code,
            there.rest("GET", "/connections").status_code,
            there.rest("GET", "/users").status_code,
        )
        assert got == wanted, f"{name}: {got}, not {wanted}"
    viewer, call = client("viewer"), {"Name": environment, "QueryParameters": {}}
    answer = viewer.invoke_rest_api(**call, Path="/dags/small", Method="GET")
    assert answer["RestApiStatusCode"] == 200 and answer["RestApiResponse"]["dag_id"] == "small", answer
    write = {**call, "Path": "/dags/small/dagRuns", "Method": "POST", "Body": run}
    answer = refused("RestApiClientException", viewer.invoke_rest_api, **write)
    assert answer["RestApiStatusCode"] == 403, answer
    assert client("user").invoke_rest_api(**write)["RestApiStatusCode"] == 200


def cli(environment):
    there = Environment(environment)
    for name in ("admin", "op", "user"):
        there.mwaa = client(name)
        # Airflow drops the microseconds otherwise, and two runs of one second are one too many.
        out, err = there.cli_output(f"dags trigger small --no-replace-microseconds -r by-{name} -o json")
        assert f"by-{name}" in out, out + err
    for name in ("viewer", "public", "stranger"):
        answer = refused("AccessDeniedException", client(name).create_cli_token, Name=environment)
        assert f"user/{name} is not authorized to perform: airflow:CreateCliToken" in answer["Error"]["Message"]


def triggered(there):
    """Presses the UI's trigger button: the answer, redirects not followed."""
    base = f"https://{there.host}"
    page = there.session.get(f"{base}/home", timeout=60).text
    token = re.search(r"""name="csrf_token"[^>]*value="([^"]+)"|csrfToken = '([^']+)'""", page)
    form = {"csrf_token": next(filter(None, token.groups())), "conf": "{}"}
    return there.session.post(
        f"{base}/dags/small/trigger", data=form, headers={"Referer": f"{base}/home"}, allow_redirects=False, timeout=60
    )


def runs(there):
    return there.get("/dags/small/dagRuns", limit=1)["total_entries"]


def ui(environment):
    viewer, user = logged_in("viewer", environment), logged_in("user", environment)
    home = viewer.session.get(f"https://{viewer.host}/home", timeout=60)
    assert home.status_code == 200 and "small" in home.text
    before = runs(viewer)
    answer = triggered(viewer)
    assert answer.status_code in (302, 403), (answer.status_code, answer.text[:500])
    assert runs(viewer) == before, "a Viewer's trigger made a run"
    answer = triggered(user)
    assert answer.status_code == 302, (answer.status_code, answer.text[:500])
    assert runs(user) == before + 1, "a User's trigger made none"
    public = logged_in("public", environment)
    home = public.session.get(f"https://{public.host}/home", timeout=60)
    assert home.status_code == 403 and "no roles and/or permissions" in home.text, (home.status_code, home.text[:800])


def status(host, cookies):
    return requests.get(f"https://{host}/api/v1/dags", cookies=cookies, timeout=30).status_code


def logout(environment):
    there, other = logged_in("admin", environment), logged_in("admin", environment)
    copies = dict(there.session.cookies), dict(other.session.cookies)
    assert status(there.host, copies[0]) == 200
    answer = there.session.get(f"https://{there.host}/logout/", timeout=30)
    assert answer.status_code == 200 and "session" not in there.session.cookies
    assert status(there.host, copies[0]) in (401, 403), "the cookie was kept elsewhere, and is worth nothing"
    assert status(there.host, copies[1]) == 200, "another session goes on"
    claims = json.loads(base64.urlsafe_b64decode(copies[1]["session"].split(".")[1] + "=="))
    assert claims["exp"] - claims["iat"] == 12 * 3600
    KEPT.write_text(json.dumps(copies))


def remembered(environment):
    host = client("admin").create_web_login_token(Name=environment)["WebServerHostname"]
    ended, other = json.loads(KEPT.read_text())
    assert status(host, ended) in (401, 403)
    assert status(host, other) == 200


def strict(environment):
    for service, call in (
        ("s3", "list_buckets"),
        ("sqs", "list_queues"),
        ("mwaa", "list_environments"),
        ("logs", "describe_log_groups"),
    ):
        nobody = boto3.client(service, aws_access_key_id="AKIAIOSFODNN7EXAMPLE", aws_secret_access_key="x")
        forged = client("admin", service, aws_secret_access_key="another")
        for who, codes in (
            (nobody, ("InvalidAccessKeyId", "UnrecognizedClientException", "InvalidClientTokenId")),
            (forged, ("SignatureDoesNotMatch", "InvalidSignatureException")),
        ):
            try:
                getattr(who, call)()
            except who.exceptions.ClientError as error:
                code = error.response["Error"]["Code"]
                assert code in codes and error.response["ResponseMetadata"]["HTTPStatusCode"] == 403, (service, code)
            else:
                raise AssertionError(f"{service} let somebody in")


if __name__ == "__main__":
    cases(sys.modules[__name__])
