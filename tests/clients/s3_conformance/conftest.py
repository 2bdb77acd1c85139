"""A client, buckets of each kind, and what every test file needs to say that a call must be refused."""

import itertools

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from wire import OTHER, OWNER, THIRD

NUMBERS = itertools.count(1)


def connected(who, **config):
    options = {"retries": {"total_max_attempts": 1}, "read_timeout": 60, "s3": {"addressing_style": "path"}, **config}
    return boto3.client(
        "s3",
        region_name="us-east-1",
        aws_access_key_id=who[0],
        aws_secret_access_key=who[1],
        config=Config(**options),
    )


@pytest.fixture(scope="session")
def s3():
    """The owner's client."""
    return connected(OWNER)


@pytest.fixture(scope="session")
def plain():
    """The same without checksums of its own making."""
    return connected(OWNER, request_checksum_calculation="when_required", response_checksum_validation="when_required")


@pytest.fixture(scope="session")
def other():
    """Somebody else's client."""
    return connected(OTHER)


@pytest.fixture(scope="session")
def third():
    return connected(THIRD)


def named(request):
    words = request.node.name.split("[")[0].replace("_", "-").lower()[5:45].strip("-")
    return f"{words}-{next(NUMBERS)}"


@pytest.fixture
def name(request):
    """The name of a bucket that nobody has made yet."""
    return named(request)


@pytest.fixture
def bucket(s3, request):
    """A bucket that was never versioned."""
    made = named(request)
    s3.create_bucket(Bucket=made)
    return made


@pytest.fixture
def versioned(s3, request):
    made = named(request)
    s3.create_bucket(Bucket=made)
    s3.put_bucket_versioning(Bucket=made, VersioningConfiguration={"Status": "Enabled"})
    return made


@pytest.fixture
def suspended(s3, versioned):
    """A bucket whose versioning was on; the key `old` has a version from then."""
    s3.put_object(Bucket=versioned, Key="old", Body=b"from the enabled days")
    s3.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    return versioned


@pytest.fixture
def writer_bucket(s3, request):
    """A bucket as before 2023: access control lists count, and nothing public is blocked."""
    made = named(request)
    s3.create_bucket(Bucket=made, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=made)
    return made


@pytest.fixture
def locked(s3, request):
    made = named(request)
    s3.create_bucket(Bucket=made, ObjectLockEnabledForBucket=True)
    return made


def refused(code, status, call, **arguments):
    """The call must be refused with this code and status; gives the whole answer."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    answer = caught.value.response
    got = (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"])
    assert got == (code, status), answer["Error"]
    return answer


def read(s3, bucket, key, **more):
    return s3.get_object(Bucket=bucket, Key=key, **more)["Body"].read()


def headers(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def wait_for(probe, seconds=60):
    """Waits until the probe holds; the helper that may sleep is the other clients' own."""
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import waiting

    return waiting.wait_for("a condition of the suite", probe, seconds)
