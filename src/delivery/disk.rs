//! Files in the dags directory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use walkdir::WalkDir;

use super::plan::PYTHONS_OWN;
use crate::clock::Clock;

/// Why a file was not written.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The name cannot be a file here, whatever is tried.
    NotAPath(&'static str),
    Disk(io::Error),
}

/// Every file below `dags` with its size, but for what Python keeps beside it.
pub(super) fn sizes(dags: &Path) -> io::Result<BTreeMap<String, u64>> {
    fs::create_dir_all(dags)?;
    let mut sizes = BTreeMap::new();
    let entries = WalkDir::new(dags).into_iter();
    for entry in entries.filter_entry(|entry| entry.file_name() != PYTHONS_OWN) {
        let entry = entry?;
        if entry.file_type().is_dir() {
            continue;
        }
        let below = entry.path().strip_prefix(dags).unwrap_or(entry.path());
        // A name that is not UTF-8 did not come from a key; it is not ours to judge.
        if let Some(path) = below.to_str() {
            sizes.insert(path.to_owned(), entry.metadata()?.len());
        }
    }
    Ok(sizes)
}

/// The same, for these paths alone.
pub(super) fn sizes_of(dags: &Path, paths: BTreeSet<String>) -> BTreeMap<String, u64> {
    paths
        .into_iter()
        .filter_map(|path| {
            let metadata = fs::symlink_metadata(dags.join(&path)).ok()?;
            (!metadata.is_dir()).then_some((path, metadata.len()))
        })
        .collect()
}

/// Writes a file whole: nobody sees half of it.
pub(super) fn write(dags: &Path, path: &str, bytes: &[u8]) -> Result<(), Unwritten> {
    let target = dags.join(path);
    let folder = target.parent().unwrap_or(dags);
    fs::create_dir_all(folder).map_err(judge)?;
    // Beside the dags directory, where Airflow does not look, and on the same file system.
    let around = dags.parent().unwrap_or(dags);
    let mut file = tempfile::Builder::new()
        .prefix(".delivery-")
        .tempfile_in(around)
        .map_err(Unwritten::Disk)?;
    file.write_all(bytes).map_err(Unwritten::Disk)?;
    let permissions = fs::Permissions::from_mode(0o644);
    file.as_file().set_permissions(permissions).map_err(Unwritten::Disk)?;
    step_on(file.as_file(), &target).map_err(Unwritten::Disk)?;
    file.persist(&target).map_err(|error| judge(error.error))?;
    Ok(())
}

/// Python takes a compiled file for current when its source's time, in whole seconds, and size agree. A second save
/// within a second must therefore look a second younger.
fn step_on(file: &fs::File, target: &Path) -> io::Result<()> {
    let Ok(before) = fs::metadata(target).and_then(|metadata| metadata.modified()) else {
        return Ok(());
    };
    let seconds = |since: Duration| since.as_secs();
    let before = before.duration_since(UNIX_EPOCH).map_or(0, seconds);
    let now = Duration::from_millis(Clock::system().now().as_millis().cast_unsigned()).as_secs();
    if now > before {
        return Ok(());
    }
    file.set_modified(UNIX_EPOCH + Duration::from_secs(before + 1))
}

fn judge(error: io::Error) -> Unwritten {
    use io::ErrorKind as Kind;
    let kind = error.kind();
    let taken =
        [Kind::NotADirectory, Kind::AlreadyExists, Kind::IsADirectory, Kind::DirectoryNotEmpty];
    if taken.contains(&kind) {
        Unwritten::NotAPath("another key makes the same path a folder, or a folder of it a file")
    } else if [Kind::InvalidFilename, Kind::InvalidInput].contains(&kind) {
        Unwritten::NotAPath("the file system does not take such a name")
    } else {
        Unwritten::Disk(error)
    }
}

/// Removes a file, and every folder that held nothing else. Idempotent.
pub(super) fn remove(dags: &Path, path: &str) -> io::Result<()> {
    let target = dags.join(path);
    match fs::remove_file(&target) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {}
        Err(error) => return Err(error),
    }
    // An empty folder can still be imported, as a namespace package.
    let mut folder = target.parent();
    while let Some(here) = folder.filter(|here| here.starts_with(dags) && *here != dags) {
        if !holds_only_caches(here) {
            break;
        }
        fs::remove_dir_all(here)?;
        folder = here.parent();
    }
    Ok(())
}

fn holds_only_caches(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| {
        entries.all(|entry| entry.is_ok_and(|entry| entry.file_name() == PYTHONS_OWN))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(path: &Path) -> u64 {
        let modified = fs::metadata(path).unwrap().modified().unwrap();
        modified.duration_since(UNIX_EPOCH).unwrap().as_secs()
    }

    #[test]
    fn every_write_looks_younger_to_python() {
        let home = tempfile::tempdir().unwrap();
        let dags = home.path().join("dags");
        let mut last = 0;
        for text in ["x = 1", "x = 2", "x = 3"] {
            write(&dags, "team/a.py", text.as_bytes()).unwrap();
            let path = dags.join("team/a.py");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
            assert!(seconds(&path) > last);
            last = seconds(&path);
        }
        assert_eq!(sizes(&dags).unwrap(), [("team/a.py".to_owned(), 5)].into());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "nothing is left beside");
    }

    #[test]
    fn a_removed_file_takes_its_empty_folders_along() {
        let home = tempfile::tempdir().unwrap();
        let dags = home.path().join("dags");
        write(&dags, "a/b/c.py", b"").unwrap();
        write(&dags, "a/d.py", b"").unwrap();
        fs::create_dir(dags.join("a/b/__pycache__")).unwrap();
        remove(&dags, "a/b/c.py").unwrap();
        remove(&dags, "a/b/c.py").unwrap();
        assert!(!dags.join("a/b").exists() && dags.join("a/d.py").exists());
        remove(&dags, "a/d.py").unwrap();
        assert!(!dags.join("a").exists() && dags.exists());
    }

    #[test]
    fn a_key_that_is_a_folder_and_a_file_is_no_path() {
        let home = tempfile::tempdir().unwrap();
        let dags = home.path().join("dags");
        write(&dags, "a", b"").unwrap();
        assert!(matches!(write(&dags, "a/b.py", b""), Err(Unwritten::NotAPath(_))));
        write(&dags, "c/d.py", b"").unwrap();
        assert!(matches!(write(&dags, "c", b""), Err(Unwritten::NotAPath(_))));
    }
}
