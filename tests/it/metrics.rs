//! CloudWatch's metrics as SDKs and the AWS CLI see them, and what real Airflow sends.

use serde_json::json;

use crate::support::{Project, airflow_turn, clients, done, skipped};

#[test]
fn sdks_put_and_read_metrics_in_every_protocol() {
    let project = Project::empty("metrics");
    let up = project.up_without_airflow();
    for case in ["put_and_read", "many", "refusals", "other_protocols"] {
        up.python("metrics.py", &[case]);
    }
}

#[test]
fn the_aws_cli_puts_lists_and_reads() {
    let project = Project::empty("metrics");
    let up = project.up_without_airflow();
    let query = json!([{ "Id": "m1", "MetricStat": { "Period": 60, "Stat": "Sum", "Metric": {
        "Namespace": "Mine", "MetricName": "load", "Dimensions": [{ "Name": "Host", "Value": "a" }] } } }]);
    let query = query.to_string();
    // Debian's v2 is older than the variable for it.
    let address = up.aws_endpoint();
    let span = ["--start-time", "2020-01-01T00:00:00Z", "--end-time", "2100-01-01T00:00:00Z"];
    let mut programs = vec![clients().join("aws").to_string_lossy().into_owned()];
    // Debian's package is v2, which brings a botocore of its own.
    if std::path::Path::new("/usr/bin/aws").exists() {
        programs.push("/usr/bin/aws".to_owned());
    } else {
        skipped("the AWS CLI v2's metrics", "/usr/bin/aws is not installed");
    }
    for (program, sum) in programs.iter().zip([2.5, 5.0]) {
        let aws = |args: &[&str]| {
            let args =
                [&["cloudwatch", "--endpoint-url", &address], args, &["--output", "json"]].concat();
            done(up.tool(program).args(args))
        };
        let value = ["--metric-name", "load", "--dimensions", "Host=a", "--value", "2.5"];
        aws(&[&["put-metric-data", "--namespace", "Mine"], &value[..]].concat());
        let read = |text: String| -> serde_json::Value {
            serde_json::from_str(&text).unwrap_or_else(|_| panic!("no JSON: {text}"))
        };
        let listed = read(aws(&["list-metrics", "--namespace", "Mine"]));
        assert_eq!(listed["Metrics"][0]["MetricName"], "load", "{listed}");
        let ask = ["get-metric-data", "--metric-data-queries", &query];
        let data = read(aws(&[&ask, &span[..]].concat()));
        let values = data["MetricDataResults"][0]["Values"].as_array().cloned().unwrap_or_default();
        // Two minutes, where one ended between the two.
        let all: f64 = values.iter().filter_map(serde_json::Value::as_f64).sum();
        assert!((all - sum).abs() < 1e-9, "{data}");
        let hours = ["--period", "3600000", "--statistics", "Sum"];
        let named = ["get-metric-statistics", "--namespace", "Mine", "--metric-name", "load"];
        let named = [&named[..], &["--dimensions", "Name=Host,Value=a"], &hours, &span].concat();
        let found = read(aws(&named));
        assert_eq!(found["Label"], "load", "{found}");
    }
}

#[test]
fn a_real_airflow_s_metrics_have_the_names_that_mwaa_publishes() {
    let _turn = airflow_turn();
    let project = Project::small("measured");
    let up = project.up_with_airflow();
    let console = up.status()["console"].as_str().expect("it has a console").to_owned();
    up.python("metrics.py", &["airflow", "measured", &console]);
}
