//! `windtunnel.toml`, member for member as people write it. Unknown keys are errors with a place and a near miss.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::Error as _;

use super::error::ConfigError;
use super::{AirflowRole, Auth, Durability, ObjectOwnership, RuntimeKind};
use crate::constraints::WINDOW;
use crate::constraints::environment::{ACCESS_MODES, CLASSES};
use crate::id::{AccountId, EnvironmentName, Region};

/// A whole file. Every key is optional.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    pub(super) environment: EnvironmentTable,
    pub(super) runtime: RuntimeTable,
    pub(super) aws: AwsTable,
    pub(super) s3: S3Table,
    pub(super) addresses: AddressesTable,
    pub(super) identity: Vec<IdentityTable>,
}

/// `CreateEnvironment`'s members, under their own names.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct EnvironmentTable {
    pub(super) name: Option<EnvironmentName>,
    pub(super) airflow_version: Option<String>,
    pub(super) environment_class: Option<EnvironmentClass>,
    pub(super) min_workers: Option<i64>,
    pub(super) max_workers: Option<i64>,
    pub(super) schedulers: Option<i64>,
    pub(super) min_webservers: Option<i64>,
    pub(super) max_webservers: Option<i64>,
    pub(super) airflow_configuration_options: Option<BTreeMap<String, String>>,
    #[serde(rename = "DagS3Path")]
    pub(super) dag_s3_path: Option<String>,
    pub(super) source_bucket_arn: Option<BucketArn>,
    pub(super) weekly_maintenance_window_start: Option<MaintenanceWindow>,
    pub(super) webserver_access_mode: Option<AccessMode>,
    pub(super) execution_role_arn: Option<String>,
    pub(super) tags: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RuntimeTable {
    pub(super) kind: Option<RuntimeKind>,
    pub(super) sync_interval: Option<Seconds>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AwsTable {
    pub(super) region: Option<Region>,
    pub(super) account_id: Option<AccountId>,
    pub(super) auth: Option<Auth>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct S3Table {
    pub(super) default_object_ownership: Option<ObjectOwnership>,
    pub(super) durability: Option<Durability>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AddressesTable {
    pub(super) aws: Option<SocketAddr>,
    pub(super) console: Option<SocketAddr>,
    pub(super) web: Option<SocketAddr>,
}

/// Someone with an access key, as the file has it: the key is needed, the rest can be made up.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IdentityTable {
    pub(super) access_key_id: AccessKeyId,
    pub(super) secret_access_key: String,
    pub(super) arn: Option<String>,
    pub(super) canonical_id: Option<String>,
    pub(super) display_name: Option<String>,
    pub(super) airflow_role: Option<AirflowRole>,
}

/// A text that is checked as it is read, so that the error has the place of the value.
macro_rules! checked {
    ($(#[$doc:meta])* $type:ident($inner:ty), $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub(super) struct $type(pub(super) $inner);

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                let given = String::deserialize(from)?;
                let check: fn(&str) -> Result<$inner, String> = $check;
                check(&given).map($type).map_err(D::Error::custom)
            }
        }
    };
}

checked!(
    /// One of MWAA's classes (API reference, `CreateEnvironment`).
    EnvironmentClass(String),
    |given| {
        if CLASSES.contains(&given) {
            return Ok(given.to_owned());
        }
        Err(format!("`{given}` is not an environment class; there are {}", CLASSES.join(", ")))
    }
);

checked!(
    /// `arn:aws:s3:::BUCKET`, of which the bucket is kept.
    BucketArn(crate::id::BucketName),
    |given| {
        let name = given.strip_prefix("arn:").and_then(|rest| rest.split_once(":s3:::"));
        let Some((_, name)) = name else {
            return Err(format!("`{given}` is not the ARN of a bucket: arn:aws:s3:::BUCKET"));
        };
        crate::id::BucketName::parse(name).map_err(|error| error.to_string())
    }
);

checked!(
    /// `PUBLIC_ONLY`, `PRIVATE_ONLY` or `PUBLIC_AND_PRIVATE` (API reference, `CreateEnvironment`).
    AccessMode(String),
    |given| {
        if ACCESS_MODES.contains(&given) {
            return Ok(given.to_owned());
        }
        Err(format!("`{given}` is neither PUBLIC_ONLY, PRIVATE_ONLY nor PUBLIC_AND_PRIVATE"))
    }
);

checked!(
    /// `DAY:HH:MM` at a full or half hour (API reference, `CreateEnvironment`).
    MaintenanceWindow(String),
    |given| {
        if WINDOW.accepts(given) {
            return Ok(given.to_owned());
        }
        Err(format!("`{given}` is not a maintenance window: DAY:HH:MM, such as SUN:03:30"))
    }
);

checked!(
    /// 16 to 128 word characters (IAM API reference, `AccessKey`).
    AccessKeyId(String),
    |given| {
        let fits = (16..=128).contains(&given.len())
            && given.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if fits {
            return Ok(given.to_owned());
        }
        Err(format!("`{given}` is not an access key id: 16 to 128 of A-Z a-z 0-9 _"))
    }
);

checked!(
    /// A duration such as `30s`, `500ms` or `2m`.
    Seconds(Duration),
    parse_duration
);

/// Reads `30s`, `500ms`, `2m`; a bare number means seconds.
pub(super) fn parse_duration(given: &str) -> Result<Duration, String> {
    let digits = given.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let count: u32 = digits.parse().map_err(|_| {
        format!("`{given}` is not a duration: a number and ms, s or m, such as 30s")
    })?;
    match &given[digits.len()..] {
        "ms" => Ok(Duration::from_millis(count.into())),
        "s" | "" => Ok(Duration::from_secs(count.into())),
        "m" => Ok(Duration::from_secs(u64::from(count) * 60)),
        unit => Err(format!("`{unit}` is not a unit of time: ms, s or m")),
    }
}

/// Reads the file at `path`, which errors call `shown`. A file that is not there is an empty one.
pub(super) fn read(path: &Path, shown: &Path) -> Result<File, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(&text, shown),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(File::default()),
        Err(source) => Err(ConfigError::Unreadable { path: shown.to_owned(), source }),
    }
}

/// Reads the text of a file that errors call `shown`.
pub(super) fn parse(text: &str, shown: &Path) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| explain(text, shown, &error))
}

/// The line of a member of `[environment]`, or of what is called `inner` in its value; counted from 1. `None` where
/// the file does not have the member.
pub(super) fn line_of(text: &str, member: &str, inner: &str) -> Option<usize> {
    #[derive(Deserialize)]
    struct Places {
        environment: BTreeMap<String, toml::Spanned<toml::Value>>,
    }
    let places: Places = toml::from_str(text).ok()?;
    // The place of a table of its own is that of its head, so what is in it comes somewhere behind.
    let start = places.environment.get(member)?.span().start;
    let inside = text.get(start..)?.find(inner).unwrap_or(0);
    let before = text.get(..start + inside)?;
    Some(before.matches('\n').count() + 1)
}

/// Turns the parser's error into ours: the line, the key, and a key that was probably meant.
fn explain(text: &str, shown: &Path, error: &toml::de::Error) -> ConfigError {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let file: PathBuf = shown.to_owned();
    let message = error.message().lines().next().unwrap_or_default().to_owned();
    let Some(rest) = message.strip_prefix("unknown field ") else {
        return ConfigError::BadValue { file, line, why: message };
    };
    let mut quoted = rest.split('`').skip(1).step_by(2).map(str::to_owned);
    let key = quoted.next().unwrap_or_default();
    let known: Vec<String> = quoted.collect();
    ConfigError::UnknownKey { file, line, near: near_miss(&key, &known), key, known }
}

/// The one of `known` that `key` was probably meant to be.
fn near_miss(key: &str, known: &[String]) -> Option<String> {
    let plain = |text: &str| text.to_ascii_lowercase().replace(['_', '-'], "");
    let distance = |other: &String| edits(&plain(key), &plain(other));
    known
        .iter()
        .map(|other| (distance(other), other))
        .filter(|(edits, _)| *edits * 3 <= key.len())
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, other)| other.clone())
}

/// How many letters must be inserted, dropped or replaced to make one word the other (Levenshtein).
fn edits(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (column, &there) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != there);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(row[column] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let error = parse(text, Path::new("windtunnel.toml")).unwrap_err();
        format!("error: {error}\n  why: {}\n next: {}", error.why(), error.next())
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place_and_a_near_miss() {
        insta::assert_snapshot!(refused("[aws]\n\nregoin = \"us-east-1\"\n"), @r"
        error: windtunnel.toml:3 has the unknown key `regoin`
          why: here the keys are region, account_id, auth
         next: did you mean `region`?
        ");
    }

    #[test]
    fn an_unknown_key_without_a_near_miss_lists_what_there_is() {
        insta::assert_snapshot!(refused("[runtime]\nkind = \"auto\"\ncolour = 1\n"), @r"
        error: windtunnel.toml:3 has the unknown key `colour`
          why: here the keys are kind, sync_interval
         next: remove the key or correct its name
        ");
    }

    #[test]
    fn a_member_in_another_case_is_recognised() {
        insta::assert_snapshot!(refused("[environment]\nairflow_version = \"2.10.3\"\n").lines().last().unwrap(),
            @" next: did you mean `AirflowVersion`?");
    }

    #[test]
    fn a_bad_value_is_refused_with_its_line_and_rule() {
        insta::assert_snapshot!(refused("[environment]\nEnvironmentClass = \"mw1.tiny\"\n"), @r"
        error: windtunnel.toml:2 has a value that cannot be used
          why: `mw1.tiny` is not an environment class; there are mw1.micro, mw1.small, mw1.medium, mw1.large, mw1.xlarge, mw1.2xlarge
         next: correct line 2 of windtunnel.toml
        ");
        insta::assert_snapshot!(refused("[environment]\nName = \"1st\"\n"), @r"
        error: windtunnel.toml:2 has a value that cannot be used
          why: `1st` is not an environment name: 1 to 80 of A-Z a-z 0-9 - _, and a letter first
         next: correct line 2 of windtunnel.toml
        ");
        insta::assert_snapshot!(refused("[runtime]\nkind = \"podman\"\n"), @r"
        error: windtunnel.toml:2 has a value that cannot be used
          why: unknown variant `podman`, expected one of `auto`, `docker`, `process`
         next: correct line 2 of windtunnel.toml
        ");
    }

    #[test]
    fn text_that_is_not_toml_is_refused_with_its_line() {
        insta::assert_snapshot!(refused("[aws]\nregion = \n"), @r"
        error: windtunnel.toml:2 has a value that cannot be used
          why: string values must be quoted, expected literal string
         next: correct line 2 of windtunnel.toml
        ");
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert!(parse_duration("soon").is_err());
        assert!(parse_duration("3 days").is_err());
    }
}
