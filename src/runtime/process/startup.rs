//! The startup script: sourced by bash once per kind of container, and what it exports afterwards.
//!
//! MWAA runs it in every container before the requirements, with a limit of five minutes; a command that fails
//! inside does not stop it, `exit` does. Here a script that leaves with a code other than zero, or that bash cannot
//! read, fails the launch: on MWAA that is found in a log after half an hour.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::ledger::Group;
use super::{Variables, failed, tail};
use crate::limits;
use crate::runtime::{Artefact, LaunchError};

/// What bash is told. `$1` the script, `$2` a Python, `$3` where the variables go.
///
/// The trap runs also when the script calls `exit`. The line comes from a debug trap (`set -T` carries it into the
/// sourced file), because bash keeps no line for an `exit`; outside of a file, as in the exit trap, there is nothing to note.
const WRAPPER: &str = r#"
windtunnel_python=$2 windtunnel_target=$3 windtunnel_line=0 windtunnel_end=exit
set -T
trap 'windtunnel_code=$?
    trap - DEBUG
    "$windtunnel_python" -I -S -c "$WINDTUNNEL_DUMP" "$windtunnel_target"
    echo "$windtunnel_end $windtunnel_code $windtunnel_line" > "$windtunnel_target.end"' EXIT
trap '[ -z "${BASH_SOURCE[0]-}" ] || windtunnel_line=$LINENO' DEBUG
. "$1"
windtunnel_end=done
trap - DEBUG
"#;

const DUMP: &str = "import json, os, sys\n\
    json.dump({k: v for k, v in os.environ.items()}, open(sys.argv[1], 'w'))";

/// Bash's own, and ours for the wrapper: never part of what a script exports.
const NOT_EXPORTED: [&str; 5] = ["WINDTUNNEL_DUMP", "_", "SHLVL", "PWD", "OLDPWD"];

/// What to run, as which container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run<'a> {
    pub(super) script: &'a Artefact,
    pub(super) python: &'a Path,
    /// `scheduler`, `worker` or `webserver`.
    pub(super) container: &'a str,
    pub(super) variables: &'a Variables,
    pub(super) home: &'a Path,
    /// Its output is appended here.
    pub(super) log: &'a Path,
}

impl Run<'_> {
    /// Runs the script; the variables as they are after it.
    pub(super) async fn run(&self) -> Result<Variables, LaunchError> {
        let what = format!("the startup script {} failed", self.script.label);
        self.check(&what).await?;
        let folder =
            tempfile::tempdir_in(self.home).map_err(|error| failed(&what, &error, NEXT))?;
        let target = folder.path().join("variables.json");
        self.source(&what, &target).await?;
        let end = tokio::fs::read_to_string(target.with_extension("json.end")).await;
        self.judge(&what, &end.unwrap_or_default())?;
        let text = tokio::fs::read(&target).await.map_err(|error| failed(&what, &error, NEXT))?;
        let mut after: Variables = serde_json::from_slice(&text)
            .map_err(|error| failed(&what, &io::Error::other(error), NEXT))?;
        after.retain(|name, _| !NOT_EXPORTED.contains(&name.as_str()));
        Ok(after)
    }

    /// Bash reads the whole file first: its message has the line.
    async fn check(&self, what: &str) -> Result<(), LaunchError> {
        let mut command = Command::new("bash");
        command.arg("-n").arg(&self.script.path).stdin(Stdio::null()).kill_on_drop(true);
        let output =
            command.output().await.map_err(|error| failed(what, &error, "install bash"))?;
        if output.status.success() {
            return Ok(());
        }
        let path = self.script.path.display().to_string();
        let said = String::from_utf8_lossy(&output.stderr).replace(&path, &self.script.label);
        Err(LaunchError {
            what: what.to_owned(),
            why: said.lines().next().unwrap_or("bash cannot read it").to_owned(),
            next: NEXT.to_owned(),
            detail: said.trim().to_owned(),
        })
    }

    async fn source(&self, what: &str, target: &Path) -> Result<(), LaunchError> {
        let log = super::append(self.log).map_err(|error| failed(what, &error, NEXT))?;
        let complaint = log.try_clone().map_err(|error| failed(what, &error, NEXT))?;
        let mut command = Command::new("bash");
        command.args(["--norc", "--noprofile", "-c", WRAPPER, "startup"]);
        command.arg(&self.script.path).arg(self.python).arg(target);
        command.env_clear().envs(self.variables).env("WINDTUNNEL_DUMP", DUMP);
        command.env("MWAA_AIRFLOW_COMPONENT", self.container).env("MWAA_COMMAND", self.container);
        command.current_dir(self.home).stdin(Stdio::null()).stdout(log).stderr(complaint);
        let mut child = command
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| failed(what, &error, "install bash"))?;
        // What the script started in the background ends with it, and all of it with a launch that is given up.
        let _group = Group(child.id());
        let limit = Duration::from_secs(limits::STARTUP_SCRIPT_MAX_SECONDS);
        match tokio::time::timeout(limit, child.wait()).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(what, &error, NEXT)),
            Err(_) => {
                let why = format!("it was still running after {} s", limit.as_secs());
                Err(self.error(what, why))
            }
        }
    }

    /// Tells a script that gave up from one that merely ended with a failing command.
    // Divergence(startup-script): on MWAA a script that leaves with a code is seen in a log alone.
    fn judge(&self, what: &str, end: &str) -> Result<(), LaunchError> {
        let words: Vec<&str> = end.split_whitespace().collect();
        match words[..] {
            ["done", ..] | ["exit", "0", _] => Ok(()),
            ["exit", code, line] => {
                let why = format!("{}:{line}: it left with exit code {code}", self.script.label);
                Err(self.error(what, why))
            }
            _ => Err(self.error(what, "it ended without telling its variables".to_owned())),
        }
    }

    fn error(&self, what: &str, why: String) -> LaunchError {
        LaunchError {
            what: what.to_owned(),
            why,
            next: format!("{NEXT}; its output is in {}", self.log.display()),
            detail: tail(self.log),
        }
    }
}

const NEXT: &str = "correct the script and save it";

#[cfg(test)]
mod tests {
    use super::super::ledger::tests::{Ear, ended};
    use super::*;

    async fn run(script: &str) -> (Result<Variables, LaunchError>, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("startup.sh");
        std::fs::write(&path, script).unwrap();
        let variables = Variables::from([
            ("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned()),
            ("KEPT".to_owned(), "1".to_owned()),
        ]);
        let log = folder.path().join("log");
        let result = Run {
            script: &Artefact { path, label: "startup_script/startup.sh".to_owned() },
            python: Path::new("python3"),
            container: "worker",
            variables: &variables,
            home: folder.path(),
            log: &log,
        };
        let result = result.run().await;
        (result, std::fs::read_to_string(log).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_script_and_its_children_end_with_a_launch_that_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let ear = Ear::new(folder.path());
        let script = format!("python3 -c \"{}\"\n", Ear::program(folder.path()));
        let process = tokio::select! {
            (result, log) = run(&script) => panic!("it stays: {result:?} {log}"),
            process = ear.hear() => process,
        };
        ended(process).await;
    }

    #[tokio::test]
    async fn what_a_script_leaves_in_the_background_ends_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let ear = Ear::new(folder.path());
        let heard = folder.path().join("heard");
        let script = format!(
            "python3 -c \"{}\" &\nuntil [ -e '{}' ]; do sleep 0.01; done\nexport A=1\n",
            Ear::program(folder.path()),
            heard.display()
        );
        let ((result, _), process) = tokio::join!(run(&script), ear.hear());
        assert_eq!(result.unwrap()["A"], "1");
        ended(process).await;
    }

    #[tokio::test]
    async fn exports_are_returned_and_plain_variables_are_not() {
        let (result, log) = run("export A='x y'\nB=2\necho $MWAA_AIRFLOW_COMPONENT\nfalse\n").await;
        let variables = result.unwrap();
        assert_eq!(variables["A"], "x y");
        assert_eq!(variables["KEPT"], "1");
        assert!(!variables.contains_key("B"));
        assert_eq!(log, "worker\n");
    }

    #[tokio::test]
    async fn an_exit_with_a_code_is_a_failure_at_its_line() {
        let (result, _) = run("export A=1\n\nexit 3\n").await;
        assert_eq!(
            result.unwrap_err().why,
            "startup_script/startup.sh:3: it left with exit code 3"
        );
        assert_eq!(run("export A=1\nexit 0\n").await.0.unwrap()["A"], "1");
    }

    #[tokio::test]
    async fn a_script_that_bash_cannot_read_is_a_failure_at_its_line() {
        let (result, _) = run("export A=1\nif true; then\n").await;
        let why = result.unwrap_err().why;
        assert!(why.starts_with("startup_script/startup.sh: line "), "{why}");
    }
}
