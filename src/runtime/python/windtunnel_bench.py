"""What a warm interpreter brings beyond Airflow when it serves `check`, `test` and `run`.

WINDTUNNEL_TOOLS is a folder with pytest and its company. It stands last on the path, so what a project
requires itself comes first.
"""

import importlib
import os
import sys

# Imported once, for every test session. Not pytest's plugins: which ones, the session decides.
MODULES = """
_pytest.config _pytest.assertion.rewrite _pytest.capture _pytest.fixtures _pytest.junitxml _pytest.main
_pytest.mark _pytest.python _pytest.runner _pytest.terminal _pytest.cacheprovider _pytest.tmpdir _pytest.monkeypatch
_pytest.logging _pytest.doctest _pytest.unittest _pytest.skipping _pytest.debugging _pytest.stepwise
_pytest.faulthandler _pytest.legacypath _pytest.pathlib _pytest.pastebin _pytest.recwarn _pytest.reports
_pytest.setuponly _pytest.setupplan _pytest.threadexception _pytest.unraisableexception _pytest.warnings
_pytest.helpconfig _pytest._io _pytest._code pytest
""".split()


def warm():
    tools = os.environ.get("WINDTUNNEL_TOOLS")
    if tools and tools not in sys.path:
        sys.path.append(tools)
    for name in MODULES:
        try:
            importlib.import_module(name)
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
    return 0
