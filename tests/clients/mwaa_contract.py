"""MWAA's service model, as botocore ships it, against the service: every operation, member and constraint.

A request that breaks one constraint must be refused with a ValidationException that names the member; one at the bound
must get past the checks, and is then refused for another reason: the bucket or the environment is not there.
"""

import copy
import re
import sys
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from waiting import cases, refused, wait_for

# The client checks nothing, so that the service has to.
mwaa = boto3.client("mwaa", config=Config(parameter_validation=False, retries={"total_max_attempts": 1}))
model = mwaa.meta.service_model

ARN = "arn:aws:airflow:us-east-1:123456789012:environment/"
NETWORK = {"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]}
MODULE = {"Enabled": True, "LogLevel": "INFO"}
LOGGING = {f"{module}Logs": MODULE for module in ("DagProcessing", "Scheduler", "Task", "Webserver", "Worker")}

# The whole of each request; each is refused only because something that it names is not there.
BASE = {
    "CreateEnvironment": {
        "Name": "absent",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/role",
        "SourceBucketArn": "arn:aws:s3:::absent-bucket",
        "DagS3Path": "dags",
        "NetworkConfiguration": NETWORK,
        "PluginsS3Path": "plugins.zip",
        "RequirementsS3Path": "requirements.txt",
        "StartupScriptS3Path": "startup.sh",
        "PluginsS3ObjectVersion": "null",
        "RequirementsS3ObjectVersion": "null",
        "StartupScriptS3ObjectVersion": "null",
        "AirflowConfigurationOptions": {"core.parallelism": "8"},
        "LoggingConfiguration": LOGGING,
        "Tags": {"team": "data"},
        "MaxWorkers": 25,
        "Schedulers": 2,
        "MaxWebservers": 5,
    },
    "UpdateEnvironment": {
        "Name": "absent",
        "NetworkConfiguration": {"SecurityGroupIds": ["sg-0a"]},
        "AirflowConfigurationOptions": {"core.parallelism": "8"},
        "LoggingConfiguration": LOGGING,
    },
    "InvokeRestApi": {"Name": "absent", "Path": "/dags", "Method": "GET"},
    "ListEnvironments": {},
    "ListTagsForResource": {"ResourceArn": f"{ARN}absent"},
    "TagResource": {"ResourceArn": f"{ARN}absent", "Tags": {"team": "data"}},
    "UntagResource": {"ResourceArn": f"{ARN}absent", "tagKeys": ["team"]},
    "PublishMetrics": {
        "EnvironmentName": "absent",
        "MetricData": [
            {
                "MetricName": "beats",
                "Timestamp": int(time.time()),
                "Value": 1.0,
                "Unit": "Count",
                "Dimensions": [{"Name": "Function", "Value": "Scheduler"}],
                "StatisticValues": {"SampleCount": 1.0, "Sum": 1.0, "Minimum": 1.0, "Maximum": 1.0},
            }
        ],
    },
}
for named in ("GetEnvironment", "DeleteEnvironment", "CreateCliToken", "CreateWebLoginToken"):
    BASE[named] = {"Name": "absent"}

UUID = "01234567-89ab-cdef-0123-456789abcdef"
# For each patterned shape: texts that fit, the text to lengthen one with, texts that do not fit.
PATTERNED = {
    "EnvironmentName": (["a", "My-env_1"], "x", ["1a", "-a", "a.b", "a b"]),
    "IamRoleArn": (
        ["arn:aws:iam::123456789012:role/r", "arn:aws-cn:iam::123456789012:role/path/r"],
        "x",
        ["arn:aws:iam::1:role/r", "role/r", "arn:aws:iam::123456789012:user/u"],
    ),
    "S3BucketArn": (["arn:aws:s3:::absent-bucket"], None, ["absent-bucket", "arn:aws:s3:::b/", "arn:aws:s3:::B"]),
    "AirflowVersion": (["2.10.3"], None, ["2.10.3-A", "v 2", "2_10"]),
    "ConfigKey": (["a", "core.parallelism", "a_b.c1"], "x", ["Core.x", "core.", "a-b", "1a", ".a"]),
    "ConfigValue": ([" ", "a b~", "x"], "x", ["a\nb", "ü", "\x7f"]),
    "SubnetId": (["subnet-0a", "subnet-a.b_c"], "x", ["subnet-", "sg-1", "subnet-a b"]),
    "SecurityGroupId": (["sg-0a", "sg-a.b_c"], "x", ["sg-", "subnet-1", "sg-a/b"]),
    "KmsKey": (
        [UUID, f"key/{UUID}", f"arn:aws:kms:us-east-1:123456789012:key/{UUID}"],
        None,
        # Aliases fit the pattern, and the service refuses them all the same (user guide, encryption).
        ["mine", f"arn:aws:kms:us-east-1:123456789012:{UUID}", UUID.upper(), "alias/mine"],
    ),
    "WeeklyMaintenanceWindowStart": (["TUE:03:30", "SUN:00:00"], None, ["TUE:24:00", "TUE:03:15", "DIE:03:30", "TUE:3:30"]),
    "TagKey": (["a b", "é/=+-@_.:", "k"], "x", ["a#b", "a\nb"]),
    "TagValue": (["a b", "é/=+-@_.:", "v"], "x", ["a#b", "a\nb"]),
    "EnvironmentArn": ([f"{ARN}absent"], "x", ["arn:aws:s3:::b", f"{ARN}", "absent"]),
    "RelativePath": (["dags", "a/b.txt"], "x", []),
}
# Numbers for which the service is stricter than its model (user guide, environment classes): what is allowed.
STRICTER = {"MaxWorkers": (1, 25), "MinWorkers": (1, 25), "Schedulers": (2, 5), "MinWebservers": (2, 5), "MaxWebservers": (2, 5)}
# Shapes whose values the service knows better than its model.
KNOWN = {
    "EnvironmentClass": (["mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"], ["mw1.huge", ""]),
    # What no bucket can have ever given out as a version is refused by its form.
    "S3ObjectVersion": (["null", "x" * 32, ""], ["x" * 1025]),
    # So is a token that no page has ever given out.
    "NextToken": (["", "ZGV2"], ["x" * 2049, "not a token"]),
}
# Divergences that README tells: one environment serves one team.
TEAMS = {"team-a": {"SourceBucketArn": "arn:aws:s3:::b", "DagS3Path": "a"}}
REFUSED_ALWAYS = {
    "TeamMap": TEAMS,
    "UpdateTeamsInput": {"AddOrUpdate": TEAMS},
    "IdentityCenterConfiguration": {"StartUrl": "https://x"},
}


def variants(shape, base):
    """Pairs of a value and whether it keeps the constraints of the shape."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.name in KNOWN:
        good, bad = KNOWN[shape.name]
        return [(value, True) for value in good] + [(value, False) for value in bad]
    if shape.type_name == "string":
        return texts(shape, low, high)
    if shape.type_name in ("integer", "long"):
        found = []
        if low is not None:
            found += [(low - 1, False), (low, True)]
        if high is not None:
            found += [(high, True), (high + 1, False)]
        return found
    if shape.type_name == "list":
        return sized(shape, base, low, high)
    if shape.type_name == "map":
        return maps(shape, base, low, high)
    return []


def texts(shape, low, high):
    if shape.enum:
        return [(value, True) for value in shape.enum] + [("NOT-ONE-OF-THEM", False), (shape.enum[0].swapcase(), False)]
    if "pattern" in shape.metadata and shape.name not in PATTERNED:
        print(f"skipped: {shape.name}: a pattern that this test does not know")
        return []
    good, longer, bad = PATTERNED.get(shape.name, ([], "x", []))
    found = [(value, True) for value in good] + [(value, False) for value in bad]
    if low:
        found.append(("", False))
    if high is not None:
        start = good[0] if good else ""
        filler = longer or "x"
        if longer:
            found.append(((start + filler * high)[:high], True))
        found.append(((start + filler * (high + 1))[: high + 1], False))
    return found


def sized(shape, base, low, high):
    one = base[0] if base else "x"
    found = []
    for count in {low, high} - {None}:
        found.append(([one] * count, True))
    if low:
        found.append(([one] * (low - 1), False))
    if high is not None:
        found.append(([one] * (high + 1), False))
    return found


def maps(shape, base, low, high):
    value = next(iter(base.values())) if base else "x"
    of = lambda count: {f"key{index}": value for index in range(count)}  # noqa: E731
    found = [(of(count), True) for count in {low, high} - {None}]
    if low:
        found.append((of(low - 1), False))
    if high is not None:
        found.append((of(high + 1), False))
    for key, fine in texts(shape.key, shape.key.metadata.get("min"), shape.key.metadata.get("max")):
        found.append(({key: value}, fine))
    for inner, fine in texts(shape.value, shape.value.metadata.get("min"), shape.value.metadata.get("max")):
        found.append(({"key": inner}, fine))
    return found


def members(shape, base, path=()):
    """Every member of an input with a constraint: its path, and the values to try there."""
    for name, member in shape.members.items():
        here = (*path, name)
        if member.name in REFUSED_ALWAYS:
            yield here, [(REFUSED_ALWAYS[member.name], False)]
            continue
        value = base.get(name) if isinstance(base, dict) else None
        yield here, variants(member, value)
        if member.type_name == "structure" and not getattr(member, "is_document_type", False):
            yield from members(member, value or {}, here)
        if member.type_name == "list":
            if member.member.type_name == "structure":
                yield from members(member.member, (value or [{}])[0], (*here, 0))
            else:
                for inner, fine in variants(member.member, None):
                    size = max(member.metadata.get("min", 1), 1)
                    yield here, [([inner] * size, fine)]


def put(request, path, value):
    changed = copy.deepcopy(request)
    place = changed
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    place[path[-1]] = value
    return changed


def without(request, path):
    changed = copy.deepcopy(request)
    place = changed
    for step in path[:-1]:
        place = place[step]
    del place[path[-1]]
    return changed


def required(shape, base, path=()):
    """Every member that must be there, and is there in the base."""
    uri = [name for name, member in shape.members.items() if member.serialization.get("location") == "uri"]
    for name in shape.required_members:
        if name not in uri:
            yield (*path, name)
    for name, member in shape.members.items():
        value = base.get(name)
        if member.type_name == "structure" and value:
            yield from required(member, value, (*path, name))
        if member.type_name == "list" and member.member.type_name == "structure" and value:
            yield from required(member.member, value[0], (*path, name, 0))


def told(operation, request):
    """What the service says: the constraint that is broken, or None where it gets past the checks."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    try:
        answer = getattr(mwaa, snake)(**request)
        check(answer, model.operation_model(operation).output_shape, operation)
        return None
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ResourceNotFoundException" or re.search("does not exist|No environment named|is not supported", message):
            return None
        assert code == "ValidationException", (operation, request, code, message)
        return message


def constraints():
    tried = 0
    for operation in model.operation_names:
        base = BASE[operation]
        shape = model.operation_model(operation).input_shape
        assert told(operation, base) is None, (operation, told(operation, base))
        for path in required(shape, base):
            message = told(operation, without(base, path))
            member = path[-1][0].lower() + path[-1][1:]
            # An absent list of the query is an empty one, which the model allows.
            if path == ("tagKeys",):
                continue
            assert message and member.lower() in message.lower(), (operation, path, message)
            tried += 1
        for path, values in members(shape, base):
            for value, fine in values:
                # An update is measured with the class of its environment, and there is none here.
                if operation == "CreateEnvironment" and path[-1] in STRICTER:
                    least, most = STRICTER[path[-1]]
                    fine = least <= value <= most
                request = put(base, path, value)
                if value == "PUBLIC_AND_PRIVATE":
                    request["AirflowVersion"] = "3.3.1"  # The first versions do not have it.
                if value == "mw1.micro":
                    request = {name: it for name, it in request.items() if name not in STRICTER}
                if path[-1] == "Name" and value == "" or path == ("ResourceArn",) and value == "":
                    continue  # Another address: no operation is there.
                message = told(operation, request)
                shown = str(value)[:100]
                assert (message is None) == fine, (operation, path, shown, fine, message)
                tried += 1
    print(f"figure: constraints tried against MWAA's model: {tried}")
    assert tried > 250, tried


def check(value, shape, path):
    """An answer against its shape: what must be there, types, enumerations, lengths and patterns."""
    if shape is None:
        return
    kind = shape.type_name
    if kind == "structure":
        if getattr(shape, "is_document_type", False):
            return
        for name in shape.required_members:
            assert name in value, (path, name)
        for name, member in shape.members.items():
            if name in value:
                check(value[name], member, f"{path}.{name}")
        return
    if kind == "list":
        for one in value:
            check(one, shape.member, f"{path}[]")
    elif kind == "map":
        for key, one in value.items():
            check(key, shape.key, f"{path} key")
            check(one, shape.value, f"{path}.{key}")
    elif kind == "string":
        assert isinstance(value, str), (path, value)
        if shape.enum:
            assert value in shape.enum, (path, value)
        # A port, and no scheme: what AWS answers is a bare host name too, whatever its model says.
        if shape.name not in ("WebserverUrl", "Hostname"):
            pattern = shape.metadata.get("pattern")
            pattern = pattern and pattern.replace("\\p{L}", "\\w").replace("\\p{Z}", "\\s").replace("\\p{N}", "\\d")
            assert not pattern or re.fullmatch(pattern, value), (path, value, pattern)
    elif kind == "integer":
        assert isinstance(value, int), (path, value)
    if kind in ("string", "list", "map"):
        low, high = shape.metadata.get("min", 0), shape.metadata.get("max", len(value))
        if shape.name == "TagMap":
            low = 0  # Who has no tags has an empty map of them.
        assert low <= len(value) <= high, (path, value)


def answers():
    """An environment that cannot be made here, because there is no Python: what every answer looks like."""
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="absent-no-more")
    s3.put_bucket_versioning(Bucket="absent-no-more", VersioningConfiguration={"Status": "Enabled"})
    for key in ("plugins.zip", "requirements.txt", "startup.sh"):
        s3.put_object(Bucket="absent-no-more", Key=key, Body=b"")
    wanted = {
        name: value
        for name, value in BASE["CreateEnvironment"].items()
        if not name.endswith("ObjectVersion")
    }
    wanted |= {"Name": "made", "SourceBucketArn": "arn:aws:s3:::absent-no-more", "KmsKey": UUID}
    seen("CreateEnvironment", **wanted)
    refused("ValidationException", mwaa.create_environment, **wanted)

    def failed():
        environment = seen("GetEnvironment", Name="made")["Environment"]
        return environment if environment["Status"] == "CREATE_FAILED" else None

    environment = wait_for("the creation fails", failed)
    error = environment["LastUpdate"]["Error"]
    assert error["ErrorCode"] == "INCORRECT_CONFIGURATION" and "ython" in error["ErrorMessage"], error
    for name, value in wanted.items():
        if name == "LoggingConfiguration":
            for module, given in value.items():
                got = environment[name][module]
                assert {**got, **given} == got and "airflow-made-" in got["CloudWatchLogGroupArn"], got
        else:
            assert environment[name] == value, (name, environment[name], value)
    for artefact in ("Plugins", "Requirements", "StartupScript"):
        assert len(environment[f"{artefact}S3ObjectVersion"]) == 32, environment

    answer = refused("ValidationException", mwaa.update_environment, Name="made", MaxWorkers=3)
    assert answer["Error"]["Message"] == "Environments with CREATE_FAILED status cannot be updated.", answer
    for call, arguments in ((mwaa.create_cli_token, {}), (mwaa.invoke_rest_api, {"Path": "/dags", "Method": "GET"})):
        refused("ResourceNotFoundException", call, Name="made", **arguments)

    arn = environment["Arn"]
    seen("TagResource", ResourceArn=arn, Tags={f"key{n}": "x" for n in range(49)})
    refused("ValidationException", mwaa.tag_resource, ResourceArn=arn, Tags={"one": "more"})
    seen("UntagResource", ResourceArn=arn, tagKeys=[f"key{n}" for n in range(49)])
    assert seen("ListTagsForResource", ResourceArn=arn)["Tags"] == {"team": "data"}

    at = int(time.time())
    datum = {"MetricName": "Beats", "Timestamp": at, "Value": 3.0, "Unit": "Count"}
    seen("PublishMetrics", EnvironmentName="made", MetricData=[datum])

    names = ["made"]
    assert seen("ListEnvironments", MaxResults=25)["Environments"] == names
    seen("DeleteEnvironment", Name="made")
    wait_for("it is gone", lambda: seen("ListEnvironments")["Environments"] == [])
    refused("ResourceNotFoundException", mwaa.get_environment, Name="made")


def seen(operation, **request):
    """Calls an operation that must succeed, and holds its answer against the model."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    answer = getattr(mwaa, snake)(**request)
    check(answer, model.operation_model(operation).output_shape, operation)
    return answer


if __name__ == "__main__":
    cases(sys.modules[__name__])
