//! From keys to paths, and what to do so that the directory follows the bucket. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{ObjectKey, VersionId};

/// The folders of compiled files: what lies in one is neither delivered nor removed.
pub(super) const PYTHONS_OWN: &str = "__pycache__";

/// One step on a path. Removals come first: a file may make room for a folder of its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Remove(String),
    Write(String),
}

/// What a path should hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Goal {
    pub(super) version: VersionId,
    pub(super) size_bytes: u64,
}

/// Where below the dags directory a key lies: `None` for a key that is elsewhere, is a folder's placeholder, or lies
/// in a folder that is Python's own; an error says why the key cannot be a path.
pub(super) fn path_of(key: &ObjectKey, dag_path: &str) -> Result<Option<String>, &'static str> {
    let below = key.as_str().strip_prefix(dag_path).and_then(|rest| rest.strip_prefix('/'));
    let Some(path) = below else { return Ok(None) };
    // The S3 console makes `folder/` objects; they stand for a folder and hold nothing.
    if path.is_empty() || path.ends_with('/') {
        return Ok(None);
    }
    for part in path.split('/') {
        match part {
            // Python makes these itself, beside the files that it reads; an upload of a folder takes them along.
            PYTHONS_OWN => return Ok(None),
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
    wanted: &BTreeMap<String, Goal>,
    recorded: &BTreeMap<String, String>,
    on_disk: &BTreeMap<String, u64>,
) -> Vec<Step> {
    let present: BTreeSet<&String> = recorded.keys().chain(on_disk.keys()).collect();
    let stale = present.into_iter().filter(|path| !wanted.contains_key(*path));
    let missing = wanted.iter().filter(|(path, goal)| {
        recorded.get(*path).map(String::as_str) != Some(goal.version.as_str())
            || on_disk.get(*path) != Some(&goal.size_bytes)
    });
    stale
        .map(|path| Step::Remove(path.clone()))
        .chain(missing.map(|(path, _)| Step::Write(path.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_below_the_dag_path_are_paths_and_others_are_not() {
        let path = |key: &str| path_of(&ObjectKey::parse(key).unwrap(), "dags");
        assert_eq!(path("dags/a.py"), Ok(Some("a.py".to_owned())));
        assert_eq!(path("dags/team/b c.py"), Ok(Some("team/b c.py".to_owned())));
        let pythons_own = ["dags/__pycache__/a.py", "dags/team/__pycache__/a.cpython-311.pyc"];
        let elsewhere = ["requirements.txt", "dags", "dags/", "dags/team/", "dagsa/b.py"];
        for elsewhere in elsewhere.into_iter().chain(pythons_own) {
            assert_eq!(path(elsewhere), Ok(None), "{elsewhere}");
        }
        for bad in ["dags/../a.py", "dags//a.py", "dags/./a.py", "dags/a\0.py"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_changed_or_damaged_is_written_and_what_is_unknown_is_removed() {
        let goal = |size_bytes| Goal { version: VersionId::random(), size_bytes };
        let (kept, damaged, new) = (goal(1), goal(2), goal(3));
        let recorded = [("kept", &kept), ("damaged", &damaged)]
            .map(|(path, goal)| (path.to_owned(), goal.version.to_string()))
            .into();
        let wanted = [("kept", kept), ("damaged", damaged), ("new", new)]
            .map(|(path, goal)| (path.to_owned(), goal))
            .into();
        let on_disk =
            [("kept", 1), ("damaged", 1), ("stray", 9)].map(|(path, size)| (path.to_owned(), size));
        assert_eq!(
            plan(&wanted, &recorded, &on_disk.into()),
            [
                Step::Remove("stray".to_owned()),
                Step::Write("damaged".to_owned()),
                Step::Write("new".to_owned()),
            ]
        );
    }
}
