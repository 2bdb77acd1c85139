//! Which Airflow CLI commands MWAA's CLI endpoint runs (MWAA user guide, "Apache Airflow CLI command reference").
//!
//! Promise: a command that is not in the tables is refused, whatever its arguments. The tables are MWAA's; a version
//! that lacks a command answers for itself.

/// Why a command line is not run. Says what was asked for and what could be asked for instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotPermitted {
    /// Nothing was asked for.
    #[error(
        "the command is empty: send the command line without the leading word `airflow`, such as `dags list`"
    )]
    Empty,
    /// The command line begins with the program's name.
    #[error("leave out the leading word `airflow`: send `dags list`, not `airflow dags list`")]
    ProgramName,
    /// MWAA does not run this command, or none of this group.
    #[error("MWAA's CLI endpoint does not run `{command}`: {instead}")]
    Refused {
        /// The group and the command, as given.
        command: String,
        /// What of it is allowed.
        instead: String,
    },
}

/// A command's group, with the commands that are allowed in it.
type Group = (&'static str, &'static [&'static str]);

/// Commands that stand alone.
const ALONE: &[&str] = &["cheat-sheet", "version"];

/// Airflow 2: the groups and their commands.
const TWO: &[Group] = &[
    ("connections", &["add", "delete"]),
    (
        "dags",
        &[
            "backfill",
            "delete",
            "list",
            "list-import-errors",
            "list-jobs",
            "list-runs",
            "next-execution",
            "pause",
            "report",
            "reserialize",
            "show",
            "state",
            "test",
            "trigger",
            "unpause",
        ],
    ),
    ("db", &["clean"]),
    ("providers", PROVIDERS),
    ("roles", ROLES),
    (
        "tasks",
        &["clear", "failed-deps", "list", "render", "run", "state", "states-for-dag-run", "test"],
    ),
    ("variables", VARIABLES),
];

/// Airflow 3: the groups and their commands.
const THREE: &[Group] = &[
    ("assets", &["details", "list", "materialize"]),
    ("backfill", &["create"]),
    ("connections", &["add", "delete"]),
    (
        "dags",
        &[
            "delete",
            "list",
            "list-import-errors",
            "list-jobs",
            "list-runs",
            "next-execution",
            "pause",
            "report",
            "reserialize",
            "show",
            "state",
            "test",
            "trigger",
            "unpause",
        ],
    ),
    ("db", &["clean"]),
    ("providers", PROVIDERS),
    ("roles", ROLES),
    ("tasks", &["clear", "failed-deps", "list", "render", "state", "states-for-dag-run", "test"]),
    ("variables", VARIABLES),
];

const PROVIDERS: &[&str] = &[
    "behaviours",
    "get",
    "hooks",
    "links",
    "list",
    "notifications",
    "secrets",
    "triggerer",
    "widgets",
];

const ROLES: &[&str] = &["add-perms", "create", "del-perms", "list"];

const VARIABLES: &[&str] = &["delete", "get", "list", "set"];

/// Whether MWAA runs `airflow <argv>` on an Airflow of this `major` version.
///
/// The first two words decide. Airflow's parser takes no option between them but `--help`, so nothing can stand there
/// that would change which command runs.
pub fn check(major: u32, argv: &[String]) -> Result<(), NotPermitted> {
    let groups = if major >= 3 { THREE } else { TWO };
    let mut words = argv.iter().map(String::as_str);
    let Some(first) = words.next() else { return Err(NotPermitted::Empty) };
    if first == "airflow" {
        return Err(NotPermitted::ProgramName);
    }
    if ALONE.contains(&first) {
        return Ok(());
    }
    let Some((group, commands)) = groups.iter().find(|(group, _)| *group == first) else {
        let names: Vec<_> =
            groups.iter().map(|(group, _)| *group).chain(ALONE.iter().copied()).collect();
        let instead = format!("it runs commands of {}", names.join(", "));
        return Err(NotPermitted::Refused { command: first.to_owned(), instead });
    };
    match words.next() {
        Some(command) if commands.contains(&command) => Ok(()),
        command => Err(NotPermitted::Refused {
            command: command.map_or_else(|| first.to_owned(), |word| format!("{first} {word}")),
            instead: format!("of `{group}` it runs {}", commands.join(", ")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_words(major: u32, line: &str) -> Result<(), NotPermitted> {
        let argv: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        check(major, &argv)
    }

    #[test]
    fn the_commands_of_the_user_guide_run() {
        for line in [
            "version",
            "dags trigger hello",
            "dags list -o json",
            "variables set key value",
            "tasks test hello greet 2026-01-01",
            "roles list",
            "db clean --yes",
            "dags trigger --help",
        ] {
            for major in [2, 3] {
                assert_eq!(check_words(major, line), Ok(()), "{line} on {major}");
            }
        }
    }

    #[test]
    fn majors_differ_where_the_user_guide_says_so() {
        for (line, two, three) in [
            ("dags backfill hello", true, false),
            ("backfill create --dag-id hello", false, true),
            ("tasks run hello greet run", true, false),
            ("assets list", false, true),
        ] {
            assert_eq!(check_words(2, line).is_ok(), two, "{line} on 2");
            assert_eq!(check_words(3, line).is_ok(), three, "{line} on 3");
        }
    }

    #[test]
    fn what_mwaa_refuses_is_refused() {
        for line in [
            "connections list",
            "connections export -",
            "variables import vars.json",
            "pools list",
            "users create",
            "config get-value core fernet_key",
            "info",
            "webserver",
            "celery worker",
            "db reset --yes",
            "db shell",
            "dags",
            "dags -v list",
            "--help",
        ] {
            for major in [2, 3] {
                let refused = check_words(major, line);
                assert!(matches!(refused, Err(NotPermitted::Refused { .. })), "{line} on {major}");
            }
        }
    }

    #[test]
    fn a_refusal_says_what_runs_instead() {
        insta::assert_snapshot!(
            check_words(2, "connections list").unwrap_err(),
            @"MWAA's CLI endpoint does not run `connections list`: of `connections` it runs add, delete"
        );
        insta::assert_snapshot!(
            check_words(2, "users list").unwrap_err(),
            @"MWAA's CLI endpoint does not run `users`: it runs commands of connections, dags, db, providers, roles, tasks, variables, cheat-sheet, version"
        );
        assert_eq!(check_words(2, "airflow dags list"), Err(NotPermitted::ProgramName));
        assert_eq!(check_words(2, ""), Err(NotPermitted::Empty));
    }
}
