"""Imported by every interpreter at its start, so cheap: two imports, one wrapped function.

Names under `.localhost` are the loopback address (RFC 6761, 6.3). The C library resolves only `localhost`
itself, and older AWS SDKs ask for `api.localhost` and `env.localhost`.
"""

import os

import _socket

_lookup = _socket.getaddrinfo


def getaddrinfo(host, *args, **kwargs):
    """What `socket.getaddrinfo` calls; for names under `.localhost` as if `localhost` had been asked for."""
    name = host.decode("ascii", "replace") if isinstance(host, (bytes, bytearray)) else host
    if isinstance(name, str) and name.rstrip(".").lower().endswith(".localhost"):
        host = "localhost"
    return _lookup(host, *args, **kwargs)


_socket.getaddrinfo = getaddrinfo


def hostname():
    """`core.hostname_callable`: the name of the component, where it runs in one."""
    return os.environ.get("WINDTUNNEL_HOSTNAME") or _socket.gethostname()


def _tools():
    """pytest and its company, after everything that the environment has of its own."""
    import os
    import sys

    folder = os.environ.get("WINDTUNNEL_TOOLS")
    if folder and folder not in sys.path:
        sys.path.append(folder)


_tools()
