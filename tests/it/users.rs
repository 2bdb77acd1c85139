//! An ordinary user, with a home and a cache of its own: the first start on a machine.

use std::fs;
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::support::{
    FIRST_AIRFLOW, Project, Windtunnel, airflow_turn, binary, done, figure, finished, is_root,
    skipped,
};

/// `nobody` everywhere that has such a user.
const NOBODY: u32 = 65534;

fn give(folder: &Path) {
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry.expect("it is ours");
        chown(entry.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    }
}

/// `setpriv … PROGRAM`, with an environment as small as a login's.
fn as_nobody(home: &Path, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home)
        .env("USER", "nobody")
        .env("LC_ALL", "C.UTF-8");
    // How packages are fetched is the machine's business.
    for (name, value) in std::env::vars_os() {
        let text = name.to_string_lossy().to_lowercase();
        let fetching = ["pip_", "uv_", "ssl_cert_", "requests_ca_bundle"];
        if fetching.iter().any(|start| text.starts_with(start)) || text.ends_with("_proxy") {
            command.env(name, value);
        }
    }
    command
}

/// Why this machine cannot make the check, if it cannot.
fn hindrance(home: &Path) -> Option<&'static str> {
    if !is_root() {
        return Some("the other tests already run as an ordinary user");
    }
    if !as_nobody(home, "/bin/true").output().is_ok_and(|output| output.status.success()) {
        return Some("setpriv is not there, or may not change the user");
    }
    let python = ["-c", "import venv, ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 11))"];
    if !finished(as_nobody(home, "python3.11").args(python)).status.success() {
        return Some("an ordinary user has no Python 3.11 with venv here");
    }
    None
}

#[test]
fn an_ordinary_user_starts_it_for_the_first_time() {
    let _turn = airflow_turn();
    let project = Project::small("ordinary");
    let home = project.path("home");
    fs::create_dir_all(&home).expect("it is ours");
    // The binary may lie where only root may go.
    let copy = project.path("windtunnel");
    fs::copy(binary(), &copy).expect("it is built");
    give(project.root());
    if let Some(why) = hindrance(&home) {
        skipped("an ordinary user", why);
        return;
    }
    let mut command = as_nobody(&home, &copy.to_string_lossy());
    command.current_dir(project.root()).args(["up", "--json", "--aws-addr", "127.0.0.1:0"]);
    command.args(["--console-addr", "127.0.0.1:0", "--web-addr", "127.0.0.1:0"]);
    let up = Windtunnel::start(&project, &mut command);
    up.wait_line("it is AVAILABLE", FIRST_AIRFLOW, |line| line.get("available").is_some());
    figure(
        "up to AVAILABLE, nothing installed before",
        &format!("{:.1} s", up.began.elapsed().as_secs_f64()),
    );
    for line in project.processes() {
        let pid = line.split(' ').next().unwrap_or_default();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        assert!(!status.contains("\nUid:\t0\t"), "runs as root: {line}");
    }
    let told = done(
        as_nobody(&home, &copy.to_string_lossy())
            .current_dir(project.root())
            .args(["airflow", "--", "dags", "list"]),
    );
    assert!(told.contains("small"), "{told}");
    up.python("journey.py", &["runs", "ordinary", "small"]);
    let (status, said) = up.stop();
    assert!(status.success(), "{said}");
    project.nothing_runs(Duration::from_secs(10));
}
