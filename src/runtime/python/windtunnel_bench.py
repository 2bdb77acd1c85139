"""What a warm interpreter brings beyond Airflow when it serves `check`, `test` and `run`.

WINDTUNNEL_TOOLS is a folder with pytest and its company. It stands last on the path, so what a project
requires itself comes first.
"""

import importlib
import importlib.metadata
import os
import sys

# Imported once, for every test session.
MODULES = """
_pytest.config _pytest.assertion.rewrite _pytest.capture _pytest.fixtures _pytest.junitxml _pytest.main
_pytest.mark _pytest.python _pytest.runner _pytest.terminal _pytest.cacheprovider _pytest.tmpdir _pytest.monkeypatch
_pytest.logging _pytest.doctest _pytest.unittest _pytest.skipping _pytest.debugging _pytest.stepwise
_pytest.faulthandler _pytest.legacypath _pytest.pathlib _pytest.pastebin _pytest.recwarn _pytest.reports
_pytest.setuponly _pytest.setupplan _pytest.threadexception _pytest.unraisableexception _pytest.warnings
_pytest.helpconfig _pytest._io _pytest._code pytest concurrent.futures unittest unittest.mock airflow.models.renderedtifields
windtunnel_pytest windtunnel_run
""".split()

# pytest's plugins that are installed, by name: found once, because looking means to read every package's description.
PLUGINS = {}


def warm():
    tools = os.environ.get("WINDTUNNEL_TOOLS")
    if tools and tools not in sys.path:
        sys.path.append(tools)
    for name in MODULES:
        attempt(name, lambda name=name: importlib.import_module(name))
    for distribution in importlib.metadata.distributions():
        for entry in distribution.entry_points:
            if entry.group == "pytest11" and entry.name not in PLUGINS and entry.name != "windtunnel":
                attempt(entry.name, lambda entry=entry: PLUGINS.__setitem__(entry.name, entry.load()))
    attempt("a rehearsal", rehearse)


# Not the user's: what any DAG needs is imported by it once, instead of in every fork.
REHEARSAL = """
from datetime import datetime
try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.sdk import dag, task
except ImportError:
    from airflow.decorators import dag, task
    from airflow.operators.bash import BashOperator

@dag(schedule="@daily", start_date=datetime(2024, 1, 1), catchup=False)
def rehearsal():
    @task
    def one():
        return 1

    one() >> BashOperator(task_id="two", bash_command="echo {{ ds }}")

rehearsal()
"""


def rehearse():
    """Reads a DAG and serializes it, as every check does."""
    import tempfile

    import windtunnel_probe
    import windtunnel_run

    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "rehearsal.py")
        with open(path, "w") as file:
            file.write(REHEARSAL)
        bag = windtunnel_run.new_bag()
        bag.process_file(path, only_if_updated=False, safe_mode=False)
    for dag in bag.dags.values():
        for finding in windtunnel_probe.serializable(dag, path):
            print(f"not warm: {finding['message']}", file=sys.stderr)
    for name in [name for name in sys.modules if "rehearsal" in name]:
        del sys.modules[name]
    importlib.invalidate_caches()
    from airflow import settings

    # Whatever of it touched the database: no connection may be inherited.
    settings.dispose_orm()


def attempt(name, work):
    try:
        work()
    except Exception as error:
        print(f"not warm: {name}: {type(error).__name__}: {error}", file=sys.stderr)


def database():
    """Makes the empty database that checks, tests and runs copy: the file of the connection's URL."""
    from airflow.cli import cli_parser
    from airflow.utils.db import upgradedb
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def hasty(connection, _record):
        # What is lost with the power is made again.
        connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", hasty)
    # The command line's own set-up tells Airflow which database models exist.
    cli_parser.get_parser()
    upgradedb()
    import sqlite3

    from airflow import settings

    # Airflow 3 writes ahead into a file beside it, and one file is what is copied.
    with sqlite3.connect(settings.engine.url.database) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return 0


def environment():
    """Tells the variables that children have."""
    import json

    print(json.dumps(dict(os.environ)))
    return 0
