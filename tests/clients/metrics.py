"""CloudWatch's metrics as boto3 sees them, in the protocols of old and new SDKs; and Airflow's own, by their names."""

import datetime
import sys
import urllib.request

import boto3
from botocore.config import Config
from waiting import cases, refused, wait_for

cloudwatch = boto3.client("cloudwatch")
DEV = [{"Name": "Environment", "Value": "dev"}]


def around(minutes=10):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {"StartTime": now - datetime.timedelta(minutes=minutes), "EndTime": now + datetime.timedelta(minutes=1)}


def query(name, stat="Sum", namespace="Mine", dimensions=DEV, period=60):
    metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
    return {"Id": "m1", "MetricStat": {"Metric": metric, "Period": period, "Stat": stat}}


def put_and_read():
    at = datetime.datetime.now(datetime.timezone.utc)
    cloudwatch.put_metric_data(
        Namespace="Mine",
        MetricData=[
            {"MetricName": "load", "Dimensions": DEV, "Timestamp": at, "Value": 3.0, "Unit": "Count"},
            {"MetricName": "load", "Dimensions": DEV, "Timestamp": at, "Values": [1.0, 2.0], "Counts": [2, 1], "Unit": "Count"},
            {
                "MetricName": "set",
                "Timestamp": at,
                "StatisticValues": {"SampleCount": 4, "Sum": 10, "Minimum": 1, "Maximum": 4},
            },
        ],
    )
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=[query("load")], **around())["MetricDataResults"]
    assert (result["StatusCode"], result["Values"], result["Label"]) == ("Complete", [7.0], "load"), result
    assert result["Timestamps"][0] == at.replace(second=0, microsecond=0), result
    (empty,) = cloudwatch.get_metric_data(MetricDataQueries=[query("load", dimensions=[])], **around())["MetricDataResults"]
    assert empty["Values"] == [], "fewer dimensions are another metric"
    answer = cloudwatch.get_metric_statistics(
        Namespace="Mine",
        MetricName="load",
        Dimensions=DEV,
        Period=60,
        Statistics=["SampleCount", "Average", "Minimum", "Maximum"],
        **around(),
    )
    (point,) = answer["Datapoints"]
    assert (point["SampleCount"], point["Average"], point["Minimum"], point["Maximum"]) == (4, 1.75, 1, 3), point
    assert point["Unit"] == "Count" and answer["Label"] == "load", answer
    (listed,) = cloudwatch.list_metrics(Namespace="Mine", Dimensions=[{"Name": "Environment"}])["Metrics"]
    assert listed == {"Namespace": "Mine", "MetricName": "load", "Dimensions": DEV}, listed


def many():
    """A body that the SDK compresses, and more metrics than one page holds."""
    data = [{"MetricName": f"m{number:04}", "Dimensions": DEV, "Value": 1.0} for number in range(1000)]
    cloudwatch.put_metric_data(Namespace="Many", MetricData=data)
    pages = list(cloudwatch.get_paginator("list_metrics").paginate(Namespace="Many"))
    names = [metric["MetricName"] for page in pages for metric in page["Metrics"]]
    assert len(pages) == 2 and names == [datum["MetricName"] for datum in data], (len(pages), len(names))
    queries = [dict(query(f"m{number:04}", namespace="Many"), Id=f"m{number}") for number in range(7)]
    paginator = cloudwatch.get_paginator("get_metric_data")
    pages = list(paginator.paginate(MetricDataQueries=queries, MaxDatapoints=3, **around()))
    values = [value for page in pages for result in page["MetricDataResults"] for value in result["Values"]]
    assert len(pages) == 3 and values == [1.0] * 7, (len(pages), values)


def refusals():
    put = cloudwatch.put_metric_data
    refused("InvalidParameterValue", put, Namespace="AWS/Mine", MetricData=[{"MetricName": "a", "Value": 1}])
    refused("InvalidParameterCombination", put, Namespace="Mine", MetricData=[{"MetricName": "a", "Value": 1, "Values": [1]}])
    refused("ValidationError", cloudwatch.get_metric_data, MetricDataQueries=[{"Id": "M", "Expression": "1"}], **around())
    refused("InvalidAction", cloudwatch.describe_alarms)


def other_protocols():
    """What old botocore and other SDKs speak."""
    from botocore import session

    for protocol in ["query", "smithy-rpc-v2-cbor"]:
        made = session.Session()
        model = made.get_component("data_loader").load_service_model("cloudwatch", "service-2")
        model["metadata"]["protocol"] = protocol
        model["metadata"]["protocols"] = [protocol]
        loader = made.get_component("data_loader")
        plain = loader.load_service_model
        loader.load_service_model = lambda name, kind, model=model, plain=plain, **more: (
            model if (name, kind) == ("cloudwatch", "service-2") else plain(name, kind, **more)
        )
        client = made.create_client("cloudwatch", config=Config(retries={"max_attempts": 0}))
        assert client.meta.service_model.resolved_protocol == protocol
        client.put_metric_data(Namespace="Mine", MetricData=[{"MetricName": protocol, "Dimensions": DEV, "Values": [1.0, 4.0]}])
        (result,) = client.get_metric_data(MetricDataQueries=[query(protocol)], **around())["MetricDataResults"]
        assert result["Values"] == [5.0], (protocol, result)
        assert result["Timestamps"][0].tzinfo is not None, (protocol, result)
        points = client.get_metric_statistics(
            Namespace="Mine", MetricName=protocol, Dimensions=DEV, Period=60, ExtendedStatistics=["p100"], **around()
        )["Datapoints"]
        assert points[0]["ExtendedStatistics"] == {"p100": 4.0}, (protocol, points)
        assert client.list_metrics(Namespace="Nothing")["Metrics"] == []
        refused("InvalidParameterValue", client.put_metric_data, Namespace="AWS/X", MetricData=[{"MetricName": "a"}])


def airflow(environment, console):
    """Real Airflow's metrics under the names that MWAA publishes, while it runs."""
    mine = [{"Name": "Environment", "Value": environment}]
    wanted = {
        "SchedulerHeartbeat": {"Function": "Scheduler"},
        "SchedulerLoopDuration": {"Function": "Scheduler"},
        "TriggerHeartbeat": {"Function": "Triggerer"},
        "DagBagSize": {"Function": "DAG Processing"},
        "TotalParseTime": {"Function": "DAG Processing"},
        "PoolOpenSlots": {"Pool": "default_pool"},
        "OpenSlots": {"Function": "Executor"},
    }

    def listed():
        pages = cloudwatch.get_paginator("list_metrics").paginate(Namespace="AmazonMWAA", Dimensions=mine)
        return {
            metric["MetricName"]: {one["Name"]: one["Value"] for one in metric["Dimensions"]}
            for page in pages
            for metric in page["Metrics"]
        }

    found = wait_for("Airflow's metrics", lambda: (lambda known: wanted.keys() <= known.keys() and known)(listed()), 90)
    for name, dimensions in wanted.items():
        assert found[name] == {"Environment": environment, **dimensions}, (name, found[name])
    heartbeat = mine + [{"Name": "Function", "Value": "Scheduler"}]
    ask = query("SchedulerHeartbeat", "Sum", "AmazonMWAA", heartbeat)
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=[ask], **around())["MetricDataResults"]
    assert sum(result["Values"]) >= 1, result
    fine = query("PoolOpenSlots", "Maximum", "AmazonMWAA", mine + [{"Name": "Pool", "Value": "default_pool"}], 10)
    (result,) = cloudwatch.get_metric_data(MetricDataQueries=[fine], **around())["MetricDataResults"]
    assert result["Values"] and all(value > 0 for value in result["Values"]), result
    print(f"figure: {len(found)} of MWAA's metric names are there after a minute of Airflow")
    scrape(console)


def scrape(console):
    """Prometheus' own parser reads the page, once a whole minute has passed."""
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    def families():
        request = urllib.request.Request(f"{console}/metrics", headers={"Accept": "application/openmetrics-text"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text"), answer.headers
            text = answer.read().decode()
        return {family.name: family for family in text_string_to_metric_families(text)}

    found = wait_for("a whole minute", lambda: (lambda all: "amazon_mwaa_scheduler_heartbeat_sum" in all and all)(families()), 90)
    (sample,) = found["amazon_mwaa_scheduler_heartbeat_sum"].samples
    assert sample.value >= 1 and sample.labels["function"] == "Scheduler", sample


if __name__ == "__main__":
    cases(sys.modules[__name__])
