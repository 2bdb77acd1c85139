"""Writes until windtunnel is killed, again and again, and looks each time whether what was acknowledged is there.

Reads lines from standard input: `write ENDPOINT ROUND` writes from several threads, prints `ack` for every acknowledged
write, and `stopped` once nobody answers any more; `verify ENDPOINT BLOBS` compares everything with what was
acknowledged, and the files below the folder BLOBS with what must be there, and prints `verified`.
"""

import hashlib
import os
import random
import sys
import threading
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

BUCKET = "killed"
THREADS = 8
KEYS = [f"dir/k{number}" for number in range(12)]
SIZES = [0, 10, 4_000, 16_384, 16_385, 100_000, 700_000]
PART = 5 * 1024 * 1024
# Larger bodies are files; smaller ones are in the index.
INLINE = 16 * 1024


def body(seed, size):
    """Bytes that are told apart by their seed, whatever part of them one looks at."""
    block = hashlib.sha256(f"{seed}".encode()).digest() * 32
    return (block * (size // len(block) + 1))[:size]


class Ledger:
    """What was asked for and what was acknowledged."""

    def __init__(self):
        self.lock = threading.Lock()
        self.attempts = 0
        # Version id → (key, seed, sizes of the parts); and the ids of acknowledged markers and removals.
        self.written = {}
        self.markers = {}
        self.removing = set()
        self.removed = set()
        # Seed → sizes of the parts, for everything that was ever asked for.
        self.asked = {}
        self.aborted = set()

    def seed(self, sizes):
        with self.lock:
            self.attempts += 1
            self.asked[str(self.attempts)] = sizes
            return str(self.attempts)


LEDGER = Ledger()


def client(endpoint):
    config = Config(
        retries={"total_max_attempts": 1}, max_pool_connections=THREADS, connect_timeout=5, read_timeout=30
    )
    return boto3.client("s3", endpoint_url=endpoint, config=config)


def put(s3, chance):
    size = chance.choice(SIZES)
    seed, key = LEDGER.seed([size]), chance.choice(KEYS)
    answer = s3.put_object(Bucket=BUCKET, Key=key, Body=body(seed, size), Metadata={"seed": seed})
    LEDGER.written[answer["VersionId"]] = (key, seed, [size])


def upload(s3, chance):
    # Mostly one part, since the ones before the last must be large.
    sizes = [PART, 50_000] if chance.random() < 0.1 else [chance.choice([10, 200_000])]
    seed, key = LEDGER.seed(sizes), chance.choice(KEYS)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key, Metadata={"seed": seed})["UploadId"]
    parts, whole, at = [], body(seed, sum(sizes)), 0
    for number, size in enumerate(sizes, 1):
        part = s3.upload_part(
            Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=whole[at : at + size]
        )
        parts.append({"ETag": part["ETag"], "PartNumber": number})
        at += size
    if chance.random() < 0.2:
        s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
        LEDGER.aborted.add(upload)
        return
    answer = s3.complete_multipart_upload(
        Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    LEDGER.written[answer["VersionId"]] = (key, seed, sizes)


def remove(s3, chance):
    with LEDGER.lock:
        left = [version for version in LEDGER.written if version not in LEDGER.removing]
        version = chance.choice(left) if left else None
        if version is not None:
            LEDGER.removing.add(version)
    if version is not None:
        s3.delete_object(Bucket=BUCKET, Key=LEDGER.written[version][0], VersionId=version)
        LEDGER.removed.add(version)


def mark(s3, chance):
    key = chance.choice(KEYS)
    LEDGER.markers[s3.delete_object(Bucket=BUCKET, Key=key)["VersionId"]] = key


def write(endpoint, number):
    s3 = client(endpoint)
    if number == 0:
        s3.create_bucket(Bucket=BUCKET)
        s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    def work(thread):
        chance = random.Random(number * THREADS + thread)
        while True:
            act = chance.choices([put, upload, remove, mark], [6, 2, 3, 1])[0]
            try:
                act(s3, chance)
            except ClientError as error:
                print(f"refused {error}", flush=True)
                return
            except BotoCoreError:  # It was killed, which is the point.
                return
            # One write, so that lines of threads do not mix.
            sys.stdout.write("ack\n")
            sys.stdout.flush()

    threads = [threading.Thread(target=work, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("stopped", flush=True)


def pages(call, **arguments):
    return call.__self__.get_paginator(call.__name__).paginate(Bucket=BUCKET, **arguments)


def verify(endpoint, blobs, whole):
    """`whole` reads every version; else only those that are new, which a crash could have harmed."""
    s3 = client(endpoint)
    found, markers = {}, set()
    for page in pages(s3.list_object_versions):
        found.update({v["VersionId"]: v for v in page.get("Versions", [])})
        markers |= {m["VersionId"] for m in page.get("DeleteMarkers", [])}
    # A removal that nobody acknowledged may or may not have happened.
    missing = set(LEDGER.written) - LEDGER.removing - set(found)
    assert not missing, f"acknowledged and lost: {missing}"
    assert not LEDGER.removed & set(found), "removed and back again"
    assert set(LEDGER.markers) <= markers, "a delete marker is lost"
    files = 0
    for version, listed in found.items():
        known = LEDGER.written.get(version)
        if whole or version not in verify.seen:
            got = s3.get_object(Bucket=BUCKET, Key=listed["Key"], VersionId=version)
            seed, bytes_ = got["Metadata"]["seed"], got["Body"].read()
            sizes = LEDGER.asked[seed]
            assert known is None or known == (listed["Key"], seed, sizes)
            assert bytes_ == body(seed, sum(sizes)), f"version {version} is not what was sent"
            verify.seen[version] = sizes
        files += sum(size > INLINE for size in verify.seen[version])
    for page in pages(s3.list_multipart_uploads):
        for upload in page.get("Uploads", []):
            assert upload["UploadId"] not in LEDGER.aborted, "aborted and back again"
            where = {"Bucket": BUCKET, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            files += sum(part["Size"] > INLINE for part in s3.list_parts(**where).get("Parts", []))
    there = sum(path.is_file() for path in Path(blobs).rglob("*"))
    assert there == files, f"{there} files where {files} are named"
    # What verification finds is acknowledged now: it may not vanish later.
    for version, listed in found.items():
        LEDGER.written.setdefault(version, (listed["Key"], None, verify.seen[version]))
    for version, known in list(LEDGER.written.items()):
        if known[1] is None:
            seed = s3.head_object(Bucket=BUCKET, Key=known[0], VersionId=version)["Metadata"]["seed"]
            LEDGER.written[version] = (known[0], seed, known[2])
    for version in [v for v in LEDGER.removing if v not in found]:
        LEDGER.removed.add(version)
    LEDGER.removing &= LEDGER.removed
    print(f"verified {len(found)} versions, {len(LEDGER.removed)} removed, {files} files", flush=True)


verify.seen = {}

if __name__ == "__main__":
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    for line in sys.stdin:
        order, *words = line.split()
        if order == "write":
            write(words[0], int(words[1]))
        else:
            verify(words[0], words[1], order == "verify-all")
