//! The project's own environment: its bucket, its files, its description.

use std::time::Duration;

use crate::config::{Config, EnvironmentSettings};
use crate::daemon::{Rooms, StartError};
use crate::environment::{Environment, Environments, Logging, ModuleLogging, Pinned, Spec, Status};
use crate::id::{EnvironmentName, ObjectKey, VersionId};
use crate::mirror::{self, Artefacts, Mirror};
use tracing::warn;

/// A deletion takes a second; what takes this long has failed.
const DELETION_PATIENCE: Duration = Duration::from_secs(30);

/// Something that a person at the terminal wants to read.
#[derive(Debug)]
pub enum Note {
    Mirror(mirror::Note),
    /// The environment's DAGs are in place and followed from now on.
    Delivering(EnvironmentName),
}

/// Mirrors the project's files, then creates the environment or launches it again with what they say now.
pub(super) async fn start(
    config: &Config,
    settings: &EnvironmentSettings,
    rooms: &Rooms,
    environments: &Environments,
) -> Result<Mirror, StartError> {
    rooms.objects.ensure_versioned_bucket(&settings.bucket).await.map_err(StartError::Objects)?;
    let mirror = Mirror::new(
        config.layout.clone(),
        settings.bucket.clone(),
        settings.dag_s3_path.clone(),
        rooms.objects.clone(),
        rooms.db.clone(),
    );
    let artefacts = mirror.scan().await?;
    let mut spec = spec(settings, artefacts);
    deleted(&settings.name, environments).await;
    match environments.get(&settings.name) {
        None => environments.create(spec).await?,
        // What the files say now counts, also over an update that was cut short; of tags they may say nothing.
        Some(has) => {
            if settings.tags.is_none() {
                spec.tags = has.spec.tags;
            }
            environments.resume(&settings.name, Some(spec)).await?;
        }
    }
    Ok(mirror)
}

/// Waits for the end of a deletion that windtunnel's own end had cut short: it goes on by itself.
async fn deleted(name: &EnvironmentName, environments: &Environments) {
    let Some(mut seen) = environments.watch(name) else { return };
    let gone = |now: &Option<Environment>| {
        now.as_ref().is_none_or(|environment| environment.status != Status::Deleting)
    };
    // Nobody tells any more once the environment is gone.
    drop(tokio::time::timeout(DELETION_PATIENCE, seen.wait_for(gone)).await);
}

/// Launches again what was created through the API and ran before windtunnel ended.
pub(super) async fn resume_others(own: &EnvironmentName, environments: &Environments) {
    for name in environments.list().into_iter().filter(|name| name != own) {
        let status = environments.get(&name).map(|environment| environment.status);
        // A failed creation can only be deleted; a deletion goes on by itself.
        if matches!(status, None | Some(Status::CreateFailed | Status::Deleting | Status::Deleted))
        {
            continue;
        }
        if let Err(error) = environments.resume(&name, None).await {
            warn!(environment = %name, %error, "the environment was not launched again");
        }
    }
}

/// What CreateEnvironment would be asked for this project.
fn spec(settings: &EnvironmentSettings, artefacts: Artefacts) -> Spec {
    let pinned = |artefact: Option<(ObjectKey, VersionId)>| {
        artefact.map(|(key, version)| Pinned { path: key.to_string(), version })
    };
    let module = || ModuleLogging { enabled: true, level: "INFO".to_owned() };
    Spec {
        name: settings.name.clone(),
        airflow_version: settings.airflow_version.clone(),
        class: settings.environment_class.clone(),
        min_workers: settings.min_workers,
        max_workers: settings.max_workers,
        schedulers: settings.schedulers,
        min_webservers: settings.min_webservers,
        max_webservers: settings.max_webservers,
        bucket: settings.bucket.clone(),
        dag_path: settings.dag_s3_path.clone(),
        plugins: pinned(artefacts.plugins),
        requirements: pinned(artefacts.requirements),
        startup_script: pinned(artefacts.startup_script),
        options: settings.airflow_configuration_options.clone(),
        variables: settings.variables.clone(),
        execution_role_arn: settings.execution_role_arn.clone(),
        // A laptop has no VPC; the members are there because every reader of the answer expects them.
        subnet_ids: vec!["subnet-00000000000000001".into(), "subnet-00000000000000002".into()],
        security_group_ids: vec!["sg-00000000000000001".into()],
        kms_key: None,
        logging: Logging(std::array::from_fn(|_| module())),
        maintenance_window: settings.weekly_maintenance_window_start.clone(),
        access_mode: settings.webserver_access_mode.clone(),
        endpoint_management: "SERVICE".to_owned(),
        tags: settings.tags.clone().unwrap_or_default(),
    }
}
