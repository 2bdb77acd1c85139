//! Bad input: one sentence of what, why and what to do; exit code 1 or 2; nothing left running.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::support::{
    FIRST_AIRFLOW, Project, SOON, Windtunnel, airflow_turn, finished, is_root, path_without_python,
    skipped, told, wait_for,
};

/// Checks the form that every error has, and gives its text.
fn explained(project: &Project, code: Option<i32>, said: &str, words: &[&str]) {
    assert!(matches!(code, Some(1 | 2)), "exit code {code:?}: {said}");
    let error = said.lines().any(|line| line.starts_with("error: "));
    let why = said.lines().any(|line| line.trim_start().starts_with("why: "));
    let next = said.lines().any(|line| line.trim_start().starts_with("next: "));
    assert!(error && why && next, "an error says what, why and what to do: {said}");
    assert!(!said.contains("panicked"), "{said}");
    for word in words {
        assert!(said.contains(word), "`{word}` is not in: {said}");
    }
    project.nothing_runs(Duration::from_secs(10));
}

fn refused(project: &Project, output: &Output, words: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{}", told(output));
    explained(project, output.status.code(), &said, words);
}

/// `up`, which must end by itself with an explanation.
fn fails(project: &Project, command: &mut Command, words: &[&str]) {
    let up = Windtunnel::start(project, command);
    let (code, said) = up.ends(FIRST_AIRFLOW);
    explained(project, code, &said, words);
}

#[test]
fn an_unknown_key_in_the_settings_file() {
    let project = Project::small("mistake");
    project.write("windtunnel.toml", "[environment]\nAirflowVersion = \"2.10.3\"\nMaxWorker = 3\n");
    let output = finished(&mut project.up_command(&[]));
    refused(&project, &output, &["MaxWorker", "windtunnel.toml:3", "MaxWorkers"]);
    assert_eq!(output.status.code(), Some(2), "wrong use");
}

#[test]
fn a_version_that_is_not_supported() {
    let project = Project::small("mistake");
    project.write("windtunnel.toml", "[environment]\nAirflowVersion = \"1.10.12\"\n");
    let output = finished(&mut project.up_command(&[]));
    refused(&project, &output, &["1.10.12", "2.10.3"]);
}

#[test]
fn a_port_that_is_taken() {
    let project = Project::small("mistake");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = taken.local_addr().expect("it listens").to_string();
    for flag in ["--aws-addr", "--console-addr", "--web-addr"] {
        let mut command = project.command(&["up"]);
        for other in ["--aws-addr", "--console-addr", "--web-addr"] {
            command.args([other, if other == flag { &address } else { "127.0.0.1:0" }]);
        }
        fails(&project, &mut command, &[&address, "in use"]);
    }
}

#[test]
fn a_project_folder_that_is_not_there() {
    let project = Project::small("mistake");
    let output = finished(&mut project.up_command(&["no/such/folder"]));
    refused(&project, &output, &["no/such/folder"]);
}

#[test]
fn a_project_folder_that_disappears() {
    let _turn = airflow_turn();
    let project = Project::small("mistake");
    let up = project.up_with_airflow();
    fs::rename(project.root(), project.root().with_extension("away")).expect("it is ours");
    let (code, said) = up.ends(SOON);
    let folder = project.root().to_string_lossy().into_owned();
    explained(&project, code, &said, &[&folder]);
}

#[test]
fn no_python() {
    let project = Project::small("mistake");
    let mut command = project.up_command(&[]);
    command.env("PATH", path_without_python(&project)).env("HOME", project.root());
    command.env("WINDTUNNEL_CACHE_DIR", project.path("cache"));
    for name in ["PYENV_ROOT", "UV_PYTHON", "PYTHON", "VIRTUAL_ENV"] {
        command.env_remove(name);
    }
    fails(&project, &mut command, &["Python", "3.11"]);
}

/// Package indexes that nobody answers at, whatever the machine is set up with.
fn unplug(command: &mut Command) {
    let nowhere = "http://127.0.0.1:1/simple";
    for name in ["UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL"] {
        command.env(name, nowhere);
    }
    for name in
        ["UV_EXTRA_INDEX_URL", "UV_INDEX", "UV_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS"]
    {
        command.env_remove(name);
    }
    // Both proxies lead nowhere too, for what is fetched from elsewhere than an index.
    for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env(name, "http://127.0.0.1:1");
    }
    command.env("NO_PROXY", "127.0.0.1,localhost").env("no_proxy", "127.0.0.1,localhost");
}

#[test]
fn no_network_on_the_first_start() {
    let project = Project::small("mistake");
    let mut command = project.up_command(&[]);
    unplug(&mut command);
    command.env("HOME", project.root()).env("XDG_CACHE_HOME", project.path("home-cache"));
    command
        .env("UV_CACHE_DIR", project.path("uv-cache"))
        .env("PIP_CACHE_DIR", project.path("pip-cache"));
    command.env("WINDTUNNEL_CACHE_DIR", project.path("cache"));
    fails(&project, &mut command, &["network"]);
}

#[test]
fn after_one_start_no_network_is_needed() {
    let _turn = airflow_turn();
    let project = Project::small("unplugged");
    project.up_with_airflow().stop();
    let mut command = project.up_command(&[]);
    unplug(&mut command);
    let up = Windtunnel::start(&project, &mut command);
    up.wait_available();
    up.python("journey.py", &["runs", "unplugged", "small"]);
}

#[test]
fn requirements_that_do_not_resolve() {
    let _turn = airflow_turn();
    let project = Project::small("mistake");
    project.write("requirements/requirements.txt", "humanize==4.0.0\nhumanize==4.1.0\n");
    fails(&project, &mut project.up_command(&[]), &["requirements.txt", "humanize"]);
}

#[test]
fn a_startup_script_that_fails() {
    let _turn = airflow_turn();
    let project = Project::small("mistake");
    let script = "#!/bin/sh\nexport FINE=1\necho the words of the script >&2\nexit 7\n";
    project.write("startup_script/startup.sh", script);
    fails(
        &project,
        &mut project.up_command(&[]),
        &["startup.sh:4", "exit code 7", "its output is in"],
    );
    let logs = project.path(".windtunnel/environments/mistake/logs");
    let kept = walkdir::WalkDir::new(logs).into_iter().flatten().any(|entry| {
        fs::read_to_string(entry.path()).is_ok_and(|log| log.contains("the words of the script"))
    });
    assert!(kept, "the script's own words can be read");
}

#[test]
fn a_good_project_starts_after_a_bad_one_was_mended() {
    let _turn = airflow_turn();
    let project = Project::small("mended");
    project.write("startup_script/startup.sh", "exit 7\n");
    fails(&project, &mut project.up_command(&[]), &["startup.sh"]);
    project.write("startup_script/startup.sh", "export FINE=1\n");
    let up = project.up_with_airflow();
    up.python("journey.py", &["runs", "mended", "small"]);
}

/// A small file system in memory, unmounted when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, with a word on the terminal, where this user may not mount.
    fn mount(place: &Path, megabytes: u32, check: &str) -> Option<SmallDisk> {
        fs::create_dir_all(place).expect("it is ours");
        let size = format!("size={megabytes}m,mode=0755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "windtunnel-test"]).arg(place);
        let mounted = is_root() && mount.output().is_ok_and(|output| output.status.success());
        if !mounted {
            skipped(check, "mounting a tmpfs needs root and the right to mount");
        }
        mounted.then(|| SmallDisk(place.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let place = self.0.clone();
        let unmounted =
            || Command::new("umount").arg(&place).output().ok()?.status.success().then_some(());
        wait_for("the small disk is free", SOON, unmounted);
    }
}

#[test]
fn a_full_disk_at_the_start() {
    let _turn = airflow_turn();
    let project = Project::small("full");
    let Some(_disk) =
        SmallDisk::mount(&project.path(".windtunnel"), 24, "a full disk at the start")
    else {
        return;
    };
    fails(&project, &mut project.up_command(&[]), &["space"]);
}

#[test]
fn a_disk_that_fills_up_refuses_writes_and_keeps_the_rest() {
    let project = Project::small("full");
    let place = project.path(".windtunnel");
    let Some(_disk) = SmallDisk::mount(&place, 40, "a disk that fills up") else { return };
    let up = project.up_without_airflow();
    up.python("s3.py", &["full_disk", "full"]);
    up.status();
    let (status, said) = up.stop();
    assert!(status.success(), "{said}");
}
