//! Flags and environment variables over `windtunnel.toml` over the embedded defaults.
//!
//! No `..` below, so that a new setting does not compile until it is layered.

use std::path::Path;

use super::file::{
    AddressesTable, AwsTable, EnvironmentTable, File, RuntimeTable, S3Table, Seconds, parse,
};
use super::flags::Flags;

/// What holds when nobody says otherwise.
pub(super) fn defaults() -> File {
    parse(include_str!("defaults.toml"), Path::new("defaults.toml"))
        .expect("a test parses the embedded defaults")
}

/// The flags as a file would say them.
pub(super) fn of_flags(flags: &Flags) -> File {
    File {
        environment: EnvironmentTable::default(),
        runtime: RuntimeTable {
            kind: flags.runtime,
            sync_interval: flags.sync_interval.map(Seconds),
        },
        aws: AwsTable {
            region: flags.region.clone(),
            account_id: flags.account_id.clone(),
            auth: flags.auth,
        },
        s3: S3Table { default_object_ownership: None, durability: flags.durability },
        addresses: AddressesTable {
            aws: flags.aws_addr,
            console: flags.console_addr,
            web: flags.web_addr,
        },
        identity: Vec::new(),
    }
}

impl File {
    /// Prefers `self`.
    pub(super) fn over(self, under: File) -> File {
        File {
            environment: self.environment.over(under.environment),
            runtime: RuntimeTable {
                kind: self.runtime.kind.or(under.runtime.kind),
                sync_interval: self.runtime.sync_interval.or(under.runtime.sync_interval),
            },
            aws: AwsTable {
                region: self.aws.region.or(under.aws.region),
                account_id: self.aws.account_id.or(under.aws.account_id),
                auth: self.aws.auth.or(under.aws.auth),
            },
            s3: S3Table {
                default_object_ownership: self
                    .s3
                    .default_object_ownership
                    .or(under.s3.default_object_ownership),
                durability: self.s3.durability.or(under.s3.durability),
            },
            addresses: AddressesTable {
                aws: self.addresses.aws.or(under.addresses.aws),
                console: self.addresses.console.or(under.addresses.console),
                web: self.addresses.web.or(under.addresses.web),
            },
            identity: if self.identity.is_empty() { under.identity } else { self.identity },
        }
    }
}

impl EnvironmentTable {
    fn over(self, under: EnvironmentTable) -> EnvironmentTable {
        EnvironmentTable {
            name: self.name.or(under.name),
            airflow_version: self.airflow_version.or(under.airflow_version),
            environment_class: self.environment_class.or(under.environment_class),
            min_workers: self.min_workers.or(under.min_workers),
            max_workers: self.max_workers.or(under.max_workers),
            schedulers: self.schedulers.or(under.schedulers),
            min_webservers: self.min_webservers.or(under.min_webservers),
            max_webservers: self.max_webservers.or(under.max_webservers),
            airflow_configuration_options: self
                .airflow_configuration_options
                .or(under.airflow_configuration_options),
            dag_s3_path: self.dag_s3_path.or(under.dag_s3_path),
            source_bucket_arn: self.source_bucket_arn.or(under.source_bucket_arn),
            weekly_maintenance_window_start: self
                .weekly_maintenance_window_start
                .or(under.weekly_maintenance_window_start),
            webserver_access_mode: self.webserver_access_mode.or(under.webserver_access_mode),
            execution_role_arn: self.execution_role_arn.or(under.execution_role_arn),
            tags: self.tags.or(under.tags),
        }
    }
}
