//! What an update changes about an environment, and what it leaves.

use std::collections::BTreeMap;
use std::fmt;

use super::{Logging, Pinned, Spec};
use crate::id::BucketName;

/// `UpdateEnvironment`'s members, checked: what is given replaces what was, a map or a list as a whole.
///
/// Artefacts cannot be taken away again, and tags are changed by their own requests: so it is on MWAA.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Change {
    pub airflow_version: Option<String>,
    pub class: Option<String>,
    pub min_workers: Option<u32>,
    pub max_workers: Option<u32>,
    pub schedulers: Option<u32>,
    pub min_webservers: Option<u32>,
    pub max_webservers: Option<u32>,
    pub bucket: Option<BucketName>,
    /// Without a leading or trailing slash.
    pub dag_path: Option<String>,
    pub plugins: Option<Pinned>,
    pub requirements: Option<Pinned>,
    pub startup_script: Option<Pinned>,
    pub options: Option<BTreeMap<String, String>>,
    pub execution_role_arn: Option<String>,
    pub security_group_ids: Option<Vec<String>>,
    pub logging: Option<Logging>,
    pub maintenance_window: Option<String>,
    pub access_mode: Option<String>,
}

impl Change {
    /// The description that `spec` becomes.
    pub fn applied(&self, spec: &Spec) -> Spec {
        let change = self.clone();
        let old = spec.clone();
        Spec {
            name: old.name,
            airflow_version: change.airflow_version.unwrap_or(old.airflow_version),
            class: change.class.unwrap_or(old.class),
            min_workers: change.min_workers.unwrap_or(old.min_workers),
            max_workers: change.max_workers.unwrap_or(old.max_workers),
            schedulers: change.schedulers.unwrap_or(old.schedulers),
            min_webservers: change.min_webservers.unwrap_or(old.min_webservers),
            max_webservers: change.max_webservers.unwrap_or(old.max_webservers),
            bucket: change.bucket.unwrap_or(old.bucket),
            dag_path: change.dag_path.unwrap_or(old.dag_path),
            plugins: change.plugins.or(old.plugins),
            requirements: change.requirements.or(old.requirements),
            startup_script: change.startup_script.or(old.startup_script),
            options: change.options.unwrap_or(old.options),
            variables: old.variables,
            execution_role_arn: change.execution_role_arn.unwrap_or(old.execution_role_arn),
            subnet_ids: old.subnet_ids,
            security_group_ids: change.security_group_ids.unwrap_or(old.security_group_ids),
            kms_key: old.kms_key,
            logging: change.logging.unwrap_or(old.logging),
            maintenance_window: change.maintenance_window.unwrap_or(old.maintenance_window),
            access_mode: change.access_mode.unwrap_or(old.access_mode),
            endpoint_management: old.endpoint_management,
            tags: old.tags,
        }
    }
}

/// Whether `next` asks for more or fewer of what runs, or for another maintenance window, and for nothing else: then
/// nothing is launched again. Everything else replaces every container on MWAA, an update that changes nothing too.
pub(super) fn keeps_what_runs(spec: &Spec, next: &Spec) -> bool {
    let scaled = Spec {
        min_workers: next.min_workers,
        max_workers: next.max_workers,
        min_webservers: next.min_webservers,
        max_webservers: next.max_webservers,
        maintenance_window: next.maintenance_window.clone(),
        ..spec.clone()
    };
    next != spec && *next == scaled
}

impl fmt::Debug for Change {
    /// Options hold passwords as often as not, so they are not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change")
            .field("airflow_version", &self.airflow_version)
            .field("requirements", &self.requirements)
            .field("plugins", &self.plugins)
            .field("startup_script", &self.startup_script)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn what_is_not_named_stays_and_a_map_is_replaced_whole() {
        let options = |key: &str| BTreeMap::from([(key.to_owned(), "1".to_owned())]);
        let before = Spec { options: options("core.parallelism"), ..sample::spec("dev") };
        assert_eq!(Change::default().applied(&before), before);
        let change = Change { options: Some(options("core.x")), ..Change::default() };
        assert_eq!(change.applied(&before).options, options("core.x"));
        let cleared = Change { options: Some(BTreeMap::new()), ..Change::default() };
        assert!(cleared.applied(&before).options.is_empty());
    }

    #[test]
    fn only_a_change_of_scale_keeps_what_runs() {
        let spec = sample::spec("dev");
        let kept = |change: Change| keeps_what_runs(&spec, &change.applied(&spec));
        assert!(kept(Change { max_workers: Some(3), ..Change::default() }));
        let window = Some("MON:00:30".to_owned());
        assert!(kept(Change { maintenance_window: window, ..Change::default() }));
        assert!(!kept(Change { schedulers: Some(3), ..Change::default() }));
        let both = Change {
            max_workers: Some(3),
            class: Some("mw1.large".to_owned()),
            ..Change::default()
        };
        assert!(!kept(both));
        assert!(!kept(Change::default()), "an update without a change launches again");
    }
}
