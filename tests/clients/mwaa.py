"""The MWAA API as boto3 sees it, where no Airflow needs to run."""

import sys

import boto3
from waiting import cases, refused

mwaa = boto3.client("mwaa")

NETWORK = {"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0a"]}


def request(**changes):
    wanted = {
        "Name": "made-by-api",
        "ExecutionRoleArn": "arn:aws:iam::123456789012:role/role",
        "SourceBucketArn": "arn:aws:s3:::source",
        "DagS3Path": "dags",
        "NetworkConfiguration": NETWORK,
        "AirflowVersion": "2.10.3",
        **changes,
    }
    return {name: value for name, value in wanted.items() if value is not None}


def nothing_there():
    assert mwaa.list_environments()["Environments"] == []
    for call in (mwaa.get_environment, mwaa.delete_environment, mwaa.create_cli_token, mwaa.create_web_login_token):
        refused("ResourceNotFoundException", call, Name="absent")


def validation():
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="source")
    unversioned = refused("ValidationException", mwaa.create_environment, **request())
    assert "ersion" in unversioned["Error"]["Message"], unversioned
    s3.put_bucket_versioning(Bucket="source", VersioningConfiguration={"Status": "Enabled"})
    wrong = [
        {"Name": "1-starts-with-a-digit"},
        {"Name": "x" * 81},
        {"ExecutionRoleArn": "not-an-arn"},
        {"SourceBucketArn": "arn:aws:s3:::absent-bucket"},
        {"SourceBucketArn": "source"},
        {"AirflowVersion": "1.10.12"},
        {"NetworkConfiguration": {"SubnetIds": ["subnet-0a", "subnet-0b", "subnet-0c"], "SecurityGroupIds": ["sg-0a"]}},
        {"NetworkConfiguration": {"SubnetIds": ["net-0a", "net-0b"], "SecurityGroupIds": ["sg-0a"]}},
        {"WebserverAccessMode": "EVERYBODY"},
        {"WeeklyMaintenanceWindowStart": "TUE:03:15"},
        {"AirflowConfigurationOptions": {"Core.Parallelism": "1"}},
        {"Schedulers": 6},
        {"RequirementsS3Path": "requirements.txt", "RequirementsS3ObjectVersion": "no-such-version"},
    ]
    for change in wrong:
        answer = refused("ValidationException", mwaa.create_environment, **request(**change))
        assert answer["Error"]["Message"], change
    assert mwaa.list_environments()["Environments"] == [], "a refused request leaves nothing behind"


if __name__ == "__main__":
    cases(sys.modules[__name__])
