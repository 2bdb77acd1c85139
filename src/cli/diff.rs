//! `windtunnel diff`: what changed between two versions of a file.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;
use similar::{ChangeTag, TextDiff};

use super::failure::{Failure, NO};
use super::history::{History, Version, sized};
use super::{Place, terminal};

/// Lines around a change.
const CONTEXT_LINES: usize = 3;

/// Show what changed between two versions of a file
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel diff dags/etl.py                    the last save\n  \
    windtunnel diff dags/etl.py --from Qw5eR4      since that version\n  \
    windtunnel diff dags/etl.py --from Qw5eR4 --to Zb9mR4 | less\n\n\
    The beginning of a version id will do. Exits with 1 when the file has no such version.")]
pub(super) struct Diff {
    /// A file of the project, there or deleted
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The older version [default: the one before the newer]
    #[arg(long, value_name = "VERSION_ID")]
    from: Option<String>,
    /// The newer version [default: the current one]
    #[arg(long, value_name = "VERSION_ID")]
    to: Option<String>,
    /// The same for programs: the two versions, the number of added and removed lines, and the text
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(place: &Place, asked: &Diff) -> Result<ExitCode, Failure> {
    let history = History::of(place, &asked.path).await?;
    let (from, to) = chosen(&history, asked)?;
    let (old, new) = (history.bytes(from).await?, history.bytes(to).await?);
    let name = &history.subject.shown;
    let text = match (std::str::from_utf8(&old), std::str::from_utf8(&new)) {
        (Ok(old), Ok(new)) => Some(unified(old, new, [&headed(name, from), &headed(name, to)])),
        _ => None,
    };
    if asked.json {
        let (added, removed) = if text.is_some() { counted(&old, &new) } else { (None, None) };
        terminal::result(
            &json!({
                "key": history.subject.key, "from": from.id, "to": to.id,
                "same": old == new, "added_lines": added, "removed_lines": removed, "diff": text,
            })
            .to_string(),
        );
    } else if let Some(text) = text {
        terminal::raw_result(text.as_bytes());
    } else if old != new {
        let (old, new) = (sized(from.size_bytes), sized(to.size_bytes));
        terminal::result(&format!("{name}: bytes that are no text differ ({old}, then {new})"));
    }
    Ok(ExitCode::SUCCESS)
}

/// The versions that are meant: by default the current one, and the one before the newer.
fn chosen<'h>(history: &'h History, asked: &Diff) -> Result<(&'h Version, &'h Version), Failure> {
    let versions = &history.versions;
    let to = match &asked.to {
        Some(id) => history.version(id)?,
        None => &versions[0],
    };
    let from = match &asked.from {
        Some(id) => history.version(id)?,
        None => {
            let at = versions.iter().position(|version| version == to).unwrap_or_default();
            versions.get(at + 1).ok_or_else(|| {
                Failure::new(format!("{} has no version before that one", history.subject.shown))
                    .why("it is the first")
                    .next(format!("`windtunnel versions {}` lists them", history.subject.shown))
                    .code(NO)
            })?
        }
    };
    Ok((from, to))
}

fn headed(name: &str, version: &Version) -> String {
    if version.is_delete_marker {
        return "/dev/null".to_owned();
    }
    format!("{name}\t{} {}", version.id, version.modified)
}

fn unified(old: &str, new: &str, names: [&str; 2]) -> String {
    TextDiff::from_lines(old, new)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(names[0], names[1])
        .to_string()
}

/// Added and removed lines.
fn counted(old: &[u8], new: &[u8]) -> (Option<usize>, Option<usize>) {
    let (old, new) = (String::from_utf8_lossy(old), String::from_utf8_lossy(new));
    let diff = TextDiff::from_lines(old.as_ref(), new.as_ref());
    let of = |tag| Some(diff.iter_all_changes().filter(|change| change.tag() == tag).count());
    (of(ChangeTag::Insert), of(ChangeTag::Delete))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_what_patch_reads() {
        let old = "a\nb\nc\nd\ne\nf\n";
        let new = "a\nb\nc\nd\nE\nf\ng\n";
        insta::assert_snapshot!(unified(old, new, ["etl.py\told", "etl.py\tnew"]), @r"
        --- etl.py	old
        +++ etl.py	new
        @@ -2,5 +2,6 @@
         b
         c
         d
        -e
        +E
         f
        +g
        ");
        assert_eq!(counted(old.as_bytes(), new.as_bytes()), (Some(2), Some(1)));
        assert_eq!(unified(old, old, ["a", "b"]), "");
    }
}
