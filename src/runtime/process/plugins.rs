//! plugins.zip, unpacked into a folder named after its content.
//!
//! Promise: nothing is written outside that folder, and never more than the limit; a folder that exists is whole.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::limits;
use crate::runtime::{Artefact, LaunchError};

/// The folder of the unpacked archive below `home`; an empty one where there is no archive.
pub(super) fn unpack(home: &Path, archive: Option<&Artefact>) -> Result<PathBuf, LaunchError> {
    let Some(archive) = archive else {
        let empty = home.join("plugins/none");
        return match std::fs::create_dir_all(&empty) {
            Ok(()) => Ok(empty),
            Err(error) => Err(super::failed("cannot prepare the plugins folder", &error, SPACE)),
        };
    };
    let what = format!("cannot unpack {}", archive.label);
    let bytes =
        std::fs::read(&archive.path).map_err(|error| super::failed(&what, &error, SPACE))?;
    let target = home.join("plugins").join(&super::digest(&[&bytes])[..16]);
    if target.exists() {
        return Ok(target);
    }
    let fresh = home.join("plugins/.new");
    let unpacked = prepare(&fresh).and_then(|()| {
        extract(io::Cursor::new(bytes), &fresh, limits::PLUGINS_MAX_BYTES)?;
        std::fs::rename(&fresh, &target)
    });
    unpacked.map_err(|error| {
        super::failed(&what, &error, "make the archive again, with relative paths only")
    })?;
    Ok(target)
}

/// Removes what earlier launches unpacked. `kept` is in use.
pub(super) fn forget_others(kept: &Path) {
    let entries = kept.parent().and_then(|folder| std::fs::read_dir(folder).ok());
    for entry in entries.into_iter().flatten().flatten().filter(|entry| entry.path() != kept) {
        if let Err(error) = std::fs::remove_dir_all(entry.path()) {
            tracing::warn!(%error, folder = %entry.path().display(), "old plugins stay");
        }
    }
}

const SPACE: &str = "free some disk space and check the folder's permissions";

fn prepare(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::create_dir_all(folder)
}

fn extract(archive: impl io::Read + io::Seek, into: &Path, limit_bytes: u64) -> io::Result<()> {
    let mut archive = zip::ZipArchive::new(archive).map_err(io::Error::other)?;
    let mut left = limit_bytes;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).map_err(io::Error::other)?;
        let called = entry.name().map_err(io::Error::other)?.into_owned();
        let refused = |why: &str| io::Error::other(format!("`{called}` {why}"));
        let Some(name) = entry.enclosed_name() else {
            return Err(refused("leads out of the archive"));
        };
        if entry.is_symlink() {
            return Err(refused("is a symbolic link"));
        }
        let path = into.join(name);
        if entry.is_dir() {
            std::fs::create_dir_all(&path)?;
            continue;
        }
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // What an entry says about its size is a claim: count what comes out.
        let mut file = File::create(&path)?;
        let written = io::copy(&mut entry.by_ref().take(left + 1), &mut file)?;
        file.flush()?;
        left = left.checked_sub(written).ok_or_else(|| {
            let limit = limit_bytes / (1024 * 1024);
            io::Error::other(format!("it unpacks to more than {limit} MiB"))
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use zip::write::SimpleFileOptions;

    use super::*;

    fn archive(entries: &[(&str, &[u8])]) -> io::Cursor<Vec<u8>> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (name, data) in entries {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(data).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn an_archive_is_unpacked_with_its_folders() {
        let folder = tempfile::tempdir().unwrap();
        extract(archive(&[("a/b.py", b"x = 1")]), folder.path(), 100).unwrap();
        assert_eq!(std::fs::read(folder.path().join("a/b.py")).unwrap(), b"x = 1");
    }

    #[test]
    fn a_path_that_leads_out_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = extract(archive(&[("../evil.py", b"")]), folder.path(), 100).unwrap_err();
        assert_eq!(error.to_string(), "`../evil.py` leads out of the archive");
        assert!(!folder.path().parent().unwrap().join("evil.py").exists());
    }

    #[test]
    fn an_archive_that_grows_past_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let bomb = archive(&[("zeros", &vec![0; 3 * 1024 * 1024])]);
        let error = extract(bomb, folder.path(), 1024 * 1024).unwrap_err();
        assert_eq!(error.to_string(), "it unpacks to more than 1 MiB");
    }
}
