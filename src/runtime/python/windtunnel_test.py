"""`windtunnel test` inside the warm interpreter: pytest in a fork, with our plugin and what is installed of others.

    {"kind": "run", "call": "windtunnel_test:main", "argv": [pytest's words], "cwd": …}

WINDTUNNEL_DEBUGPY is a port on which a debugger is waited for.
"""

import os
import sys

import windtunnel_bench

# Options that make pytest start interpreters of its own: these look for plugins by themselves.
SPREADS = ("-n", "--numprocesses", "--dist", "--tx", "--maxprocesses")


def spreads(words):
    return any(word.startswith(SPREADS) for word in words)


def unwanted(words):
    """Names that `-p no:NAME` has been said for."""
    pairs = zip(words, [*words[1:], ""])
    names = [word[2:] or following for word, following in pairs if word.startswith("-p")]
    return {name.removeprefix("no:") for name in names if name.startswith("no:")}


def plugins(words):
    """Modules of plugins for a session. Given by name they would be looked for anew, among all packages."""
    import windtunnel_pytest

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    blocked = unwanted(words)
    return [windtunnel_pytest, *(plugin for name, plugin in windtunnel_bench.PLUGINS.items() if name not in blocked)]


def main():
    words = sys.argv[1:]
    port = os.environ.pop("WINDTUNNEL_DEBUGPY", None)
    if port:
        import debugpy

        debugpy.listen(("127.0.0.1", int(port)))
        print(f"waiting for a debugger on 127.0.0.1:{port}", file=sys.stderr, flush=True)
        debugpy.wait_for_client()
    import pytest

    if os.getcwd() not in sys.path:
        # As `python -m pytest` has it: tests import the project's modules.
        sys.path.insert(0, os.getcwd())
    sys.argv = ["pytest", *words]
    if spreads(words):
        # The workers are interpreters of their own; they find the same plugin under its name.
        os.environ["PYTEST_PLUGINS"] = ",".join(filter(None, [os.environ.get("PYTEST_PLUGINS"), "windtunnel_pytest"]))
        return int(pytest.main(words))
    return int(pytest.main(words, plugins=plugins(words)))
