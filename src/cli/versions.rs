//! `windtunnel versions`: what was kept of a file.

use std::path::PathBuf;
use std::process::ExitCode;

use super::failure::Failure;
use super::history::{History, Subject, Version, sized};
use super::{Place, terminal};

/// Show every version of a file that the bucket has kept, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel versions dags/etl.py\n  \
    windtunnel versions requirements.txt --json | jq -r '.versions[0].version_id'\n\n\
    Exits with 1 when the file has no version.")]
pub(super) struct Versions {
    /// A file of the project, there or deleted
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The same for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(place: &Place, asked: &Versions) -> Result<ExitCode, Failure> {
    let history = History::of(place, &asked.path).await?;
    if asked.json {
        terminal::result(&history.told.to_string());
    } else {
        terminal::raw_result(table(&history.subject, &history.versions).as_bytes());
    }
    Ok(ExitCode::SUCCESS)
}

fn table(subject: &Subject, versions: &[Version]) -> String {
    let mut out = format!("{}  s3://{}/{}\n", subject.shown, subject.bucket, subject.key);
    for version in versions {
        let Version { id, modified, .. } = version;
        let what =
            if version.is_delete_marker { "deleted".to_owned() } else { sized(version.size_bytes) };
        let current = if version.is_latest { "  current" } else { "" };
        let (day, rest) = modified.split_once('T').unwrap_or((modified, ""));
        let second = rest.split('.').next().unwrap_or_default();
        out += &format!("  {id:<32}  {day} {second}Z  {what:>9}{current}\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_versions_markers_and_which_is_current() {
        let version = |id: &str, is_latest, is_delete_marker, size_bytes| Version {
            id: id.to_owned(),
            is_latest,
            is_delete_marker,
            size_bytes,
            modified: "2026-01-02T03:04:05.678Z".to_owned(),
        };
        let subject = Subject {
            shown: "dags/etl.py".to_owned(),
            bucket: "windtunnel-hello".to_owned(),
            key: "dags/etl.py".to_owned(),
            file: None,
        };
        let versions = [
            version("Zb9mR4kq2WvT7xNc1LpYs8dHf3GjUe6A", true, true, 0),
            version("Qw5eR4tY7uI1oP9aS3dF6gH8jK2lZ0xC", false, false, 1_234),
        ];
        insta::assert_snapshot!(table(&subject, &versions), @r"
        dags/etl.py  s3://windtunnel-hello/dags/etl.py
          Zb9mR4kq2WvT7xNc1LpYs8dHf3GjUe6A  2026-01-02 03:04:05Z    deleted  current
          Qw5eR4tY7uI1oP9aS3dF6gH8jK2lZ0xC  2026-01-02 03:04:05Z     1.2 kB
        ");
    }
}
