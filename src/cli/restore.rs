//! `windtunnel restore`: an old version of a file, back in the project's folder.
//!
//! This verb, when somebody asks for it, is the only place that writes the project's files. It does not touch the
//! bucket: the mirror sees the saved file and makes the new version, as with every other save.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::failure::{Failure, NO};
use super::history::{History, sized};
use super::{Place, terminal};

/// Write an old version of a file back into the project; the save becomes a new version
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel versions dags/etl.py\n  \
    windtunnel restore dags/etl.py --version-id Qw5eR4\n\n\
    The beginning of a version id will do. The file is replaced at once or not at all; what it held before\n\
    is a version too, if windtunnel saw it.")]
pub(super) struct Restore {
    /// A file of the project, there or deleted
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The version to write
    #[arg(long, value_name = "VERSION_ID")]
    version_id: String,
    /// The same for programs
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(place: &Place, asked: &Restore) -> Result<ExitCode, Failure> {
    let history = History::of(place, &asked.path).await?;
    let shown = &history.subject.shown;
    let Some(file) = &history.subject.file else {
        let (bucket, key) = (&history.subject.bucket, &history.subject.key);
        return Err(Failure::new(format!("cannot restore {shown}"))
            .why("plugins.zip is made from the plugins folder, whose files it does not replace")
            .next(format!(
                "`aws s3api get-object --bucket {bucket} --key {key} --version-id {} plugins.zip`, \
                 and take from it what is needed",
                asked.version_id
            )));
    };
    let version = history.version(&asked.version_id)?;
    if version.is_delete_marker {
        return Err(Failure::new(format!("cannot restore {shown}"))
            .why(format!("version `{}` says that the file was deleted", version.id))
            .next("delete the file, or name a version that has bytes")
            .code(NO));
    }
    let bytes = history.bytes(version).await?;
    let folder = file.parent().expect("it lies in the project");
    write(folder, file, &bytes).map_err(|error| {
        Failure::cannot(
            &format!("write {shown}"),
            &error,
            "check the folder's rights and free space",
        )
    })?;
    if asked.json {
        let told = json!({
            "path": file, "key": history.subject.key, "version_id": version.id,
            "size_bytes": bytes.len(),
        });
        terminal::result(&told.to_string());
    } else {
        let size = sized(bytes.len() as u64);
        terminal::result(&format!("{shown} is as in version {} ({size})", version.id));
    }
    Ok(ExitCode::SUCCESS)
}

/// Replaces the file in one step, its rights kept: who reads it sees the old bytes or the new ones.
fn write(folder: &Path, file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    // A link is written through, not replaced.
    let file = file.canonicalize().unwrap_or_else(|_| file.to_owned());
    let folder = file.parent().unwrap_or(folder);
    // The name is one that the mirror takes for litter.
    let mut temporary = tempfile::Builder::new().prefix(".#restore").tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    let rights = match std::fs::metadata(&file) {
        Ok(old) => old.permissions(),
        Err(_) => std::os::unix::fs::PermissionsExt::from_mode(0o644),
    };
    temporary.as_file().set_permissions(rights)?;
    temporary.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_rights_and_a_deleted_one_comes_back() {
        let project = tempfile::tempdir().unwrap();
        let file = project.path().join("startup.sh");
        std::fs::write(&file, "old").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        write(project.path(), &file, b"new").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o755);
        let gone = project.path().join("dags/team/etl.py");
        write(gone.parent().unwrap(), &gone, b"again").unwrap();
        assert_eq!(std::fs::read(&gone).unwrap(), b"again");
        assert_eq!(std::fs::read_dir(gone.parent().unwrap()).unwrap().count(), 1);
    }
}
