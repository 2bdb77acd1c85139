"""A pytest plugin for DAGs: `dagbag`, `run_dag`, `run_task`, `airflow_db`, `freeze_variables`, `freeze_connections`,
`s3` and `mwaa`.

`windtunnel test` brings it, in an interpreter that is warm, with the project's requirements, plugins and MWAA's
settings. Under plain pytest (`pip install ./python`) it points Airflow at the project's folders and at a database of
its own before Airflow is imported.
"""

import importlib
import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import uuid

import pytest

import windtunnel_run


def pytest_addoption(parser):
    group = parser.getgroup("windtunnel")
    group.addoption("--dags-folder", metavar="DIR", help="where the DAGs are (default: dags below the root directory)")


def pytest_configure(config):
    if "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in os.environ or "WINDTUNNEL_DATABASE_TEMPLATE" not in os.environ:
        prepare(config)
    elif "PYTEST_XDIST_WORKER" in os.environ:
        own_database(config)
    folder = config.getoption("--dags-folder")
    if folder:
        os.environ["AIRFLOW__CORE__DAGS_FOLDER"] = os.path.abspath(folder)


def prepare(config):
    """Outside of `windtunnel test`: the settings that it would have brought."""
    root = str(config.rootpath)
    home = tempfile.mkdtemp(prefix="windtunnel-pytest-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    settings = {
        "AIRFLOW_HOME": home,
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": os.path.join(root, "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": os.path.join(root, "plugins"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": os.path.join(home, "logs"),
    }
    for name, value in settings.items():
        if name not in os.environ or name in ("AIRFLOW_HOME", "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"):
            os.environ[name] = value
    # Only when a test asks for it: most of a cold start is this.
    os.environ["WINDTUNNEL_DATABASE_TEMPLATE"] = os.path.join(home, "template.db")


def own_database(config):
    """Each process of `-n` has its own."""
    home = tempfile.mkdtemp(prefix="windtunnel-pytest-")
    config.add_cleanup(lambda: shutil.rmtree(home, ignore_errors=True))
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{home}/airflow.db"


def database_file():
    return os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].removeprefix("sqlite:///")


def fresh_database():
    """Puts the empty database in the place of the one that was used."""
    from airflow import settings

    template = os.environ["WINDTUNNEL_DATABASE_TEMPLATE"]
    if settings.Session is not None and hasattr(settings.Session, "remove"):
        settings.Session.remove()
    if settings.engine is not None:
        settings.engine.dispose()
    for suffix in ("-wal", "-shm", "-journal"):
        if os.path.exists(database_file() + suffix):
            os.unlink(database_file() + suffix)
    if not os.path.exists(template):
        from airflow.utils.db import upgradedb

        upgradedb()
        settings.engine.dispose()
        with sqlite3.connect(database_file()) as connection:
            # Airflow 3 writes ahead into a file beside it.
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(database_file(), template)
    else:
        shutil.copyfile(template, database_file())


# The database


@pytest.fixture
def airflow_db():
    """An empty Airflow database of the test's own; gives `create_session`."""
    fresh_database()
    from airflow.utils.session import create_session

    return create_session


# DAGs


@pytest.fixture(scope="session")
def dags_folder():
    return os.environ["AIRFLOW__CORE__DAGS_FOLDER"]


@pytest.fixture(scope="session")
def dagbag(dags_folder):
    """Every DAG of the project, read once per session; `dagbag.import_errors` says which files do not import."""
    importlib.invalidate_caches()
    bag = windtunnel_run.new_bag()
    for path in windtunnel_run.dag_files(dags_folder):
        bag.process_file(path, only_if_updated=False)
    return bag


def resolve(dag, folder):
    if isinstance(dag, str):
        return windtunnel_run.find(dag, folder)
    # What a function with `@dag` makes when it is called, or the function itself.
    return dag() if callable(dag) and not hasattr(dag, "task_dict") else dag


@pytest.fixture
def run_dag(airflow_db, dags_folder):
    """`run_dag("id", conf={…}, replace={"task": value})`: runs a DAG to its end; gives its states, XComs and logs.

    A DAG's id or the DAG itself. Tasks named in `replace` are not run; they hand on the value.
    """

    def run(dag, conf=None, logical_date=None, replace=None, mark_success=None):
        dag = resolve(dag, dags_folder)
        return windtunnel_run.run(dag, conf=conf, logical_date=logical_date, replace=replace, mark_success=mark_success)

    return run


@pytest.fixture
def run_task(airflow_db, dags_folder):
    """`run_task("dag", "task", upstream={"other": value})`: runs one task; gives it, with `.state`, `.value`, `.log`.

    What the task waits for is taken for done; `upstream` says what it has handed on.
    """

    def run(dag, task_id, upstream=None, conf=None, logical_date=None):
        dag = resolve(dag, dags_folder)
        before = dag.get_task(task_id).get_flat_relative_ids(upstream=True)
        only = dag.partial_subset(f"^{task_id}$", include_upstream=True, include_downstream=False)
        replace = {**dict.fromkeys(before), **(upstream or {})}
        result = windtunnel_run.run(only, conf=conf, logical_date=logical_date, replace=replace)
        task = result.tasks[task_id]
        task.value = result.xcoms.get(task_id, {}).get("return_value")
        task.rendered = result.rendered.get(task_id, {})
        return task

    return run


# Variables and connections


def frozen(monkeypatch, prefix):
    def freeze(values=None, **more):
        for name in [name for name in os.environ if name.startswith(prefix)]:
            monkeypatch.delenv(name)
        for name, value in {**(values or {}), **more}.items():
            value = value if isinstance(value, str) else json.dumps(value)
            monkeypatch.setenv(prefix + name.upper(), value)

    return freeze


@pytest.fixture
def freeze_variables(monkeypatch, airflow_db):
    """`freeze_variables({"name": value})`: during the test these are all the Variables there are."""
    return frozen(monkeypatch, "AIRFLOW_VAR_")


@pytest.fixture
def freeze_connections(monkeypatch, airflow_db):
    """`freeze_connections({"id": uri or dict})`: during the test these are all the Connections there are."""
    return frozen(monkeypatch, "AIRFLOW_CONN_")


# AWS


class Services:
    """windtunnel's AWS endpoint: the running one's, or one of the session's own without Airflow."""

    def __init__(self):
        self.process = None
        self.environment = os.environ.get("WINDTUNNEL_ENVIRONMENT") or None
        self.folder = None

    def start(self):
        if os.environ.get("WINDTUNNEL_RUNNING"):
            return self
        binary = os.environ.get("WINDTUNNEL_BINARY") or shutil.which("windtunnel")
        if not binary:
            pytest.fail("windtunnel is not on the PATH, so there is no AWS endpoint; run `windtunnel test`", pytrace=False)
        self.environment = None
        self.folder = tempfile.mkdtemp(prefix="windtunnel-services-")
        os.mkdir(os.path.join(self.folder, "dags"))
        words = [binary, "up", "--no-airflow", "--json"]
        for kind in ("aws", "console", "web"):
            words += [f"--{kind}-addr", "127.0.0.1:0"]
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("WINDTUNNEL_", "PYTHON", "AIRFLOW"))}
        self.process = subprocess.Popen([*words, self.folder], stdout=subprocess.PIPE, env=inherited, text=True)
        for line in self.process.stdout:
            said = json.loads(line)
            if "ready" in said:
                self.export(exports(binary, self.folder, inherited))
                return self
            if "error" in said:
                pytest.fail(f"windtunnel's AWS services did not start: {said['error']}", pytrace=False)
        pytest.fail("windtunnel's AWS services ended while they were starting", pytrace=False)

    def export(self, variables):
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        bucket = os.environ.get("WINDTUNNEL_BUCKET")
        if bucket:
            import boto3

            # Where the project's DAGs expect it.
            boto3.client("s3").create_bucket(Bucket=bucket)

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.communicate()
            shutil.rmtree(self.folder, ignore_errors=True)


def exports(binary, folder, env):
    text = subprocess.run([binary, "--project", folder, "env", "--shell", "json"], capture_output=True, env=env, check=True, text=True)
    return json.loads(text.stdout)


@pytest.fixture(scope="session")
def aws():
    """windtunnel's AWS services, with this process's variables pointing every SDK at them."""
    before = dict(os.environ)
    services = Services().start()
    yield services
    services.stop()
    for name in set(os.environ) - set(before):
        del os.environ[name]
    os.environ.update(before)


class Bucket:
    """A bucket of the test's own."""

    def __init__(self, client, name):
        self.client = client
        self.name = name

    def put(self, key, body):
        self.client.put_object(Bucket=self.name, Key=key, Body=body)

    def get(self, key):
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()

    def keys(self):
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [item["Key"] for page in pages for item in page.get("Contents", [])]


@pytest.fixture
def s3(aws):
    """A bucket of the test's own, with `put`, `get`, `keys`, `name` and `client`; gone afterwards with what is in it."""
    import boto3

    client = boto3.client("s3")
    bucket = Bucket(client, f"test-{uuid.uuid4().hex}")
    client.create_bucket(Bucket=bucket.name)
    yield bucket
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket.name):
        for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]:
            client.delete_object(Bucket=bucket.name, Key=item["Key"], VersionId=item["VersionId"])
    client.delete_bucket(Bucket=bucket.name)


class Mwaa:
    """MWAA's API and the tokens of the running environment."""

    def __init__(self, client, environment):
        self.client = client
        self.environment = environment

    def needed(self):
        if self.environment is None:
            pytest.skip("needs a running environment; `windtunnel up --detach` starts one")
        return self.environment

    def cli_token(self):
        return self.client.create_cli_token(Name=self.needed())

    def web_token(self):
        return self.client.create_web_login_token(Name=self.needed())

    def cli(self, command):
        """Runs an Airflow command the way AWS's samples do; its standard output."""
        import base64

        import requests

        token = self.cli_token()
        answer = requests.post(
            f"https://{token['WebServerHostname']}/aws_mwaa/cli",
            headers={"Authorization": f"Bearer {token['CliToken']}", "Content-Type": "text/plain"},
            data=command,
            timeout=60,
        )
        answer.raise_for_status()
        return base64.b64decode(answer.json()["stdout"]).decode()


@pytest.fixture
def mwaa(aws):
    """A boto3 client of MWAA's API (`client`), and `cli_token`, `web_token`, `cli` of the running environment."""
    import boto3
    from botocore.config import Config

    # `api.127.0.0.1` resolves nowhere, and older SDKs do not know the variable that says so.
    return Mwaa(boto3.client("mwaa", config=Config(inject_host_prefix=False)), aws.environment)
