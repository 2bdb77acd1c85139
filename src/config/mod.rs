//! Flags, environment variables, `windtunnel.toml` and defaults, resolved once into one [`Config`].
//!
//! Promise: an unknown key is an error that names the key, its file and line; after [`Config`] there are no
//! "not given" values. The only room that reads the process's environment.

mod dotenv;
pub mod error;
mod file;
pub mod flags;
mod identity;
mod layer;
pub mod layout;
pub mod machine;
pub mod private;
mod resolve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

pub use resolve::{cache, find_project, resolve};

use crate::id::{AccountId, EnvironmentName, Region};

/// Everything a running windtunnel was told, resolved.
#[derive(Clone, Debug)]
pub struct Config {
    /// The project's folder, absolute.
    pub project: PathBuf,
    /// `.windtunnel` in the project.
    pub state: PathBuf,
    /// Where interpreter environments and database templates are kept, shared by all projects of this user.
    pub cache: PathBuf,
    /// Where the project keeps its DAGs, plugins, requirements and startup script.
    pub layout: Layout,
    /// The project's own environment; `None` with `--no-airflow`.
    pub environment: Option<EnvironmentSettings>,
    pub runtime: RuntimeKind,
    /// How long a change may wait before Airflow is told: zero here, 30 s on MWAA.
    pub sync_interval: std::time::Duration,
    pub region: Region,
    pub account: AccountId,
    pub auth: Auth,
    pub durability: Durability,
    /// Of buckets that are made without saying.
    pub object_ownership: ObjectOwnership,
    pub addresses: Addresses,
    /// Never empty. The first one is what `windtunnel env` exports.
    pub identities: Vec<Identity>,
    /// What the tools that install and run Airflow get from the person's own environment.
    pub variables: machine::Variables,
}

/// The folders and files of a project, whatever layout it follows (`product.md`, "Project layout").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// What the layout is called, for people: `windtunnel`, `aws-mwaa-local-runner`, `Astro CLI`.
    pub name: &'static str,
    /// Absolute. May not exist yet.
    pub dags: PathBuf,
    pub plugins: Option<Plugins>,
    pub requirements: Option<PathBuf>,
    pub startup_script: Option<PathBuf>,
    /// `.env`: variables for the components.
    pub dotenv: Option<PathBuf>,
}

/// Plugins as a folder, zipped for MWAA, or as a finished archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugins {
    Folder(PathBuf),
    Archive(PathBuf),
}

/// The `[environment]` of `windtunnel.toml`: `CreateEnvironment`'s own member names, with MWAA's defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentSettings {
    pub name: EnvironmentName,
    pub airflow_version: String,
    pub environment_class: String,
    pub min_workers: u32,
    pub max_workers: u32,
    pub schedulers: u32,
    pub min_webservers: u32,
    pub max_webservers: u32,
    pub airflow_configuration_options: BTreeMap<String, String>,
    /// Where in the bucket the DAGs lie. Default `dags`.
    pub dag_s3_path: String,
    /// Default: `windtunnel-ENVIRONMENT-ACCOUNT`, lower-cased, made a valid bucket name.
    pub bucket: crate::id::BucketName,
    pub weekly_maintenance_window_start: String,
    pub webserver_access_mode: String,
    pub execution_role_arn: String,
    /// `None`: the file says nothing about tags, and those that the API has set stay.
    pub tags: Option<BTreeMap<String, String>>,
    /// Of the project's `.env`; nothing AWS knows of.
    pub variables: BTreeMap<String, String>,
}

/// What a power cut may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// Survives the end of the process at any moment; a power cut may cost the last moments.
    Process,
    /// Survives a power cut: every commit is on the disk before it is answered.
    Power,
}

/// Who owns what others put into a bucket (S3 user guide, "Controlling ownership of objects").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum ObjectOwnership {
    /// The bucket's owner, and ACLs are off: what AWS gives a new bucket.
    #[default]
    BucketOwnerEnforced,
    /// The bucket's owner, where they are given full control.
    BucketOwnerPreferred,
    /// Who put it there. New buckets have ACLs and shut nobody out, as before 2023.
    ObjectWriter,
}

/// What runs Airflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum RuntimeKind {
    /// Containers where a Docker engine answers, processes otherwise.
    Auto,
    /// One container per component.
    Docker,
    /// One process per component.
    Process,
}

/// What happens to a request signed with an access key that we did not issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// It is taken for the default identity.
    Lenient,
    /// It is refused. Forced when an address is not loopback.
    Strict,
}

/// Where we listen. Port 0 means any free port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    pub aws: SocketAddr,
    pub console: SocketAddr,
    pub web: SocketAddr,
}

/// Someone with an access key.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub access_key_id: String,
    pub secret_access_key: String,
    /// For example `arn:aws:iam::123456789012:user/alice`.
    pub arn: String,
    /// S3's canonical user id.
    pub canonical_id: String,
    pub display_name: String,
    pub airflow_role: AirflowRole,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("access_key_id", &self.access_key_id)
            .field("arn", &self.arn)
            .field("airflow_role", &self.airflow_role)
            .finish_non_exhaustive()
    }
}

/// The Airflow role that an identity's tokens get.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum AirflowRole {
    Admin,
    Op,
    User,
    Viewer,
    Public,
    /// No Airflow role granted in IAM.
    #[serde(rename = "none")]
    None,
}

impl AirflowRole {
    /// The role's name in Airflow; `None` where IAM grants none.
    pub fn name(self) -> Option<&'static str> {
        match self {
            AirflowRole::Admin => Some("Admin"),
            AirflowRole::Op => Some("Op"),
            AirflowRole::User => Some("User"),
            AirflowRole::Viewer => Some("Viewer"),
            AirflowRole::Public => Some("Public"),
            AirflowRole::None => None,
        }
    }
}
