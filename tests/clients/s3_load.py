"""Many clients at once: `python s3_load.py CLIENTS SECONDS` puts, gets, lists and deletes, and verifies every byte.

Each client is a thread with a connection of its own. Prints the requests of each kind per second; fails on any error.
"""

import collections
import http.client
import random
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "s3_conformance"))

import boto3
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from wire import ENDPOINT

BUCKET = "load"
SIZES = [0, 100, 4_096, 4_096, 4_096, 70_000, 1_000_000]
CREDENTIALS = boto3.Session().get_credentials()
SIGNER = S3SigV4Auth(CREDENTIALS, "s3", "us-east-1")


class Client:
    """Signed requests over one connection: boto3 itself would be the limit."""

    def __init__(self):
        self.connection = http.client.HTTPConnection(ENDPOINT.hostname, ENDPOINT.port, timeout=60)

    def call(self, method, target, body=b""):
        request = AWSRequest(method=method, url=f"{ENDPOINT.geturl()}{target}", data=body)
        request.headers["x-amz-content-sha256"] = "UNSIGNED-PAYLOAD"
        SIGNER.add_auth(request)
        self.connection.request(method, target, body, dict(request.headers))
        response = self.connection.getresponse()
        return response.status, response.read()


def work(number, until, counts, errors):
    chance, mine, client = random.Random(number), {}, Client()
    try:
        while time.monotonic() < until:
            act = chance.choices(["put", "get", "list", "delete"], [4, 8, 1, 1])[0]
            key = f"/{BUCKET}/{number}/k{chance.randrange(20)}"
            if act == "put":
                mine[key] = chance.randbytes(chance.choice(SIZES))
                status, _ = client.call("PUT", key, mine[key])
                assert status == 200, (act, status)
            elif act == "get":
                status, body = client.call("GET", key)
                assert (status, body if status == 200 else None) == (200 if key in mine else 404, mine.get(key)), act
            elif act == "list":
                status, body = client.call("GET", f"/{BUCKET}?list-type=2&prefix={number}%2F")
                assert status == 200 and body.count(b"<Key>") == len(mine), (act, status)
            else:
                status, _ = client.call("DELETE", key)
                mine.pop(key, None)
                assert status == 204, (act, status)
            counts[act] += 1
    except Exception as error:  # Whatever it is, it is a failure of the load test, told at the end.
        errors.append(f"client {number}: {error!r}")


def main(clients, seconds):
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    counts, errors, until = collections.Counter(), [], time.monotonic() + seconds
    threads = [threading.Thread(target=work, args=(n, until, counts, errors)) for n in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors, errors
    rates = ", ".join(f"{count / seconds:.0f} {act}" for act, count in sorted(counts.items()))
    print(f"figure: {clients} clients for {seconds:g} s: no error; per second {rates}")


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
