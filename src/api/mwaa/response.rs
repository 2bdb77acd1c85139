//! Values to MWAA's JSON.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::Place;
use super::request::page_token;
use super::rest::Answer;
use crate::environment::{Environment, Logging, Pinned};
use crate::id::EnvironmentName;
use crate::limits::ERROR_MESSAGE_MAX_CHARACTERS;
use crate::runtime::Replacement;

/// The five modules in the order of [`Logging`]: the member, and the end of the log group's name.
const MODULES: [(&str, &str); 5] = [
    ("DagProcessingLogs", "DAGProcessing"),
    ("SchedulerLogs", "Scheduler"),
    ("TaskLogs", "Task"),
    ("WebserverLogs", "WebServer"),
    ("WorkerLogs", "Worker"),
];

/// `CreateEnvironment`'s answer, and `UpdateEnvironment`'s.
pub(super) fn arn(place: &Place, name: &EnvironmentName) -> Value {
    json!({ "Arn": environment_arn(place, name) })
}

/// Where the environment's web server is, for people and for sample code: `localhost:8080`.
pub(super) fn host(environment: &Environment) -> Option<String> {
    environment.web.map(|web| format!("localhost:{}", web.port()))
}

/// `CreateCliToken`'s answer.
pub(super) fn cli_token(token: &str, host: &str) -> Value {
    json!({ "CliToken": token, "WebServerHostname": host })
}

/// `CreateWebLoginToken`'s answer.
pub(super) fn web_token(token: &str, host: &str, iam: &str, airflow: &str) -> Value {
    json!({
        "WebToken": token,
        "WebServerHostname": host,
        "IamIdentity": iam,
        "AirflowIdentity": airflow,
    })
}

/// `InvokeRestApi`'s answer.
pub(super) fn rest(answer: &Answer) -> Value {
    json!({ "RestApiStatusCode": answer.status.as_u16(), "RestApiResponse": answer.body })
}

/// `ListTagsForResource`'s answer.
pub(super) fn tags(tags: &BTreeMap<String, String>) -> Value {
    json!({ "Tags": tags })
}

/// `ListEnvironments`' answer: the names after `after`, `max` at most.
pub(super) fn page(names: &[EnvironmentName], after: Option<&str>, max: usize) -> Value {
    let rest = names.iter().filter(|name| after.is_none_or(|after| name.as_str() > after));
    let rest: Vec<_> = rest.collect();
    let page = &rest[..max.min(rest.len())];
    let mut answer = json!({ "Environments": page });
    if let Some(last) = page.last()
        && rest.len() > page.len()
    {
        answer["NextToken"] = page_token(last).into();
    }
    answer
}

/// `GetEnvironment`'s answer.
pub(super) fn environment(place: &Place, environment: &Environment) -> Value {
    let Environment { spec, status, created, .. } = environment;
    let partition = partition(place);
    let account = &place.account;
    let mut members = json!({
        "Name": spec.name,
        "Status": status.name(),
        "Arn": environment_arn(place, &spec.name),
        "CreatedAt": created.as_epoch_seconds(),
        "ExecutionRoleArn": spec.execution_role_arn,
        "ServiceRoleArn": format!(
            "arn:{partition}:iam::{account}:role/aws-service-role/airflow.amazonaws.com/\
             AWSServiceRoleForAmazonMWAA"
        ),
        "AirflowVersion": spec.airflow_version,
        "SourceBucketArn": format!("arn:{partition}:s3:::{}", spec.bucket),
        "DagS3Path": spec.dag_path,
        "AirflowConfigurationOptions": spec.options,
        "EnvironmentClass": spec.class,
        "MinWorkers": spec.min_workers,
        "MaxWorkers": spec.max_workers,
        "Schedulers": spec.schedulers,
        "MinWebservers": spec.min_webservers,
        "MaxWebservers": spec.max_webservers,
        "NetworkConfiguration": {
            "SubnetIds": spec.subnet_ids,
            "SecurityGroupIds": spec.security_group_ids,
        },
        "LoggingConfiguration": logging(place, &spec.name, &spec.logging),
        "LastUpdate": last_update(environment),
        "WeeklyMaintenanceWindowStart": spec.maintenance_window,
        "Tags": spec.tags,
        "WebserverAccessMode": spec.access_mode,
        "WebserverVpcEndpointService": vpc_endpoint_service(place, &spec.name, "webserver"),
        "DatabaseVpcEndpointService": vpc_endpoint_service(place, &spec.name, "database"),
        "CeleryExecutorQueue": format!(
            "arn:{partition}:sqs:{}:{account}:{}", place.region, environment.queue
        ),
        "EndpointManagement": spec.endpoint_management,
    });
    // AWS: members without a value are absent, not null.
    pinned(&mut members, "Plugins", spec.plugins.as_ref());
    pinned(&mut members, "Requirements", spec.requirements.as_ref());
    pinned(&mut members, "StartupScript", spec.startup_script.as_ref());
    if let Some(key) = &spec.kms_key {
        members["KmsKey"] = key.as_str().into();
    }
    if let Some(host) = host(environment) {
        // AWS: the model says `https://…`, but the service answers the bare host, and samples put the scheme before it.
        members["WebserverUrl"] = host.into();
    }
    json!({ "Environment": members })
}

fn pinned(members: &mut Value, artefact: &str, pinned: Option<&Pinned>) {
    if let Some(Pinned { path, version }) = pinned {
        members[format!("{artefact}S3Path")] = path.as_str().into();
        members[format!("{artefact}S3ObjectVersion")] = version.as_str().into();
    }
}

fn logging(place: &Place, name: &EnvironmentName, logging: &Logging) -> Value {
    let (partition, Place { region, account }) = (partition(place), place);
    let modules = MODULES.iter().zip(&logging.0).map(|((member, group), module)| {
        let group =
            format!("arn:{partition}:logs:{region}:{account}:log-group:airflow-{name}-{group}");
        let value = json!({
            "Enabled": module.enabled,
            "LogLevel": module.level,
            "CloudWatchLogGroupArn": group,
        });
        ((*member).to_owned(), value)
    });
    Value::Object(modules.collect())
}

fn last_update(environment: &Environment) -> Value {
    let update = &environment.last_update;
    let mut members = json!({
        "Status": update.status.name(),
        "CreatedAt": update.at.as_epoch_seconds(),
        "Source": "windtunnel",
        "WorkerReplacementStrategy": match update.replacement {
            Replacement::Forced => "FORCED",
            Replacement::Graceful => "GRACEFUL",
        },
    });
    if let Some((code, message)) = &update.error {
        let message: String = message.chars().take(ERROR_MESSAGE_MAX_CHARACTERS).collect();
        members["Error"] = json!({ "ErrorCode": code, "ErrorMessage": message });
    }
    members
}

/// A name in AWS's form. There is no such service on a laptop, and nobody could connect to it from outside its VPC.
fn vpc_endpoint_service(place: &Place, name: &EnvironmentName, what: &str) -> String {
    let digest = hex::encode(Sha256::digest(format!("{} {name} {what}", place.account)));
    format!("com.amazonaws.vpce.{}.vpce-svc-{}", place.region, &digest[..17])
}

fn environment_arn(place: &Place, name: &EnvironmentName) -> String {
    let Place { region, account } = place;
    format!("arn:{}:airflow:{region}:{account}:environment/{name}", partition(place))
}

fn partition(place: &Place) -> &'static str {
    let region = place.region.as_str();
    if region.starts_with("cn-") {
        "aws-cn"
    } else if region.starts_with("us-gov-") {
        "aws-us-gov"
    } else {
        "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::environment::{LastUpdate, ModuleLogging, Spec, Status, UpdateStatus};
    use crate::id::{AccountId, BucketName, Region, VersionId};

    fn place() -> Place {
        let region = Region::parse("us-east-1").unwrap();
        Place { region, account: AccountId::parse("123456789012").unwrap() }
    }

    fn sample() -> Environment {
        let module = ModuleLogging { enabled: true, level: "INFO".to_owned() };
        let requirements =
            Pinned { path: "requirements.txt".to_owned(), version: VersionId::null() };
        let spec = Spec {
            name: EnvironmentName::parse("dev").unwrap(),
            airflow_version: "2.10.3".to_owned(),
            class: "mw1.small".to_owned(),
            min_workers: 1,
            max_workers: 10,
            schedulers: 2,
            min_webservers: 2,
            max_webservers: 2,
            bucket: BucketName::parse("my-bucket").unwrap(),
            dag_path: "dags".to_owned(),
            plugins: None,
            requirements: Some(requirements),
            startup_script: None,
            options: BTreeMap::from([("core.parallelism".to_owned(), "8".to_owned())]),
            variables: BTreeMap::new(),
            execution_role_arn: "arn:aws:iam::123456789012:role/mwaa".to_owned(),
            subnet_ids: vec!["subnet-1".to_owned(), "subnet-2".to_owned()],
            security_group_ids: vec!["sg-1".to_owned()],
            kms_key: None,
            logging: Logging(std::array::from_fn(|_| module.clone())),
            maintenance_window: "SUN:03:30".to_owned(),
            access_mode: "PUBLIC_ONLY".to_owned(),
            endpoint_management: "SERVICE".to_owned(),
            tags: BTreeMap::from([("team".to_owned(), "data".to_owned())]),
        };
        let at = Timestamp::from_millis(1_700_000_000_500);
        let error = Some(("INCORRECT_CONFIGURATION".to_owned(), "no such pin".to_owned()));
        Environment {
            spec,
            status: Status::UpdateFailed,
            created: at,
            last_update: LastUpdate {
                status: UpdateStatus::Failed,
                at,
                error,
                replacement: Replacement::Graceful,
            },
            web: Some("127.0.0.1:8080".parse().unwrap()),
            queue: "airflow-celery-0".to_owned(),
        }
    }

    #[test]
    fn an_environment_is_described_with_all_of_its_members() {
        let described = environment(&place(), &sample());
        insta::assert_snapshot!(serde_json::to_string_pretty(&described).unwrap());
    }

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let names: Vec<_> =
            ["a", "b", "c"].map(|name| EnvironmentName::parse(name).unwrap()).to_vec();
        let first = page(&names, None, 2);
        assert_eq!(first["Environments"], json!(["a", "b"]));
        let token = first["NextToken"].as_str().unwrap();
        assert_eq!(token, page_token(&names[1]));
        assert_eq!(page(&names, Some("b"), 2), json!({ "Environments": ["c"] }));
        assert_eq!(page(&[], None, 2), json!({ "Environments": [] }));
    }
}
