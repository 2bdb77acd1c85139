//! `windtunnel check`: DAGs are imported for real, and nothing of windtunnel needs to run for it.

use std::path::Path;

use serde_json::Value;

use crate::support::{Project, finished, told};

/// What each hostile file does, what it is told for, and the line of the fault where there is one.
const HOSTILE: [(&str, &str, &str, Option<u64>); 12] = [
    ("bomb", "import os\nwhile True:\n    os.fork()\n", "import-error", Some(4)),
    ("chdir", "import os\nos.chdir('/')\n", "changes-directory", None),
    ("exits", "import os\nos._exit(3)\n", "process-ended", Some(3)),
    ("huge", "x = bytearray(8 * 2**30)\n", "import-memory", Some(2)),
    ("junk", "import os\nos.write(1, bytes(range(256)) * 999)\n", "prints-at-import", Some(3)),
    ("killed", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "process-ended", None),
    ("leaves", "import sys\nsys.exit('no')\n", "import-error", Some(3)),
    ("loops", "n = 0\nwhile True:\n    n += 1\n", "import-timeout", None),
    ("patches", "import random\nrandom.random = lambda: 4\n", "monkeypatch", None),
    ("recurses", "def f():\n    return f()\nf()\n", "import-error", Some(3)),
    ("stdin", "import sys\nsys.stdin.read()\n", "reads-stdin", Some(3)),
    (
        "stubborn",
        "import signal\nwhile True:\n    try:\n        signal.pause()\n    except BaseException:\n        pass\n",
        "import-timeout",
        None,
    ),
];

const GOOD: &str = "from datetime import datetime\nfrom airflow.decorators import dag, task\nimport helper\n\
    @dag(schedule=None, start_date=datetime(2024, 1, 1))\ndef good():\n    @task\n    def one():\n        return helper.X\n    one()\ngood()\n";

/// A check's JSON, and its exit code.
fn check(project: &Project, args: &[&str]) -> (Value, Option<i32>) {
    let mut command = project.command(&["check", "--json"]);
    let output = finished(command.args(args));
    let report = serde_json::from_slice(&output.stdout);
    (report.unwrap_or_else(|_| panic!("no report: {}", told(&output))), output.status.code())
}

fn found<'a>(report: &'a Value, file: &str) -> Vec<(&'a str, Option<u64>)> {
    let findings = report["findings"].as_array().expect("a report has findings");
    let here = findings.iter().filter(|one| one["file"] == file);
    here.map(|one| (one["code"].as_str().unwrap_or_default(), one["line"].as_u64())).collect()
}

#[test]
fn hostile_files_are_told_and_disturb_nobody() {
    let project = Project::empty("hostile");
    let toml =
        "[environment]\nAirflowConfigurationOptions = { \"core.dagbag_import_timeout\" = \"2\" }\n";
    project.write("windtunnel.toml", toml);
    project.write("dags/helper.py", "X = 1\n");
    project.write("dags/zz_good.py", GOOD);
    for (name, text, _, _) in HOSTILE {
        project.write(&format!("dags/{name}.py"), &format!("# an airflow dag\n{text}"));
    }
    let (report, code) = check(&project, &[]);
    assert_eq!(code, Some(1), "{report}");
    for (name, _, rule, line) in HOSTILE {
        let file = format!("dags/{name}.py");
        let told = found(&report, &file);
        let (_, at) = told
            .iter()
            .find(|(code, _)| *code == rule)
            .unwrap_or_else(|| panic!("{file} is told for {rule}: {told:?}"));
        assert!(line.is_none() || line == *at, "{file} {rule}: {at:?}");
    }
    assert_eq!(found(&report, "dags/zz_good.py"), []);
    let files = report["files"].as_array().expect("a report has files");
    let good = files.iter().find(|file| file["file"] == "dags/zz_good.py").expect("it was read");
    assert_eq!(good["dags"][0]["dag_id"], "good");
    assert_eq!(check(&project, &["dags/zz_good.py"]).1, Some(0));
    project.run(&["down"]);
}

#[test]
fn a_result_is_kept_until_something_that_the_file_reads_changes() {
    let project = Project::empty("kept");
    project.write("dags/helper.py", "X = 1\n");
    project.write("dags/good.py", GOOD);
    project.write("dags/other.py", &GOOD.replace("good", "other").replace("import helper\n", ""));
    assert_eq!(check(&project, &[]).1, Some(0));
    let cached = |report: &Value, name: &str| {
        let files = report["files"].as_array().expect("a report has files");
        files.iter().find(|file| file["file"] == name).map(|file| file["cached"] == true)
    };
    let (again, _) = check(&project, &[]);
    assert_eq!(cached(&again, "dags/good.py"), Some(true), "{again}");
    project.write("dags/helper.py", "import nope\n");
    let (broken, code) = check(&project, &[]);
    assert_eq!(code, Some(1), "{broken}");
    assert_eq!(found(&broken, "dags/helper.py"), [("import-error", Some(1))], "{broken}");
    assert_eq!(cached(&broken, "dags/other.py"), Some(true), "{broken}");
    project.write("dags/helper.py", "X = 1\n");
    project.write("dags/twin.py", &std::fs::read_to_string(project.path("dags/other.py")).unwrap());
    let (twins, _) = check(&project, &[]);
    assert_eq!(found(&twins, "dags/twin.py"), [("duplicate-dag-id", Some(4))], "{twins}");
    project.run(&["down"]);
}

#[test]
fn plugins_and_requirements_and_missing_things_are_told_where_they_are() {
    let project = Project::empty("around");
    let dag = "from datetime import datetime\nfrom airflow.decorators import dag, task\n\
        from airflow.models import Variable\nVariable.get('n', default_var=1)\n\
        @dag(schedule=None, start_date=datetime(2024, 1, 1))\ndef wants():\n\
        \x20   @task(pool='deep')\n    def one():\n        pass\n    @task.bash\n    def two():\n        return 'echo'\n\
        \x20   one() >> two()\nwants()\n";
    project.write("dags/wants.py", dag);
    project.write("plugins/bad.py", "import os\n\nimport gone\n");
    let (report, _) = check(&project, &[]);
    assert_eq!(found(&report, "plugins/bad.py"), [("plugin-error", Some(3))], "{report}");
    let wants = found(&report, "dags/wants.py");
    assert!(wants.contains(&("missing-pool", Some(7))), "{report}");
    assert!(wants.contains(&("top-level-database", Some(4))), "{report}");
    let sarif = finished(&mut project.command(&["check", "--format", "sarif"]));
    let sarif: Value = serde_json::from_slice(&sarif.stdout).expect("SARIF is JSON");
    assert_eq!(sarif["version"], "2.1.0");
    project.write("requirements.txt", "# none\nthis is = broken\n");
    let (report, code) = check(&project, &[]);
    assert_eq!(code, Some(1), "{report}");
    assert_eq!(found(&report, "requirements.txt"), [("requirements", Some(2))], "{report}");
    assert!(Path::new(&project.path(".windtunnel/.gitignore")).exists());
    project.run(&["down"]);
}
