//! Method, raw path and body to a checked [`Operation`].

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Method, StatusCode, request};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::constraint::{self as rule, Faults};
use super::failure::Refusal;
use crate::airflow;
use crate::api::wire::rest_json::{self, Failure};
use crate::environment::{Logging, ModuleLogging, Pinned, Spec};
use crate::id::{BucketName, EnvironmentName, VersionId};
use crate::limits::ENVIRONMENTS_PAGE_MAX;

/// A request, checked as far as it can be by itself.
#[derive(Debug)]
pub(super) enum Operation {
    CreateEnvironment(Box<Create>),
    GetEnvironment(EnvironmentName),
    ListEnvironments { after: Option<String>, max: usize },
    DeleteEnvironment(EnvironmentName),
    CreateCliToken(EnvironmentName),
    CreateWebLoginToken(EnvironmentName),
    ListTags(EnvironmentName),
    Tag(EnvironmentName, BTreeMap<String, String>),
    Untag(EnvironmentName, Vec<String>),
}

/// An environment to be, with MWAA's defaults filled in.
pub(super) struct Create {
    pub(super) name: EnvironmentName,
    pub(super) airflow_version: Option<String>,
    pub(super) bucket: BucketName,
    /// Without a leading or trailing slash.
    pub(super) dag_path: String,
    pub(super) plugins: Path,
    pub(super) requirements: Path,
    pub(super) startup_script: Path,
    class: String,
    workers: (u32, u32),
    schedulers: u32,
    web_servers: (u32, u32),
    options: BTreeMap<String, String>,
    execution_role_arn: String,
    subnet_ids: Vec<String>,
    security_group_ids: Vec<String>,
    kms_key: Option<String>,
    logging: Logging,
    maintenance_window: String,
    access_mode: String,
    endpoint_management: String,
    tags: BTreeMap<String, String>,
}

impl fmt::Debug for Create {
    /// Options hold passwords as often as not, so they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Create").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An object in the source bucket, if one is named; its current version, if none is.
#[derive(Clone, Debug, Default)]
pub(super) struct Path(pub(super) Option<(String, Option<VersionId>)>);

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawCreate {
    execution_role_arn: Option<String>,
    source_bucket_arn: Option<String>,
    dag_s3_path: Option<String>,
    plugins_s3_path: Option<String>,
    plugins_s3_object_version: Option<String>,
    requirements_s3_path: Option<String>,
    requirements_s3_object_version: Option<String>,
    startup_script_s3_path: Option<String>,
    startup_script_s3_object_version: Option<String>,
    airflow_configuration_options: Option<BTreeMap<String, String>>,
    environment_class: Option<String>,
    max_workers: Option<i64>,
    min_workers: Option<i64>,
    schedulers: Option<i64>,
    min_webservers: Option<i64>,
    max_webservers: Option<i64>,
    kms_key: Option<String>,
    airflow_version: Option<String>,
    network_configuration: Option<RawNetwork>,
    logging_configuration: Option<RawLogging>,
    weekly_maintenance_window_start: Option<String>,
    tags: Option<BTreeMap<String, String>>,
    webserver_access_mode: Option<String>,
    endpoint_management: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawNetwork {
    subnet_ids: Option<Vec<String>>,
    security_group_ids: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawLogging {
    #[serde(rename = "DagProcessingLogs")]
    dag_processing: Option<RawModule>,
    #[serde(rename = "SchedulerLogs")]
    scheduler: Option<RawModule>,
    #[serde(rename = "TaskLogs")]
    task: Option<RawModule>,
    #[serde(rename = "WebserverLogs")]
    web_server: Option<RawModule>,
    #[serde(rename = "WorkerLogs")]
    worker: Option<RawModule>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawModule {
    enabled: Option<bool>,
    log_level: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RawTags {
    tags: Option<BTreeMap<String, String>>,
}

/// The classes MWAA documents.
const CLASSES: &[&str] =
    &["mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"];
const LEVELS: &[&str] = &["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"];
/// MWAA's quota for one environment; it can be raised there, and need not be here.
const WORKERS_MAX: i64 = 25;
/// Which slot MWAA picks when none is named is its own affair; this one is ours.
const MAINTENANCE_WINDOW: &str = "SUN:03:30";

/// Reads a request. The path is taken raw: an ARN's encoded slash is not a segment's end.
pub(super) fn parse(parts: &request::Parts, body: &[u8]) -> Result<Operation, Refusal> {
    let query = parts.uri.query();
    let segments = rest_json::segments(parts.uri.path())?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let method = &parts.method;
    match (method.as_str(), segments.as_slice()) {
        ("GET", ["environments"]) => list(query),
        ("PUT", ["environments", name]) => create(name, body),
        ("GET", ["environments", name]) => Ok(Operation::GetEnvironment(named(name)?)),
        ("DELETE", ["environments", name]) => Ok(Operation::DeleteEnvironment(named(name)?)),
        ("PATCH", ["environments", _]) => Err(Refusal::NotYet("UpdateEnvironment")),
        ("POST", ["clitoken", name]) => Ok(Operation::CreateCliToken(named(name)?)),
        ("POST", ["webtoken", name]) => Ok(Operation::CreateWebLoginToken(named(name)?)),
        ("POST", ["restapi", _]) => Err(Refusal::NotYet("InvokeRestApi")),
        ("POST", ["metrics", "environments", _]) => Err(Refusal::NotYet("PublishMetrics")),
        // AWS: some SDKs leave an ARN's slash as it is, so it may come as two segments.
        (_, ["tags", arn @ ..]) if !arn.is_empty() => tagging(method, &arn.join("/"), query, body),
        _ => Err(Refusal::UnknownOperation(format!("{method} {}", parts.uri.path()))),
    }
}

fn named(name: &str) -> Result<EnvironmentName, Refusal> {
    let mut faults = Faults::default();
    faults.text("name", name, rule::NAME);
    EnvironmentName::parse(name).map_err(|_| Refusal::Invalid(faults.0))
}

fn list(query: Option<&str>) -> Result<Operation, Refusal> {
    let mut faults = Faults::default();
    let mut max = ENVIRONMENTS_PAGE_MAX;
    if let Some(given) = rest_json::query_values(query, "MaxResults")?.first() {
        // What is no number at all is as wrong as zero.
        let given = given.parse().unwrap_or(0);
        max = faults.number("maxResults", given, (1, i64::from(ENVIRONMENTS_PAGE_MAX)));
    }
    let mut after = None;
    if let Some(token) = rest_json::query_values(query, "NextToken")?.into_iter().next() {
        after = read_page_token(&token);
        if after.is_none() {
            faults.broken("nextToken", &token, "Member must be a token of an earlier answer");
        }
    }
    checked(faults, Operation::ListEnvironments { after, max: max as usize })
}

/// A page's token: the last name of the page before it.
pub(super) fn page_token(last: &EnvironmentName) -> String {
    URL_SAFE_NO_PAD.encode(last.as_str())
}

fn read_page_token(token: &str) -> Option<String> {
    String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()
}

fn tagging(
    method: &Method,
    arn: &str,
    query: Option<&str>,
    body: &[u8],
) -> Result<Operation, Refusal> {
    let mut faults = Faults::default();
    faults.text("resourceArn", arn, rule::ENVIRONMENT_ARN);
    let name = rule::environment_of(arn).and_then(|name| EnvironmentName::parse(name).ok());
    let Some(name) = name else { return Err(Refusal::Invalid(faults.0)) };
    match *method {
        Method::GET => Ok(Operation::ListTags(name)),
        Method::POST => {
            let raw: RawTags = json(body)?;
            let tags = faults.required("tags", raw.tags).unwrap_or_default();
            check_tags(&mut faults, &tags);
            checked(faults, Operation::Tag(name, tags))
        }
        Method::DELETE => {
            let keys = rest_json::query_values(query, "tagKeys")?;
            faults.size("tagKeys", keys.len(), (0, 50));
            checked(faults, Operation::Untag(name, keys))
        }
        _ => Err(Refusal::UnknownOperation(format!("{method} /tags"))),
    }
}

fn create(name: &str, body: &[u8]) -> Result<Operation, Refusal> {
    let raw: RawCreate = json(body)?;
    let mut faults = Faults::default();
    faults.text("name", name, rule::NAME);
    let create = raw.check(name, &mut faults);
    match create {
        Some(create) if faults.0.is_empty() => Ok(Operation::CreateEnvironment(Box::new(create))),
        _ => Err(Refusal::Invalid(faults.0)),
    }
}

impl RawCreate {
    /// Everything that is wrong goes into `faults`; `None` where nothing can be made of it.
    fn check(self, name: &str, faults: &mut Faults) -> Option<Create> {
        let role = faults.required("executionRoleArn", self.execution_role_arn);
        let bucket_arn = faults.required("sourceBucketArn", self.source_bucket_arn);
        let dag_path = faults.required("dagS3Path", self.dag_s3_path);
        let network = faults.required("networkConfiguration", self.network_configuration);
        let micro = self.environment_class.as_deref() == Some("mw1.micro");
        let workers = (self.min_workers, self.max_workers);
        let web_servers = (self.min_webservers, self.max_webservers);
        let counts = Counts::check(faults, micro, (workers, self.schedulers, web_servers));
        let class = self.environment_class.unwrap_or_else(|| "mw1.small".to_owned());
        faults.text("environmentClass", &class, rule::CLASS);
        faults.one_of("environmentClass", &class, CLASSES);
        if let Some(version) = &self.airflow_version {
            faults.text("airflowVersion", version, rule::VERSION);
        }
        check_kms_key(faults, self.kms_key.as_deref());
        let window =
            self.weekly_maintenance_window_start.unwrap_or_else(|| MAINTENANCE_WINDOW.to_owned());
        faults.text("weeklyMaintenanceWindowStart", &window, rule::WINDOW);
        let access_mode = self.webserver_access_mode.unwrap_or_else(|| "PUBLIC_ONLY".to_owned());
        let modes = ["PRIVATE_ONLY", "PUBLIC_ONLY", "PUBLIC_AND_PRIVATE"];
        faults.one_of("webserverAccessMode", &access_mode, &modes);
        let management = self.endpoint_management.unwrap_or_else(|| "SERVICE".to_owned());
        faults.one_of("endpointManagement", &management, &["CUSTOMER", "SERVICE"]);
        let options = self.airflow_configuration_options.unwrap_or_default();
        check_options(faults, &options);
        let tags = self.tags.unwrap_or_default();
        check_tags(faults, &tags);
        let logging = logging(faults, self.logging_configuration.unwrap_or_default());
        let plugins = path(faults, "plugins", self.plugins_s3_path, self.plugins_s3_object_version);
        let requirements = path(
            faults,
            "requirements",
            self.requirements_s3_path,
            self.requirements_s3_object_version,
        );
        let startup_script = path(
            faults,
            "startupScript",
            self.startup_script_s3_path,
            self.startup_script_s3_object_version,
        );
        let (subnet_ids, security_group_ids) = network_ids(faults, network)?;
        let role = role?;
        faults.text("executionRoleArn", &role, rule::ROLE_ARN);
        Some(Create {
            name: EnvironmentName::parse(name).ok()?,
            airflow_version: self.airflow_version,
            bucket: bucket(faults, &bucket_arn?)?,
            dag_path: folder(faults, &dag_path?)?,
            plugins,
            requirements,
            startup_script,
            class,
            workers: counts.workers,
            schedulers: counts.schedulers,
            web_servers: counts.web_servers,
            options,
            execution_role_arn: role,
            subnet_ids,
            security_group_ids,
            kms_key: self.kms_key,
            logging,
            maintenance_window: window,
            access_mode,
            endpoint_management: management,
            tags,
        })
    }
}

impl Create {
    /// The description, with what the bucket was found to hold.
    pub(super) fn into_spec(
        self,
        [plugins, requirements, startup_script]: [Option<Pinned>; 3],
    ) -> Spec {
        Spec {
            name: self.name,
            airflow_version: self.airflow_version.unwrap_or_else(|| airflow::DEFAULT.to_owned()),
            class: self.class,
            min_workers: self.workers.0,
            max_workers: self.workers.1,
            schedulers: self.schedulers,
            min_webservers: self.web_servers.0,
            max_webservers: self.web_servers.1,
            bucket: self.bucket,
            dag_path: self.dag_path,
            plugins,
            requirements,
            startup_script,
            options: self.options,
            variables: BTreeMap::new(),
            execution_role_arn: self.execution_role_arn,
            subnet_ids: self.subnet_ids,
            security_group_ids: self.security_group_ids,
            kms_key: self.kms_key,
            logging: self.logging,
            maintenance_window: self.maintenance_window,
            access_mode: self.access_mode,
            endpoint_management: self.endpoint_management,
            tags: self.tags,
        }
    }
}

/// How many of what.
struct Counts {
    workers: (u32, u32),
    schedulers: u32,
    web_servers: (u32, u32),
}

/// Least and most, as given.
type Span = (Option<i64>, Option<i64>);

impl Counts {
    /// MWAA's ranges and defaults. A micro environment has one of each and does not scale.
    fn check(
        faults: &mut Faults,
        micro: bool,
        (workers, schedulers, web_servers): (Span, Option<i64>, Span),
    ) -> Counts {
        let (worker_max, default_most) = if micro { (1, 1) } else { (WORKERS_MAX, 10) };
        let (others, default_others) = if micro { ((1, 1), 1) } else { ((2, 5), 2) };
        let most = faults.number("maxWorkers", workers.1.unwrap_or(default_most), (1, worker_max));
        let least = faults.number("minWorkers", workers.0.unwrap_or(1), (1, i64::from(most)));
        let scheduler_count = schedulers.unwrap_or(default_others);
        let schedulers = faults.number("schedulers", scheduler_count, others);
        let web_most = web_servers.1.unwrap_or(default_others);
        let web_most = faults.number("maxWebservers", web_most, others);
        let web_least = web_servers.0.unwrap_or(default_others);
        let web_least = faults.number("minWebservers", web_least, (others.0, i64::from(web_most)));
        Counts { workers: (least, most), schedulers, web_servers: (web_least, web_most) }
    }
}

fn network_ids(
    faults: &mut Faults,
    network: Option<RawNetwork>,
) -> Option<(Vec<String>, Vec<String>)> {
    let network = network?;
    let subnets = faults.required("networkConfiguration.subnetIds", network.subnet_ids);
    let groups =
        faults.required("networkConfiguration.securityGroupIds", network.security_group_ids);
    let (subnets, groups) = (subnets?, groups?);
    faults.size("networkConfiguration.subnetIds", subnets.len(), (2, 2));
    faults.size("networkConfiguration.securityGroupIds", groups.len(), (1, 5));
    for subnet in &subnets {
        faults.text("networkConfiguration.subnetIds", subnet, rule::SUBNET);
    }
    for group in &groups {
        faults.text("networkConfiguration.securityGroupIds", group, rule::SECURITY_GROUP);
    }
    Some((subnets, groups))
}

fn bucket(faults: &mut Faults, arn: &str) -> Option<BucketName> {
    faults.text("sourceBucketArn", arn, rule::BUCKET_ARN);
    let name = rule::bucket_of(arn)?;
    BucketName::parse(name).map_err(|error| faults.broken("sourceBucketArn", arn, error)).ok()
}

fn folder(faults: &mut Faults, given: &str) -> Option<String> {
    faults.text("dagS3Path", given, rule::ANY_PATH);
    let folder = given.trim_matches('/');
    if folder.is_empty() {
        faults.broken("dagS3Path", given, "Member must name a folder of the bucket, such as dags");
        return None;
    }
    Some(folder.to_owned())
}

fn path(
    faults: &mut Faults,
    artefact: &str,
    path: Option<String>,
    version: Option<String>,
) -> Path {
    let member = format!("{artefact}S3ObjectVersion");
    let Some(path) = path else {
        if let Some(version) = version {
            let rule = format!("Member must come with {artefact}S3Path");
            faults.broken(&member, version, rule);
        }
        return Path(None);
    };
    faults.text(&format!("{artefact}S3Path"), &path, rule::ANY_PATH);
    let version = version.and_then(|version| {
        let parsed = VersionId::parse(version.as_str());
        parsed
            .map_err(|_| faults.broken(&member, &version, "Member must be a version of the object"))
            .ok()
    });
    Path(Some((path, version)))
}

fn logging(faults: &mut Faults, raw: RawLogging) -> Logging {
    // AWS: where a module is absent, only task logs are on, at INFO.
    let mut module = |member: &str, raw: Option<RawModule>, enabled: bool| {
        let Some(raw) = raw else {
            return ModuleLogging { enabled, level: "INFO".to_owned() };
        };
        let at = |part: &str| format!("loggingConfiguration.{member}.{part}");
        let enabled = faults.required(&at("enabled"), raw.enabled);
        let level = faults.required(&at("logLevel"), raw.log_level).unwrap_or_default();
        if !level.is_empty() {
            faults.one_of(&at("logLevel"), &level, LEVELS);
        }
        ModuleLogging { enabled: enabled.unwrap_or(false), level }
    };
    Logging([
        module("dagProcessingLogs", raw.dag_processing, false),
        module("schedulerLogs", raw.scheduler, false),
        module("taskLogs", raw.task, true),
        module("webserverLogs", raw.web_server, false),
        module("workerLogs", raw.worker, false),
    ])
}

fn check_kms_key(faults: &mut Faults, key: Option<&str>) {
    let Some(key) = key else { return };
    faults.text("kmsKey", key, rule::KMS_KEY);
    if key.contains("alias/") {
        // AWS: an alias passes the pattern and is refused all the same (user guide, encryption).
        faults.broken("kmsKey", key, "Member must be a key, not an alias of one");
    }
}

fn check_options(faults: &mut Faults, options: &BTreeMap<String, String>) {
    for (key, value) in options {
        faults.text("airflowConfigurationOptions", key, rule::CONFIG_KEY);
        let member = format!("airflowConfigurationOptions.{key}");
        faults.secret(&member, value, rule::CONFIG_VALUE);
    }
}

fn check_tags(faults: &mut Faults, tags: &BTreeMap<String, String>) {
    faults.size("tags", tags.len(), (0, 50));
    for (key, value) in tags {
        faults.text("tags", key, rule::TAG_KEY);
        faults.text(&format!("tags.{key}"), value, rule::TAG_VALUE);
    }
}

/// Tags that were added to others must still be few enough.
pub(super) fn check_tag_count(tags: &BTreeMap<String, String>) -> Result<(), Refusal> {
    let mut faults = Faults::default();
    faults.size("tags", tags.len(), (0, 50));
    checked(faults, ())
}

fn checked<T>(faults: Faults, value: T) -> Result<T, Refusal> {
    if faults.0.is_empty() { Ok(value) } else { Err(Refusal::Invalid(faults.0)) }
}

fn json<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, Refusal> {
    if body.is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(body).map_err(|error| {
        let message = format!("the body is not the JSON of this operation: {error}");
        Failure::new("SerializationException", StatusCode::BAD_REQUEST, message).into()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parse_text(method: &str, uri: &str, body: &str) -> Result<Operation, Refusal> {
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        parse(&request.into_parts().0, body.as_bytes())
    }

    fn least() -> Value {
        json!({
            "ExecutionRoleArn": "arn:aws:iam::123456789012:role/mwaa",
            "SourceBucketArn": "arn:aws:s3:::my-bucket",
            "DagS3Path": "dags/",
            "NetworkConfiguration": {
                "SubnetIds": ["subnet-1", "subnet-2"],
                "SecurityGroupIds": ["sg-1"],
            },
        })
    }

    fn create_with(member: &str, value: Value) -> Result<Operation, Refusal> {
        let mut body = least();
        body[member] = value;
        parse_text("PUT", "/environments/dev", &body.to_string())
    }

    fn sentences(refused: Result<Operation, Refusal>) -> Vec<String> {
        match refused {
            Err(Refusal::Invalid(sentences)) => sentences,
            other => panic!("a constraint should be broken: {other:?}"),
        }
    }

    #[test]
    fn the_least_that_can_be_asked_for_gets_mwaas_defaults() {
        let operation = parse_text("PUT", "/environments/dev", &least().to_string()).unwrap();
        let Operation::CreateEnvironment(create) = operation else { panic!("{operation:?}") };
        let spec = create.into_spec([None, None, None]);
        assert_eq!(spec.dag_path, "dags");
        assert_eq!((spec.min_workers, spec.max_workers, spec.schedulers), (1, 10, 2));
        assert_eq!((spec.min_webservers, spec.max_webservers), (2, 2));
        assert_eq!((spec.class.as_str(), spec.access_mode.as_str()), ("mw1.small", "PUBLIC_ONLY"));
        let on: Vec<_> = spec.logging.0.iter().map(|module| module.enabled).collect();
        assert_eq!(on, [false, false, true, false, false]);
    }

    #[test]
    fn a_micro_environment_has_one_of_each() {
        let operation = create_with("EnvironmentClass", json!("mw1.micro")).unwrap();
        let Operation::CreateEnvironment(create) = operation else { panic!("{operation:?}") };
        let spec = create.into_spec([None, None, None]);
        assert_eq!((spec.min_workers, spec.max_workers, spec.schedulers), (1, 1, 1));
        assert_eq!((spec.min_webservers, spec.max_webservers), (1, 1));
    }

    #[test]
    fn each_constraint_is_held() {
        let table = [
            ("ExecutionRoleArn", json!("mwaa")),
            ("ExecutionRoleArn", json!(null)),
            ("SourceBucketArn", json!("my-bucket")),
            ("SourceBucketArn", json!("arn:aws:s3:::my-bucket/")),
            ("SourceBucketArn", json!("arn:aws:s3:::x")),
            ("DagS3Path", json!("")),
            ("DagS3Path", json!("/")),
            ("NetworkConfiguration", json!({})),
            (
                "NetworkConfiguration",
                json!({"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}),
            ),
            (
                "NetworkConfiguration",
                json!({"SubnetIds": ["subnet-1", "x"], "SecurityGroupIds": ["sg-1"]}),
            ),
            (
                "NetworkConfiguration",
                json!({"SubnetIds": ["subnet-1", "subnet-2"], "SecurityGroupIds": []}),
            ),
            ("EnvironmentClass", json!("mw1.huge")),
            ("AirflowVersion", json!("2.10.3!")),
            ("MinWorkers", json!(0)),
            ("MinWorkers", json!(11)),
            ("MaxWorkers", json!(26)),
            ("Schedulers", json!(6)),
            ("Schedulers", json!(1)),
            ("MinWebservers", json!(6)),
            ("KmsKey", json!("alias/mine")),
            ("WeeklyMaintenanceWindowStart", json!("TUE:03:15")),
            ("WebserverAccessMode", json!("PUBLIC")),
            ("EndpointManagement", json!("MINE")),
            ("AirflowConfigurationOptions", json!({"Core.x": "1"})),
            ("AirflowConfigurationOptions", json!({"core.x": ""})),
            ("AirflowConfigurationOptions", json!({"core.x": "a\nb"})),
            ("LoggingConfiguration", json!({"TaskLogs": {"Enabled": true}})),
            ("LoggingConfiguration", json!({"TaskLogs": {"LogLevel": "INFO"}})),
            ("LoggingConfiguration", json!({"TaskLogs": {"Enabled": true, "LogLevel": "LOUD"}})),
            ("Tags", json!({"a": ""})),
            ("Tags", json!({"a#": "b"})),
            ("PluginsS3ObjectVersion", json!("x")),
            ("PluginsS3Path", json!("")),
        ];
        for (member, value) in table {
            let shown = value.to_string();
            assert!(!sentences(create_with(member, value)).is_empty(), "{member} {shown}");
        }
        assert!(
            !sentences(parse_text("PUT", "/environments/1st", &least().to_string())).is_empty()
        );
    }

    #[test]
    fn all_that_is_wrong_is_said_at_once_in_aws_words() {
        let body = json!({
            "ExecutionRoleArn": "mwaa",
            "SourceBucketArn": "arn:aws:s3:::my-bucket",
            "DagS3Path": "dags",
            "NetworkConfiguration": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
        });
        let refused = parse_text("PUT", "/environments/dev", &body.to_string()).unwrap_err();
        insta::assert_snapshot!(refused.into_failure().message, @r"2 validation errors detected: Value '[1 elements]' at 'networkConfiguration.subnetIds' failed to satisfy constraint: Member must have length greater than or equal to 2; Value 'mwaa' at 'executionRoleArn' failed to satisfy constraint: Member must satisfy regular expression pattern: ^arn:aws(-[a-z]+)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$");
    }

    #[test]
    fn a_body_of_the_wrong_shape_is_a_serialization_exception() {
        let refused = create_with("MinWorkers", json!("many")).unwrap_err().into_failure();
        assert_eq!(refused.code, "SerializationException");
        let refused = parse_text("PUT", "/environments/dev", "{").unwrap_err().into_failure();
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
    }

    #[test]
    fn an_arn_in_the_path_may_be_encoded_or_not() {
        let encoded = "/tags/arn%3Aaws%3Aairflow%3Aus-east-1%3A123456789012%3Aenvironment%2Fdev";
        let plain = "/tags/arn:aws:airflow:us-east-1:123456789012:environment/dev";
        for path in [encoded, plain] {
            let operation = parse_text("GET", path, "").unwrap();
            assert!(matches!(operation, Operation::ListTags(name) if name.as_str() == "dev"));
        }
        let uri = format!("{plain}?tagKeys=a&tagKeys=b%20c");
        let operation = parse_text("DELETE", &uri, "").unwrap();
        assert!(matches!(operation, Operation::Untag(_, keys) if keys == ["a", "b c"]));
    }

    #[test]
    fn pages_are_between_one_and_twenty_five_and_their_tokens_ours() {
        for query in ["MaxResults=0", "MaxResults=26", "MaxResults=x", "NextToken=%20"] {
            let uri = format!("/environments?{query}");
            assert!(!sentences(parse_text("GET", &uri, "")).is_empty(), "{query}");
        }
        let token = page_token(&EnvironmentName::parse("dev").unwrap());
        let uri = format!("/environments?MaxResults=5&NextToken={token}");
        let operation = parse_text("GET", &uri, "").unwrap();
        let Operation::ListEnvironments { after, max } = operation else { panic!("{operation:?}") };
        assert_eq!((after.as_deref(), max), (Some("dev"), 5));
    }

    #[test]
    fn what_is_not_there_yet_says_so() {
        for (method, path) in [
            ("PATCH", "/environments/dev"),
            ("POST", "/restapi/dev"),
            ("POST", "/metrics/environments/dev"),
            ("POST", "/environments/dev"),
            ("GET", "/"),
        ] {
            let failure = parse_text(method, path, "").unwrap_err().into_failure();
            assert_eq!(failure.code, "UnknownOperationException", "{method} {path}");
            assert_eq!(failure.status, StatusCode::NOT_FOUND);
        }
    }
}
