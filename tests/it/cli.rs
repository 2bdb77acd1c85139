//! The command line: verbs that need no Airflow.

use std::fs;

use serde_json::Value;

use crate::support::{Project, SOON, done, finished, told};

#[test]
fn init_writes_a_project_and_never_overwrites() {
    let project = Project::empty("mine");
    project.run(&["init", "fresh"]);
    let dags = fs::read_dir(project.path("fresh/dags")).expect("init made it");
    assert!(dags.count() > 0, "a DAG that runs");
    project.write("fresh/windtunnel.toml", "# mine\n");
    drop(finished(&mut project.command(&["init", "fresh"])));
    let kept =
        fs::read_to_string(project.path("fresh/windtunnel.toml")).expect("it is still there");
    assert_eq!(kept, "# mine\n");
}

#[test]
fn every_verb_explains_itself() {
    let project = Project::empty("help");
    let help = project.run(&["--help"]);
    for verb in [
        "init", "up", "down", "status", "env", "exec", "airflow", "open", "doctor", "versions",
        "diff", "restore",
    ] {
        assert!(help.contains(verb), "{verb} is not in --help: {help}");
        let own = project.run(&[verb, "--help"]);
        assert!(own.to_lowercase().contains("example"), "{verb} --help has an example: {own}");
    }
}

#[test]
fn wrong_use_is_exit_code_two() {
    let project = Project::empty("wrong");
    for args in
        [&["fly"][..], &["up", "--no-such-flag"], &["status", "--jsn"], &["env", "--shell", "tcl"]]
    {
        let output = finished(&mut project.command(args));
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", told(&output));
    }
}

#[test]
fn verbs_without_a_running_windtunnel_say_how_to_start_one() {
    let project = Project::small("idle");
    for args in [&["status"][..], &["env"], &["exec", "--", "true"], &["airflow", "--", "version"]]
    {
        let output = finished(&mut project.command(args));
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {}", told(&output));
        assert!(told(&output).contains("windtunnel up"), "{args:?}: {}", told(&output));
    }
}

#[test]
fn the_exports_work_in_a_shell_and_from_any_folder_below() {
    let project = Project::empty("it's a \"project\" $HOME");
    fs::create_dir_all(project.path("dags/deep")).expect("it is ours");
    let up = project.up_without_airflow();
    up.aws(&["s3", "mb", "s3://seen-from-the-shell"]);
    let script =
        format!("cd dags/deep && eval \"$({} env)\" && aws s3 ls", crate::support::binary());
    let mut shell = up.tool("bash");
    for name in up.variables().keys() {
        shell.env_remove(name);
    }
    let listed = done(shell.args(["-c", &script]));
    assert!(listed.contains("seen-from-the-shell"), "{listed}");
}

#[test]
fn down_is_done_when_nothing_runs() {
    let said = finished(&mut Project::small("idle").command(&["down"]));
    assert!(said.status.success(), "{}", told(&said));
}

#[test]
fn exec_runs_a_command_with_the_exports_and_gives_its_exit_code() {
    let project = Project::empty("exec");
    let _up = project.up_without_airflow();
    let printed = project.run(&["exec", "--", "sh", "-c", "echo $AWS_ENDPOINT_URL"]);
    assert!(printed.starts_with("http://127.0.0.1:"), "{printed}");
    let output = finished(&mut project.command(&["exec", "--", "sh", "-c", "exit 9"]));
    assert_eq!(output.status.code(), Some(9), "{}", told(&output));
}

#[test]
fn status_down_and_a_second_up() {
    let project = Project::empty("life");
    let up = project.up_without_airflow();
    let status = up.status();
    assert_eq!(status["pid"], up.pid());
    assert_eq!(status["environments"], Value::Array(Vec::new()));
    assert!(project.run(&["status"]).contains("127.0.0.1:"));
    let second = finished(&mut project.up_command(&["--no-airflow"]));
    assert!(matches!(second.status.code(), Some(1 | 2)), "{}", told(&second));
    assert!(told(&second).contains("already"), "{}", told(&second));
    project.run(&["down"]);
    let (code, said) = up.ends(SOON);
    assert_eq!(code, Some(0), "{said}");
    let after = finished(&mut project.command(&["status", "--json"]));
    assert!(!after.status.success(), "{}", told(&after));
    let again = project.up_without_airflow();
    let (status, said) = again.stop();
    assert!(status.success(), "Ctrl-C is a clean end: {said}");
}

#[test]
fn up_says_which_runtime_it_chose_in_plain_lines() {
    let project = Project::empty("plain");
    let mut command = project.command(&["up", "--no-airflow"]);
    command.args([
        "--aws-addr",
        "127.0.0.1:0",
        "--console-addr",
        "127.0.0.1:0",
        "--web-addr",
        "127.0.0.1:0",
    ]);
    let up = crate::support::Windtunnel::start(&project, &mut command);
    up.wait_words(SOON, &["http://127.0.0.1:"]);
    let (status, said) = up.stop();
    assert!(status.success(), "{said}");
    assert!(!said.contains('\u{1b}'), "no colour codes where no terminal is: {said:?}");
}

#[test]
fn doctor_tells_what_is_wrong_with_this_machine() {
    let project = Project::empty("doctor");
    let output = finished(&mut project.command(&["doctor"]));
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}", told(&output));
    let said = told(&output);
    for word in ["Python", "free in", "port", "Docker"] {
        assert!(said.contains(word), "{word}: {said}");
    }
}
