//! What a check finds, and what it makes of all files together.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// It does not work, on MWAA either.
    Error,
    /// It may not do what its author expects.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One thing to tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Finding {
    /// Names the rule: `import-error`, `duplicate-dag-id`.
    pub(super) code: String,
    pub(super) severity: Severity,
    /// As a person would name it from where they are.
    pub(super) file: PathBuf,
    pub(super) line: Option<u32>,
    pub(super) message: String,
    pub(super) help: Option<String>,
    pub(super) traceback: Option<String>,
    /// The kind and name of what is not there (`connection`, `pool`, `variable`), for who can look elsewhere.
    #[serde(default, skip_serializing)]
    pub(super) wants: Option<(String, String)>,
}

/// A DAG that was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dag {
    #[serde(rename = "dag_id")]
    pub(super) id: String,
    pub(super) file: PathBuf,
    pub(super) line: Option<u32>,
    pub(super) tasks: u32,
}

/// What came of one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Checked {
    pub(super) file: PathBuf,
    /// What the import took, when it was made.
    pub(super) seconds: f64,
    /// Whether it is an earlier result: nothing that the file reads has changed since.
    pub(super) cached: bool,
    pub(super) dags: Vec<Dag>,
    #[serde(skip_serializing)]
    pub(super) findings: Vec<Finding>,
}

/// Of one DAG id in several files Airflow keeps one DAG: whichever was imported last.
pub(super) fn duplicates(files: &[Checked]) -> Vec<Finding> {
    let mut seen: BTreeMap<&str, Vec<&Dag>> = BTreeMap::new();
    for dag in files.iter().flat_map(|file| &file.dags) {
        seen.entry(&dag.id).or_default().push(dag);
    }
    let mut found = Vec::new();
    for (id, dags) in seen {
        let (Some(first), rest) = (dags.first(), &dags[1..]) else { continue };
        let at = first.line.map_or(String::new(), |line| format!(":{line}"));
        for again in rest.iter().filter(|again| again.file != first.file) {
            found.push(Finding {
                code: "duplicate-dag-id".to_owned(),
                severity: Severity::Error,
                file: again.file.clone(),
                line: again.line,
                message: format!("DAG `{id}` is also defined in {}{at}", first.file.display()),
                help: Some("give one of them another `dag_id`: Airflow keeps one".to_owned()),
                traceback: None,
                wants: None,
            });
        }
    }
    found
}

/// Names a file as a person in `folder` would.
pub(super) fn shorten(path: &mut PathBuf, folder: &Path) {
    if let Ok(rest) = path.strip_prefix(folder) {
        *path = rest.to_owned();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, ids: &[&str]) -> Checked {
        let dag = |id: &&str| Dag {
            id: (*id).to_owned(),
            file: PathBuf::from(name),
            line: Some(7),
            tasks: 1,
        };
        let dags = ids.iter().map(dag).collect();
        Checked { file: name.into(), seconds: 0.1, cached: false, dags, findings: Vec::new() }
    }

    #[test]
    fn an_id_in_two_files_is_told_at_the_second() {
        let files = [file("dags/a.py", &["one", "two"]), file("dags/b.py", &["two"])];
        let found = duplicates(&files);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].file, Path::new("dags/b.py"));
        assert_eq!(found[0].message, "DAG `two` is also defined in dags/a.py:7");
    }

    #[test]
    fn ids_of_their_own_are_fine() {
        assert_eq!(duplicates(&[file("a.py", &["one"]), file("b.py", &["two"])]), []);
    }
}
