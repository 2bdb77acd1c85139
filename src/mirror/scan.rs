//! A look at the folder: which keys there are, and what lies under each.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use walkdir::{DirEntry, WalkDir};

use super::plan::Snapshot;
use super::{PLUGINS_KEY, REQUIREMENTS_KEY, STARTUP_KEY, archive};
use crate::clock::Clock;
use crate::config::{Layout, Plugins};
use crate::id::ObjectKey;
use crate::limits::{MIRROR_FILE_MAX_BYTES, MTIME_GRAIN_MS};

/// The SHA-256 of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Digest(pub(super) [u8; 32]);

impl Digest {
    pub(super) fn of(bytes: &[u8]) -> Digest {
        Digest(Sha256::digest(bytes).into())
    }
}

/// Where a key's bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    File(PathBuf),
    /// A folder that is zipped.
    Folder(PathBuf),
}

/// What a look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) snapshot: Snapshot,
    pub(super) sources: BTreeMap<ObjectKey, Source>,
    /// Keys whose file is there and could not be judged.
    pub(super) unknown: BTreeSet<ObjectKey>,
    /// The same files, and why.
    pub(super) skipped: BTreeMap<PathBuf, String>,
    pub(super) dags_missing: bool,
}

/// What a file looked like when it was last read. A write changes the change time, whatever a tool does to the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size_bytes: u64,
    modified_ns: i128,
    changed_ns: i128,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Stamp {
        let nanos =
            |seconds: i64, rest: i64| i128::from(seconds) * 1_000_000_000 + i128::from(rest);
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size_bytes: metadata.size(),
            modified_ns: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed_ns: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// A second write within one grain of the file system's clock would leave the same stamp.
    fn is_settled(&self, now_ms: i64) -> bool {
        let newest_ms = self.modified_ns.max(self.changed_ns) / 1_000_000;
        i128::from(now_ms) - newest_ms > i128::from(MTIME_GRAIN_MS)
    }
}

/// Digests of files that have not been touched since.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<PathBuf, (Stamp, Digest)>);

impl Memory {
    fn digest(&mut self, path: &Path) -> io::Result<Digest> {
        let metadata = fs::metadata(path)?;
        if metadata.len() > MIRROR_FILE_MAX_BYTES {
            let largest = MIRROR_FILE_MAX_BYTES / (1024 * 1024);
            return Err(io::Error::other(format!("it is larger than {largest} MiB")));
        }
        let stamp = Stamp::of(&metadata);
        if let Some((seen, digest)) = self.0.get(path)
            && *seen == stamp
        {
            return Ok(*digest);
        }
        let now_ms = Clock::system().now().as_millis();
        let digest = Digest::of(&fs::read(path)?);
        if stamp.is_settled(now_ms) {
            self.0.insert(path.to_owned(), (stamp, digest));
        } else {
            self.0.remove(path);
        }
        Ok(digest)
    }
}

/// Looks at everything that is mirrored.
pub(super) fn look(layout: &Layout, dag_path: &str, memory: &mut Memory) -> Found {
    let mut found = Found { dags_missing: !layout.dags.is_dir(), ..Found::default() };
    if !found.dags_missing {
        look_at_dags(&layout.dags, dag_path, memory, &mut found);
    }
    for (path, key) in
        [(&layout.requirements, REQUIREMENTS_KEY), (&layout.startup_script, STARTUP_KEY)]
    {
        if let Some(path) = path {
            look_at_file(path, key, memory, &mut found);
        }
    }
    match &layout.plugins {
        Some(Plugins::Archive(path)) => look_at_file(path, PLUGINS_KEY, memory, &mut found),
        Some(Plugins::Folder(path)) => look_at_plugins(path, memory, &mut found),
        None => {}
    }
    found
}

fn look_at_dags(dags: &Path, dag_path: &str, memory: &mut Memory, found: &mut Found) {
    for entry in files_below(dags) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                skip_walk_error(&error, dags, dag_path, found);
                continue;
            }
        };
        match key_below(dags, entry.path(), dag_path) {
            Ok(key) => look_at_file(entry.path(), key.as_str(), memory, found),
            Err(why) => {
                found.skipped.insert(entry.path().to_owned(), why);
            }
        }
    }
}

/// A folder that cannot be read hides files; those that were mirrored before must not be taken for deleted.
fn skip_walk_error(error: &walkdir::Error, dags: &Path, dag_path: &str, found: &mut Found) {
    let path = error.path().unwrap_or(dags);
    if error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return; // Removed while we looked, or a link to nowhere: it is not there.
    }
    found.skipped.insert(path.to_owned(), error.to_string());
    if let Ok(key) = key_below(dags, path, dag_path) {
        found.unknown.insert(key);
    }
}

fn look_at_file(path: &Path, key: &str, memory: &mut Memory, found: &mut Found) {
    let key = match ObjectKey::parse(key) {
        Ok(key) => key,
        Err(error) => {
            found.skipped.insert(path.to_owned(), error.to_string());
            return;
        }
    };
    match memory.digest(path) {
        Ok(digest) => {
            found.snapshot.insert(key.clone(), digest);
            found.sources.insert(key, Source::File(path.to_owned()));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            found.skipped.insert(path.to_owned(), error.to_string());
            found.unknown.insert(key);
        }
    }
}

fn look_at_plugins(folder: &Path, memory: &mut Memory, found: &mut Found) {
    if !folder.is_dir() {
        return;
    }
    let key = ObjectKey::parse(PLUGINS_KEY).expect("the names of artefacts are keys");
    match archive::digest(folder, |path| memory.digest(path)) {
        Ok(None) => {}
        Ok(Some(digest)) => {
            found.snapshot.insert(key.clone(), digest);
            found.sources.insert(key, Source::Folder(folder.to_owned()));
        }
        Err(error) => {
            found.skipped.insert(folder.to_owned(), error.to_string());
            found.unknown.insert(key);
        }
    }
}

/// Every file below `folder` that is somebody's work, sorted, links followed.
pub(super) fn files_below(folder: &Path) -> impl Iterator<Item = walkdir::Result<DirEntry>> {
    WalkDir::new(folder)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_litter(entry.file_name()))
        .filter(|entry| entry.as_ref().map_or(true, |entry| entry.file_type().is_file()))
}

/// Whether a name is what tools leave behind, and not somebody's work.
pub(super) fn is_litter(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    matches!(name, "__pycache__" | ".git" | ".DS_Store" | ".windtunnel" | "4913")
        || ending == "pyc"
        || name.ends_with('~')
        || (name.starts_with('.') && matches!(ending, "swp" | "swx"))
        || name.starts_with(".#")
        || (name.starts_with('#') && name.ends_with('#'))
}

fn key_below(dags: &Path, path: &Path, dag_path: &str) -> Result<ObjectKey, String> {
    let below = path.strip_prefix(dags).map_err(|error| error.to_string())?;
    let mut key = dag_path.to_owned();
    for part in below {
        let part = part.to_str().ok_or("its name is not UTF-8, and an object's key must be")?;
        key.push('/');
        key.push_str(part);
    }
    ObjectKey::parse(key).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(root: &Path) -> Layout {
        Layout {
            name: "windtunnel",
            dags: root.join("dags"),
            plugins: Some(Plugins::Folder(root.join("plugins"))),
            requirements: Some(root.join("requirements.txt")),
            startup_script: None,
            dotenv: None,
        }
    }

    fn keys(found: &Found) -> Vec<&str> {
        found.snapshot.keys().map(ObjectKey::as_str).collect()
    }

    #[test]
    fn files_become_keys_and_litter_does_not() {
        let root = tempfile::tempdir().unwrap();
        let dags = root.path().join("dags");
        fs::create_dir_all(dags.join("team/__pycache__")).unwrap();
        fs::create_dir_all(root.path().join("plugins/ops")).unwrap();
        for name in ["a.py", "team/b c.py", "team/__pycache__/b.pyc", ".a.py.swp", "a.py~", "4913"]
        {
            fs::write(dags.join(name), name).unwrap();
        }
        fs::write(root.path().join("plugins/ops/__init__.py"), "").unwrap();
        let found = look(&layout(root.path()), "dags", &mut Memory::default());
        assert_eq!(keys(&found), ["dags/a.py", "dags/team/b c.py", "plugins.zip"]);
        assert!(found.skipped.is_empty());
    }

    #[test]
    fn a_folder_that_is_away_is_said_to_be_missing() {
        let root = tempfile::tempdir().unwrap();
        let found = look(&layout(root.path()), "dags", &mut Memory::default());
        assert!(found.dags_missing && found.snapshot.is_empty());
    }

    #[test]
    fn a_name_that_is_not_utf8_is_skipped_with_a_reason() {
        use std::os::unix::ffi::OsStrExt as _;
        let root = tempfile::tempdir().unwrap();
        let dags = root.path().join("dags");
        fs::create_dir(&dags).unwrap();
        fs::write(dags.join(OsStr::from_bytes(b"\xff.py")), "").unwrap();
        let found = look(&layout(root.path()), "dags", &mut Memory::default());
        assert!(found.snapshot.is_empty());
        assert_eq!(found.skipped.len(), 1);
    }

    #[test]
    fn two_writes_in_one_moment_of_the_same_length_are_told_apart() {
        let root = tempfile::tempdir().unwrap();
        let (path, mut memory) = (root.path().join("a.py"), Memory::default());
        fs::write(&path, "x = 1").unwrap();
        let first = memory.digest(&path).unwrap();
        fs::write(&path, "x = 2").unwrap();
        assert_ne!(first, memory.digest(&path).unwrap());
    }
}
