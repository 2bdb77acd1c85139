//! Rules about the source itself: floors, homes of outside crates, sizes, the divergence table, forbidden text.
//!
//! Each test names the file and the rule it breaks. What a machine cannot see is the reviewer's.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longer files are named on the terminal: is there a seam along which one splits?
const LONG_FILE_LINES: usize = 600;
/// And this is the wall.
const LONGEST_FILE_LINES: usize = 1200;

/// The floors of the house, from the ground up. A room uses rooms below its own floor, never beside or above it.
///
/// Names, time, numbers and what MWAA demands are the ground that even settings stand on.
const FLOORS: &[&[&str]] = &[
    &["id", "clock", "limits", "constraints"],
    &["config"],
    &["db", "airflow"],
    &["objects", "queues", "logs", "metrics", "runtime", "activity"],
    &["environment", "mirror", "delivery", "tokens"],
    &["api"],
    &["gateway"],
    &["daemon"],
    &["cli"],
];

/// An outside crate and the only places that may name it, as beginnings or ends of paths below `src/`.
struct Home {
    needle: &'static str,
    starts: &'static [&'static str],
    ends: &'static [&'static str],
}

const HOMES: &[Home] = &[
    // The project's files, and what components write to their logs.
    Home { needle: "notify::", starts: &["mirror/", "runtime/process/follow.rs"], ends: &[] },
    // The store computes the checksums that S3 names with its crypto module, which knows no wire.
    Home { needle: "s3s::", starts: &["api/s3/", "objects/checksum.rs"], ends: &[] },
    Home { needle: "bollard::", starts: &["runtime/docker/"], ends: &[] },
    Home { needle: "rcgen::", starts: &["gateway/"], ends: &[] },
    Home { needle: "tokio_rustls::", starts: &["gateway/", "daemon/"], ends: &[] },
    Home { needle: "jsonwebtoken::", starts: &["tokens/"], ends: &[] },
    Home { needle: "quick_xml::", starts: &["api/"], ends: &[] },
    Home { needle: "indicatif::", starts: &["cli/"], ends: &[] },
    Home { needle: "clap::", starts: &["cli/", "config/"], ends: &[] },
    Home { needle: "toml::", starts: &["config/"], ends: &[] },
    Home { needle: "axum::", starts: &["gateway/", "api/", "cli/", "daemon/"], ends: &[] },
    Home { needle: "hyper::", starts: &["gateway/", "api/", "cli/", "daemon/"], ends: &[] },
    Home { needle: "hyper_util::", starts: &["gateway/", "api/", "cli/", "daemon/"], ends: &[] },
    // SQL: the calls that take it.
    Home { needle: "connection.prepare(", starts: &["db/"], ends: &["store.rs"] },
    Home { needle: "prepare_cached(", starts: &["db/"], ends: &["store.rs"] },
    Home { needle: "query_row(", starts: &["db/"], ends: &["store.rs"] },
    Home { needle: "execute_batch(", starts: &["db/"], ends: &["store.rs"] },
];

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` that git would keep, as paths relative to the repository.
fn files(folder: &str) -> Vec<PathBuf> {
    // `.cargo` is a developer's own.
    let skip = [
        "target",
        "node_modules",
        ".windtunnel",
        ".git",
        ".cargo",
        "__pycache__",
        "screenshots",
        "app",
    ];
    let mut found = Vec::new();
    let mut folders = vec![top().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.expect("a folder of the repository can be listed").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if skip.contains(&name.as_str()) || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(top()).expect("it lies below").to_owned());
            }
        }
    }
    found.sort();
    found
}

fn text(path: &Path) -> String {
    // Pictures and archives have no lines to judge.
    fs::read(top().join(path))
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .unwrap_or_default()
}

fn is(path: &Path, extension: &str) -> bool {
    path.extension().is_some_and(|given| given == extension)
}

fn sources() -> Vec<(String, String)> {
    files("src")
        .into_iter()
        .filter(|path| is(path, "rs"))
        .map(|path| {
            let name =
                path.strip_prefix("src").expect("listed below src").to_string_lossy().into_owned();
            let text = text(&path);
            (name, text)
        })
        .collect()
}

/// The text without comment lines, where a room may be named freely.
fn code(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The first path segments that follow `crate::`, groups opened: `crate::{a, b::c}` gives `a` and `b::c`.
fn uses(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        let Some(group) = rest.strip_prefix('{') else {
            found.push(path_at(rest));
            continue;
        };
        let mut depth = 0_usize;
        let mut item = String::new();
        for letter in group.chars() {
            match letter {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => found.push(path_at(std::mem::take(&mut item).trim())),
                _ if depth == 0 => item.push(letter),
                _ => {}
            }
        }
        if !item.trim().is_empty() {
            found.push(path_at(item.trim()));
        }
    }
    found
}

fn path_at(rest: &str) -> String {
    rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | ':')).collect()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn room_of(file: &str) -> &str {
    file.split('/').next().expect("a path has a first part").trim_end_matches(".rs")
}

#[test]
fn a_room_uses_lower_floors_only() {
    let mut broken = Vec::new();
    for (file, text) in sources() {
        let room = room_of(&file);
        let Some(here) = floor(room) else {
            assert!(
                matches!(room, "main" | "lib"),
                "src/{file}: `{room}` stands on no floor; give it one"
            );
            continue;
        };
        for used in uses(&code(&text)) {
            let mut parts = used.split("::");
            let there = parts.next().unwrap_or_default();
            let inner = parts.next().unwrap_or_default();
            let own_api = file.split('/').nth(1).unwrap_or_default().trim_end_matches(".rs");
            let neighbour = room == "api"
                && there == "api"
                && !matches!(inner, "" | "wire")
                && inner != own_api;
            let fine =
                !neighbour && (there == room || floor(there).is_none_or(|there| there < here));
            if !fine {
                broken.push(format!("src/{file}: {room} must not use {used}"));
            }
        }
    }
    assert!(broken.is_empty(), "rooms look beside or above themselves:\n{}", broken.join("\n"));
}

#[test]
fn an_outside_crate_is_named_in_its_home_only() {
    let mut strays = Vec::new();
    for (file, text) in sources() {
        let code = code(&text);
        for home in HOMES {
            let at_home = home.starts.iter().any(|start| file.starts_with(start))
                || home.ends.iter().any(|end| file.ends_with(end));
            if !at_home && names_crate(&code, home.needle) {
                strays.push(format!("src/{file} names {}", home.needle));
            }
        }
    }
    assert!(strays.is_empty(), "outside crates away from home:\n{}", strays.join("\n"));
}

/// Whether `needle` occurs as a path of its own, and not as the end of a longer name.
fn names_crate(code: &str, needle: &str) -> bool {
    code.match_indices(needle)
        .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

#[test]
fn rooms_are_used_by_name() {
    let mut broken = Vec::new();
    for (file, text) in sources().into_iter().filter(|(file, _)| !file.ends_with("tests.rs")) {
        let glob = |line: &&str| line.trim_start().starts_with("use ") && line.contains("::*");
        let outside_tests = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in outside_tests.lines().filter(glob) {
            broken.push(format!("src/{file}: {}", line.trim()));
        }
    }
    assert!(broken.is_empty(), "glob imports outside tests:\n{}", broken.join("\n"));
}

#[test]
fn files_can_be_read_in_a_sitting() {
    let mut walls = Vec::new();
    let kept = ["src", "tests", "ui/src", "benches", "fixtures"].into_iter().flat_map(files);
    for path in kept.filter(|path| ["rs", "py", "ts", "tsx"].iter().any(|kind| is(path, kind))) {
        let lines = text(&path).lines().count();
        if lines > LONGEST_FILE_LINES {
            walls.push(format!("{} has {lines} lines", path.display()));
        } else if lines > LONG_FILE_LINES {
            warn(&format!("{} has {lines} lines; is there a seam?", path.display()));
        }
    }
    assert!(walls.is_empty(), "too long to be read in a sitting:\n{}", walls.join("\n"));
}

#[expect(clippy::print_stderr, reason = "a warning is for who runs the tests")]
fn warn(text: &str) {
    eprintln!("note: {text}");
}

#[test]
fn nothing_is_left_for_later_in_a_comment() {
    let marks =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("to", "do!(")];
    let marks: Vec<&str> = marks.into_iter().chain([concat!("unimple", "mented!(")]).collect();
    let mut found = Vec::new();
    let kept = ["src", "tests", "ui/src", "benches", "fixtures"].into_iter().flat_map(files);
    for path in kept {
        for (number, line) in text(&path).lines().enumerate() {
            if marks.iter().any(|mark| line.contains(mark)) {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "fix it, or record it as a divergence:\n{}", found.join("\n"));
}

#[test]
fn tests_wait_for_conditions_not_for_time() {
    let mut found = Vec::new();
    for path in files("tests").into_iter().filter(|path| is(path, "rs") || is(path, "py")) {
        // The one polling helper of each language, tasks that must take long, and this rule.
        if ["support.rs", "waiting.py", "tidy.rs"].iter().any(|name| path.ends_with(name)) {
            continue;
        }
        for (number, line) in text(&path).lines().enumerate() {
            if line.contains("sleep(") && !line.contains("# a task") {
                found.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "a sleep outside the polling helper:\n{}", found.join("\n"));
}

#[test]
fn every_divergence_is_in_the_readme_and_the_reverse() {
    let mut marked = BTreeSet::new();
    for path in files("src") {
        for rest in text(&path).split("Divergence(").skip(1) {
            if let Some((id, _)) = rest.split_once("):") {
                marked.insert(id.to_owned());
            }
        }
    }
    let readme = text(Path::new("README.md"));
    let table = readme
        .split("\n## ")
        .find(|section| section.lines().next().unwrap_or_default().contains("ivergence"))
        .expect("README.md has a section about divergences from AWS");
    let listed: BTreeSet<String> = table
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("| `")?.split_once('`'))
        .map(|(id, _)| id.to_owned())
        .collect();
    let unlisted: Vec<_> = marked.difference(&listed).collect();
    let unmarked: Vec<_> = listed.difference(&marked).collect();
    assert!(unlisted.is_empty(), "marked in src, missing in README's table: {unlisted:?}");
    assert!(unmarked.is_empty(), "in README's table, marked nowhere in src: {unmarked:?}");
}

#[test]
fn the_tree_names_no_machine_and_no_registry() {
    let forbidden = [
        concat!("/wo", "rk/"),
        concat!("/fa", "rm/"),
        concat!("/ro", "ot/"),
        concat!("py", "pi.org"),
        concat!("python", "hosted.org"),
        concat!("cra", "tes.io"),
        concat!("registry.np", "mjs"),
        concat!("deb.deb", "ian.org"),
    ];
    let locks = ["Cargo.lock", "package-lock.json"];
    let mut found = Vec::new();
    for path in files("").into_iter().filter(|path| !locks.iter().any(|lock| path.ends_with(lock)))
    {
        for (number, line) in text(&path).lines().enumerate() {
            if let Some(needle) = forbidden.iter().find(|needle| line.contains(**needle)) {
                found.push(format!("{}:{} names {needle}", path.display(), number + 1));
            }
        }
    }
    assert!(found.is_empty(), "these belong to one machine or one network:\n{}", found.join("\n"));
}

#[test]
fn uses_opens_groups() {
    assert_eq!(uses("use crate::db::Db;"), ["db::Db"]);
    assert_eq!(uses("use crate::{id, api::{s3, wire}, limits::X};"), ["id", "api::", "limits::X"]);
    assert!(names_crate("use notify::Event;", "notify::"));
    assert!(!names_crate("tokio::sync::notify::Event", "notify::"));
}
