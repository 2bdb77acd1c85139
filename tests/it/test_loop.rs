//! `windtunnel test`, `run` and `shell`: the sample project's own tests, and runs as a person sees them.

use serde_json::Value;

use crate::support::{Project, done, finished, repository, told};

#[test]
fn the_sample_projects_tests_pass_warm_and_under_plain_pytest() {
    let project = Project::hello();
    let report = project.path("report.xml");
    let output =
        finished(project.command(&["test", "-q", "tests", "--junitxml"]).arg(report.as_os_str()));
    assert!(output.status.success(), "{}", told(&output));
    let xml = std::fs::read_to_string(&report).expect("JUnit XML was asked for");
    assert!(xml.contains("failures=\"0\"") && xml.contains("test_each_test_has"), "{xml}");
    // The plugin as pip installs it, found by nobody but pytest, and none of windtunnel's settings.
    let plain = "import os, sys; keep = ('PATH', 'HOME', 'WINDTUNNEL_TOOLS', 'WINDTUNNEL_BINARY', 'AIRFLOW__HELLO__BUCKET', 'AWS_DEFAULT_REGION'); \
        env = {k: v for k, v in os.environ.items() if k in keep}; env['PYTHONPATH'] = sys.argv[1] + ':' + os.environ['WINDTUNNEL_TOOLS']; \
        os.execve(sys.executable, [sys.executable, '-m', 'pytest', '-q', '-p', 'windtunnel_pytest', 'tests'], env)";
    let mut command = project.command(&["shell", "--", "python", "-c", plain]);
    let output = finished(command.arg(repository().join("python")));
    assert!(output.status.success(), "{}", told(&output));
    let spread =
        finished(&mut project.command(&["test", "-q", "-n", "2", "-k", "compose or import"]));
    assert!(spread.status.success(), "{}", told(&spread));
    project.run(&["down"]);
}

const TWO: &str = "from datetime import datetime\nfrom airflow.decorators import dag, task\n\
    @dag(schedule=None, start_date=datetime(2024, 1, 1), params={'by': 2})\ndef divide():\n\
    \x20   @task\n    def take(params=None):\n        return params['by']\n\
    \x20   @task\n    def apply(by):\n        print('dividing')\n        return 10 / by\n    apply(take())\ndivide()\n";

#[test]
fn a_run_is_shown_recorded_and_compared() {
    let project = Project::empty("runs");
    project.write("dags/divide.py", TWO);
    let said = project.run(&["run", "divide", "--record", "before.json"]);
    assert!(said.contains("apply.return_value = 5.0"), "{said}");
    assert!(said.contains("divide: success in"), "{said}");
    let same = project.run(&["run", "divide", "--diff", "before.json"]);
    assert!(same.contains("the same as"), "{same}");
    project.write("dags/divide.py", &TWO.replace("10 / by", "12 / by"));
    let other = finished(&mut project.command(&["run", "divide", "--diff", "before.json"]));
    assert_eq!(other.status.code(), Some(1), "{}", told(&other));
    assert!(told(&other).contains("apply.xcoms.return_value: 5.0 -> 6.0"), "{}", told(&other));
    let failed = finished(&mut project.command(&["run", "divide", "--conf", "{\"by\": 0}"]));
    assert_eq!(failed.status.code(), Some(1), "{}", told(&failed));
    let said = told(&failed);
    assert!(said.contains("ZeroDivisionError") && said.contains("dags/divide.py:11"), "{said}");
    assert!(said.contains("given: take.return_value = 0"), "{said}");
    let one = done(&mut project.command(&["run", "divide", "--task", "take", "--json"]));
    let one: Value = serde_json::from_str(one.lines().last().unwrap_or_default()).expect("JSON");
    assert_eq!(one["tasks"]["take"]["state"], "success", "{one}");
    assert_eq!(one["tasks"].as_object().map(serde_json::Map::len), Some(1), "{one}");
    let none = finished(&mut project.command(&["run", "nothing"]));
    assert_eq!(none.status.code(), Some(2), "{}", told(&none));
    project.run(&["down"]);
}
