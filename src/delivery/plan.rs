//! From keys to paths, and what to do so that the directory follows the bucket. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::ObjectKey;
use crate::objects::Version;

/// One step. Removals come first: a file may make room for a folder of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Remove(String),
    Write(String, Version),
}

/// Where below the dags directory a key lies: `None` for a key that is elsewhere or is a folder's placeholder; an
/// error says why the key cannot be a path.
pub(super) fn path_of(key: &ObjectKey, dag_path: &str) -> Result<Option<String>, &'static str> {
    let below = key.as_str().strip_prefix(dag_path).and_then(|rest| rest.strip_prefix('/'));
    let Some(path) = below else { return Ok(None) };
    // The S3 console makes `folder/` objects; they stand for a folder and hold nothing.
    if path.is_empty() || path.ends_with('/') {
        return Ok(None);
    }
    for part in path.split('/') {
        match part {
            "" => return Err("it holds an empty folder name"),
            "." | ".." => return Err("it holds a `.` or `..`"),
            _ if part.len() > 255 => return Err("a name in it is longer than 255 bytes"),
            _ if part.contains('\0') => return Err("it holds a NUL"),
            _ => {}
        }
    }
    Ok(Some(path.to_owned()))
}

/// The steps from what is on disk (sizes) and recorded (version ids) to what is wanted, all by path.
pub(super) fn plan(
    wanted: &BTreeMap<String, Version>,
    recorded: &BTreeMap<String, String>,
    on_disk: &BTreeMap<String, u64>,
) -> Vec<Step> {
    let present: BTreeSet<&String> = recorded.keys().chain(on_disk.keys()).collect();
    let stale = present.into_iter().filter(|path| !wanted.contains_key(*path));
    let missing = wanted.iter().filter(|(path, version)| {
        recorded.get(*path).map(String::as_str) != Some(version.id.as_str())
            || on_disk.get(*path) != Some(&version.size_bytes)
    });
    stale
        .map(|path| Step::Remove(path.clone()))
        .chain(missing.map(|(path, version)| Step::Write(path.clone(), version.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Timestamp;
    use crate::id::{BucketName, VersionId};
    use crate::objects::Metadata;

    fn version(key: &str, size_bytes: u64) -> Version {
        Version {
            bucket: BucketName::parse("bucket").unwrap(),
            key: ObjectKey::parse(key).unwrap(),
            id: VersionId::random(),
            sequence: 1,
            is_delete_marker: false,
            is_latest: true,
            size_bytes,
            etag: String::new(),
            modified: Timestamp::from_millis(0),
            metadata: Metadata::default(),
        }
    }

    #[test]
    fn keys_below_the_dag_path_are_paths_and_others_are_not() {
        let path = |key: &str| path_of(&ObjectKey::parse(key).unwrap(), "dags");
        assert_eq!(path("dags/a.py"), Ok(Some("a.py".to_owned())));
        assert_eq!(path("dags/team/b c.py"), Ok(Some("team/b c.py".to_owned())));
        for elsewhere in ["requirements.txt", "dags", "dags/", "dags/team/", "dagsa/b.py"] {
            assert_eq!(path(elsewhere), Ok(None), "{elsewhere}");
        }
        for bad in ["dags/../a.py", "dags//a.py", "dags/./a.py", "dags/a\0.py"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_changed_or_damaged_is_written_and_what_is_unknown_is_removed() {
        let (kept, damaged, new) =
            (version("d/kept", 1), version("d/damaged", 2), version("d/new", 3));
        let wanted = [("kept", &kept), ("damaged", &damaged), ("new", &new)]
            .map(|(path, version)| (path.to_owned(), version.clone()))
            .into();
        let recorded = [("kept", &kept), ("damaged", &damaged)]
            .map(|(path, version)| (path.to_owned(), version.id.to_string()))
            .into();
        let on_disk =
            [("kept", 1), ("damaged", 1), ("stray", 9)].map(|(path, size)| (path.to_owned(), size));
        assert_eq!(
            plan(&wanted, &recorded, &on_disk.into()),
            [
                Step::Remove("stray".to_owned()),
                Step::Write("damaged".to_owned(), damaged),
                Step::Write("new".to_owned(), new),
            ]
        );
    }
}
