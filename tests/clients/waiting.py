"""Waiting for a condition with a deadline. The only sleep of the Python clients."""

import time


def wait_for(what, probe, seconds=60, every=0.05):
    """Returns the first true answer of probe(); fails when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = probe()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(every)


def cases(module):
    """Runs the function named by the first argument with the others: `python s3.py multipart`."""
    import sys

    name, *arguments = sys.argv[1:]
    getattr(module, name)(*arguments)
    print(f"ok: {name}")


def refused(code, call, **arguments):
    """Calls a boto3 operation that must be refused with this error code; returns the whole answer."""
    from botocore.exceptions import ClientError

    try:
        call(**arguments)
    except ClientError as error:
        got = error.response["Error"]["Code"]
        assert got == code, f"refused with {got}, not with {code}: {error}"
        return error.response
    raise AssertionError(f"{call} was not refused; {code} was expected")
