//! An environment's members, as `CreateEnvironment` and `UpdateEnvironment` share them.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use crate::airflow;
use crate::constraints::environment::{self as whole, Numbers};
use crate::constraints::{self as rule, Faults};
use crate::environment::{Change, Logging, ModuleLogging, Pinned, Spec};
use crate::id::{BucketName, EnvironmentName, VersionId};
use crate::runtime::Replacement;

/// Which slot MWAA picks when none is named is its own affair; this one is ours.
const MAINTENANCE_WINDOW: &str = "SUN:03:30";

/// The body of both operations: `UpdateEnvironment` has no key, no endpoint management and no tags, and AWS overlooks
/// members that an operation does not have.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Raw {
    execution_role_arn: Option<String>,
    source_bucket_arn: Option<String>,
    #[serde(rename = "DagS3Path")]
    dag_path: Option<String>,
    #[serde(rename = "PluginsS3Path")]
    plugins: Option<String>,
    #[serde(rename = "PluginsS3ObjectVersion")]
    plugins_version: Option<String>,
    #[serde(rename = "RequirementsS3Path")]
    requirements: Option<String>,
    #[serde(rename = "RequirementsS3ObjectVersion")]
    requirements_version: Option<String>,
    #[serde(rename = "StartupScriptS3Path")]
    startup_script: Option<String>,
    #[serde(rename = "StartupScriptS3ObjectVersion")]
    startup_script_version: Option<String>,
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
    worker_replacement_strategy: Option<String>,
    teams: Option<serde::de::IgnoredAny>,
    identity_center_configuration: Option<serde::de::IgnoredAny>,
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

/// Members that are each as they must be. What is absent was not given.
#[derive(Clone, Default)]
pub(super) struct Members {
    pub(super) airflow_version: Option<String>,
    pub(super) bucket: Option<BucketName>,
    /// Without a leading or trailing slash.
    dag_path: Option<String>,
    /// Plugins, requirements, startup script.
    pub(super) artefacts: [Artefact; 3],
    class: Option<String>,
    numbers: Numbers<Option<i64>>,
    options: Option<BTreeMap<String, String>>,
    execution_role_arn: Option<String>,
    logging: Option<[Option<ModuleLogging>; 5]>,
    maintenance_window: Option<String>,
    access_mode: Option<String>,
}

/// An object of the source bucket, as a request names it.
#[derive(Clone, Debug, Default)]
pub(super) struct Artefact {
    /// As the members begin: `requirements`.
    pub(super) name: &'static str,
    pub(super) path: Option<String>,
    /// Where absent: the object's current one.
    pub(super) version: Option<VersionId>,
}

/// An environment to be.
#[derive(Clone)]
pub(super) struct Create {
    pub(super) name: EnvironmentName,
    pub(super) bucket: BucketName,
    pub(super) members: Members,
    dag_path: String,
    numbers: Numbers<u32>,
    execution_role_arn: String,
    subnet_ids: Vec<String>,
    security_group_ids: Vec<String>,
    kms_key: Option<String>,
    endpoint_management: String,
    tags: BTreeMap<String, String>,
}

/// An environment to be changed.
#[derive(Clone)]
pub(super) struct Update {
    pub(super) name: EnvironmentName,
    pub(super) members: Members,
    security_group_ids: Option<Vec<String>>,
    pub(super) replacement: Replacement,
}

impl fmt::Debug for Create {
    /// Options hold passwords as often as not, so they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Create").field("name", &self.name).finish_non_exhaustive()
    }
}

impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Raw {
    /// A new environment. Everything that is wrong goes into `faults`; `None` where nothing can be made of it.
    pub(super) fn create(mut self, name: &str, faults: &mut Faults) -> Option<Create> {
        faults.text("name", name, rule::NAME);
        let role = faults.required("executionRoleArn", self.execution_role_arn.clone());
        faults.required("sourceBucketArn", self.source_bucket_arn.as_ref());
        faults.required("dagS3Path", self.dag_path.as_ref());
        let network = self.network_configuration.take();
        let network = faults.required("networkConfiguration", network).unwrap_or_default();
        let subnets = faults.required("networkConfiguration.subnetIds", network.subnet_ids);
        let groups =
            faults.required("networkConfiguration.securityGroupIds", network.security_group_ids);
        if let Some(subnets) = &subnets {
            faults.size("networkConfiguration.subnetIds", subnets.len(), (2, 2));
            for subnet in subnets {
                faults.text("networkConfiguration.subnetIds", subnet, rule::SUBNET);
            }
        }
        check_security_groups(faults, groups.as_deref());
        if let Some(key) = &self.kms_key {
            whole::check_kms_key(faults, key);
        }
        let management = self.endpoint_management.take().unwrap_or_else(|| "SERVICE".to_owned());
        faults.one_of("endpointManagement", &management, &whole::ENDPOINT_MANAGEMENT);
        let tags = self.tags.take();
        if let Some(tags) = &tags {
            whole::check_tags(faults, tags);
        }
        let kms_key = self.kms_key.take();
        let members = self.members(faults);
        for artefact in &members.artefacts {
            artefact.has_path(faults, None);
        }
        let class = members.class.as_deref().unwrap_or("mw1.small");
        let numbers = members.numbers.or_defaults(class).check(faults, class);
        check_access(faults, &members, airflow::DEFAULT);
        Some(Create {
            name: EnvironmentName::parse(name).ok()?,
            bucket: members.bucket.clone()?,
            dag_path: members.dag_path.clone()?,
            members,
            numbers,
            execution_role_arn: role?,
            subnet_ids: subnets?,
            security_group_ids: groups?,
            kms_key,
            endpoint_management: management,
            tags: tags.unwrap_or_default(),
        })
    }

    /// A change of an environment, checked as far as it can be without knowing the environment.
    pub(super) fn update(mut self, name: &str, faults: &mut Faults) -> Option<Update> {
        faults.text("name", name, rule::NAME);
        let network = self.network_configuration.take();
        let groups = network.and_then(|network| {
            faults.required("networkConfiguration.securityGroupIds", network.security_group_ids)
        });
        check_security_groups(faults, groups.as_deref());
        // What depends on the class is checked against the environment.
        for (member, given) in [
            ("maxWorkers", self.max_workers),
            ("minWorkers", self.min_workers),
            ("maxWebservers", self.max_webservers),
            ("minWebservers", self.min_webservers),
        ] {
            if let Some(count) = given {
                faults.number(member, count, (1, i64::from(u32::MAX)));
            }
        }
        if let Some(count) = self.schedulers {
            faults.number("schedulers", count, (i64::MIN, 5));
        }
        let strategy = self.worker_replacement_strategy.take();
        let strategy = strategy.unwrap_or_else(|| "FORCED".to_owned());
        faults.one_of("workerReplacementStrategy", &strategy, &["FORCED", "GRACEFUL"]);
        let replacement =
            if strategy == "GRACEFUL" { Replacement::Graceful } else { Replacement::Forced };
        let members = self.members(faults);
        let name = EnvironmentName::parse(name).ok()?;
        Some(Update { name, members, security_group_ids: groups, replacement })
    }

    /// What both operations have, each member by itself.
    fn members(self, faults: &mut Faults) -> Members {
        for (member, given) in [
            ("teams", self.teams.is_some()),
            ("identityCenterConfiguration", self.identity_center_configuration.is_some()),
        ] {
            if given {
                // Divergence(teams): there is no IAM Identity Center on a laptop to say who belongs to which team.
                let rule = "Member must be absent: windtunnel's environments serve one team";
                faults.broken(member, "…", rule);
            }
        }
        if let Some(role) = &self.execution_role_arn {
            faults.text("executionRoleArn", role, rule::ROLE_ARN);
        }
        if let Some(class) = &self.environment_class {
            whole::check_class(faults, class);
        }
        if let Some(version) = &self.airflow_version {
            faults.text("airflowVersion", version, rule::VERSION);
        }
        if let Some(window) = &self.weekly_maintenance_window_start {
            faults.text("weeklyMaintenanceWindowStart", window, rule::WINDOW);
        }
        if let Some(mode) = &self.webserver_access_mode {
            faults.one_of("webserverAccessMode", mode, &whole::ACCESS_MODES);
        }
        if let Some(options) = &self.airflow_configuration_options {
            whole::check_options(faults, options);
        }
        let numbers = Numbers {
            min_workers: self.min_workers,
            max_workers: self.max_workers,
            schedulers: self.schedulers,
            min_webservers: self.min_webservers,
            max_webservers: self.max_webservers,
        };
        Members {
            airflow_version: self.airflow_version,
            bucket: self.source_bucket_arn.and_then(|arn| bucket(faults, &arn)),
            dag_path: self.dag_path.and_then(|path| folder(faults, &path)),
            artefacts: [
                artefact(faults, "plugins", (self.plugins, self.plugins_version)),
                artefact(faults, "requirements", (self.requirements, self.requirements_version)),
                artefact(
                    faults,
                    "startupScript",
                    (self.startup_script, self.startup_script_version),
                ),
            ],
            class: self.environment_class,
            numbers,
            options: self.airflow_configuration_options,
            execution_role_arn: self.execution_role_arn,
            logging: self.logging_configuration.map(|raw| logging(faults, raw)),
            maintenance_window: self.weekly_maintenance_window_start,
            access_mode: self.webserver_access_mode,
        }
    }
}

impl Create {
    /// The description, with what the bucket was found to hold.
    pub(super) fn into_spec(self, pinned: [Option<Pinned>; 3]) -> Spec {
        let [plugins, requirements, startup_script] = pinned;
        let Create { members, numbers, .. } = self;
        Spec {
            name: self.name,
            airflow_version: members.airflow_version.unwrap_or_else(|| airflow::DEFAULT.to_owned()),
            class: members.class.unwrap_or_else(|| "mw1.small".to_owned()),
            min_workers: numbers.min_workers,
            max_workers: numbers.max_workers,
            schedulers: numbers.schedulers,
            min_webservers: numbers.min_webservers,
            max_webservers: numbers.max_webservers,
            bucket: self.bucket,
            dag_path: self.dag_path,
            plugins,
            requirements,
            startup_script,
            options: members.options.unwrap_or_default(),
            variables: BTreeMap::new(),
            execution_role_arn: self.execution_role_arn,
            subnet_ids: self.subnet_ids,
            security_group_ids: self.security_group_ids,
            kms_key: self.kms_key,
            logging: changed_logging(members.logging.unwrap_or_default(), &default_logging()),
            maintenance_window: members
                .maintenance_window
                .unwrap_or_else(|| MAINTENANCE_WINDOW.to_owned()),
            access_mode: members.access_mode.unwrap_or_else(|| "PUBLIC_ONLY".to_owned()),
            endpoint_management: self.endpoint_management,
            tags: self.tags,
        }
    }
}

impl Update {
    /// What the environment has or is to have of each artefact, and whether all of it goes together.
    pub(super) fn against(&self, spec: &Spec, faults: &mut Faults) -> [Artefact; 3] {
        let has = Numbers {
            min_workers: spec.min_workers,
            max_workers: spec.max_workers,
            schedulers: spec.schedulers,
            min_webservers: spec.min_webservers,
            max_webservers: spec.max_webservers,
        };
        let class = self.members.class.as_deref().unwrap_or(&spec.class);
        self.members.numbers.or(has).check(faults, class);
        if self.members.access_mode.is_some() || self.members.airflow_version.is_some() {
            let mode = self.members.access_mode.as_deref().unwrap_or(&spec.access_mode);
            let version = self.members.airflow_version.as_deref();
            whole::check_access(faults, mode, version.unwrap_or(&spec.airflow_version));
        }
        let pinned = [&spec.plugins, &spec.requirements, &spec.startup_script];
        let [plugins, requirements, startup_script] = &self.members.artefacts;
        [(plugins, pinned[0]), (requirements, pinned[1]), (startup_script, pinned[2])].map(
            |(artefact, has)| {
                let has = has.as_ref().map(|pinned| pinned.path.as_str());
                artefact.has_path(faults, has);
                let named = artefact.path.is_some() || artefact.version.is_some();
                let path = artefact.path.clone().or_else(|| has.map(str::to_owned));
                Artefact { path: path.filter(|_| named), ..artefact.clone() }
            },
        )
    }

    /// The change, with what the bucket was found to hold.
    pub(super) fn into_change(self, spec: &Spec, pinned: [Option<Pinned>; 3]) -> Change {
        let [plugins, requirements, startup_script] = pinned;
        let Members { numbers, .. } = self.members;
        let count = |given: Option<i64>| given.and_then(|count| u32::try_from(count).ok());
        Change {
            airflow_version: self.members.airflow_version,
            class: self.members.class,
            min_workers: count(numbers.min_workers),
            max_workers: count(numbers.max_workers),
            schedulers: count(numbers.schedulers),
            min_webservers: count(numbers.min_webservers),
            max_webservers: count(numbers.max_webservers),
            bucket: self.members.bucket,
            dag_path: self.members.dag_path,
            plugins,
            requirements,
            startup_script,
            options: self.members.options,
            execution_role_arn: self.members.execution_role_arn,
            security_group_ids: self.security_group_ids,
            logging: self.members.logging.map(|modules| changed_logging(modules, &spec.logging)),
            maintenance_window: self.members.maintenance_window,
            access_mode: self.members.access_mode,
        }
    }
}

impl Artefact {
    /// Whether there is a path to the version: one that is given, or the one that the environment `has`.
    fn has_path(&self, faults: &mut Faults, has: Option<&str>) {
        if let (None, Some(version), None) = (&self.path, &self.version, has) {
            let Artefact { name, .. } = self;
            let rule = format!("Member must come with {name}S3Path");
            faults.broken(&format!("{name}S3ObjectVersion"), version, rule);
        }
    }
}

fn check_access(faults: &mut Faults, members: &Members, default: &str) {
    if let Some(mode) = &members.access_mode {
        let version = members.airflow_version.as_deref().unwrap_or(default);
        whole::check_access(faults, mode, version);
    }
}

fn check_security_groups(faults: &mut Faults, groups: Option<&[String]>) {
    let Some(groups) = groups else { return };
    faults.size("networkConfiguration.securityGroupIds", groups.len(), (1, 5));
    for group in groups {
        faults.text("networkConfiguration.securityGroupIds", group, rule::SECURITY_GROUP);
    }
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

/// Empty texts are none: the model allows them, and Terraform's provider sends them.
fn artefact(
    faults: &mut Faults,
    name: &'static str,
    (path, version): (Option<String>, Option<String>),
) -> Artefact {
    let path = path.filter(|path| !path.is_empty());
    if let Some(path) = &path {
        faults.text(&format!("{name}S3Path"), path, rule::ANY_PATH);
    }
    let version = version.filter(|version| !version.is_empty()).and_then(|version| {
        let member = format!("{name}S3ObjectVersion");
        let parsed = VersionId::parse(version.as_str());
        let rule = "Member must be a version of the object";
        parsed.map_err(|_| faults.broken(&member, &version, rule)).ok()
    });
    Artefact { name, path, version }
}

fn logging(faults: &mut Faults, raw: RawLogging) -> [Option<ModuleLogging>; 5] {
    [
        ("dagProcessingLogs", raw.dag_processing),
        ("schedulerLogs", raw.scheduler),
        ("taskLogs", raw.task),
        ("webserverLogs", raw.web_server),
        ("workerLogs", raw.worker),
    ]
    .map(|(member, raw)| {
        let raw = raw?;
        let at = |part: &str| format!("loggingConfiguration.{member}.{part}");
        let enabled = faults.required(&at("enabled"), raw.enabled);
        let level = faults.required(&at("logLevel"), raw.log_level);
        if let Some(level) = &level {
            faults.one_of(&at("logLevel"), level, &whole::LOG_LEVELS);
        }
        Some(ModuleLogging { enabled: enabled?, level: level? })
    })
}

fn changed_logging(modules: [Option<ModuleLogging>; 5], has: &Logging) -> Logging {
    let mut logging = has.clone();
    for (module, given) in logging.0.iter_mut().zip(modules) {
        if let Some(given) = given {
            *module = given;
        }
    }
    logging
}

/// AWS: where nothing is said, only task logs are on, at INFO.
fn default_logging() -> Logging {
    let module = |enabled| ModuleLogging { enabled, level: "INFO".to_owned() };
    Logging([module(false), module(false), module(true), module(false), module(false)])
}
