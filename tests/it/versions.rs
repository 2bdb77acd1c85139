//! Every version of the table with real Airflow: started anew, and taken up from the one before. Long, so only where
//! `WINDTUNNEL_TEST_VERSIONS` is set (`make test-versions`): to `all`, or to the versions to look at.

use std::time::Duration;

use serde_json::Value;

use crate::support::{Project, SOON, Steps, Windtunnel, airflow_turn, figure, skipped, wait_for};

fn supported(project: &Project) -> Vec<String> {
    let table: Value = serde_json::from_str(&project.run(&["versions-supported", "--json"]))
        .expect("the table is JSON");
    let rows = table["versions"].as_array().expect("there are rows");
    rows.iter().map(|row| row["airflow"].as_str().expect("it has a name").to_owned()).collect()
}

/// The versions to look at, oldest first; `None` when nobody asked for any.
fn asked(project: &Project) -> Option<Vec<String>> {
    let asked = std::env::var("WINDTUNNEL_TEST_VERSIONS").ok()?;
    let mut versions = supported(project);
    versions.reverse();
    versions.retain(|version| asked == "all" || asked.split(',').any(|one| one == version));
    Some(versions)
}

fn set(project: &Project, version: &str) {
    let settings = format!("[environment]\nAirflowVersion = \"{version}\"\n");
    project.write("windtunnel.toml", &settings);
}

fn started<'a>(project: &'a Project, version: &str, what: &str) -> Windtunnel<'a> {
    set(project, version);
    let up = project.up_with_airflow();
    let took = up.began.elapsed();
    figure(&format!("{what} {version}"), &format!("{:.1} s", took.as_secs_f64()));
    up
}

fn stopped(up: Windtunnel<'_>, project: &Project) {
    let (status, said) = up.stop();
    assert!(status.success(), "{said}");
    project.nothing_runs(Duration::from_secs(10));
}

#[test]
fn the_table_of_versions_is_printed() {
    let project = Project::empty("table");
    let versions = supported(&project);
    assert_eq!(versions.first().map(String::as_str), Some("3.3.1"), "newest first: {versions:?}");
    assert!(versions.iter().any(|version| version == "2.10.3"), "{versions:?}");
    assert!(project.run(&["versions-supported"]).contains("3.3.1"));
}

#[test]
fn every_version_starts_and_runs_a_dag() {
    let Some(versions) = asked(&Project::empty("table")) else {
        skipped("every version of Airflow", "it takes long; `make test-versions` does it");
        return;
    };
    let _turn = airflow_turn();
    let mut steps = Steps::default();
    for version in versions {
        steps.step("a version is started anew and runs a DAG", || {
            let project = Project::small("anew");
            let up = started(&project, &version, "up, new, on");
            up.python("journey.py", &["runs", "anew", "small"]);
            stopped(up, &project);
        });
    }
    steps.finish();
}

#[test]
fn an_environment_goes_up_through_the_versions_of_its_major() {
    let Some(versions) = asked(&Project::empty("table")) else {
        skipped("upgrades of Airflow", "it takes long; `make test-versions` does it");
        return;
    };
    let _turn = airflow_turn();
    for major in ["2.", "3."] {
        let project = Project::small("growing");
        for version in versions.iter().filter(|version| version.starts_with(major)) {
            let up = started(&project, version, "up, from the version before, on");
            up.python("journey.py", &["runs", "growing", "small"]);
            project.run(&["airflow", "--", "variables", "set", version, "kept"]);
            stopped(up, &project);
        }
        let Some(last) = versions.iter().rfind(|version| version.starts_with(major)) else {
            continue;
        };
        let up = started(&project, last, "up again on");
        let first = versions.iter().find(|version| version.starts_with(major));
        let got = project.run(&["airflow", "--", "variables", "get", first.expect("there is one")]);
        assert!(got.trim().ends_with("kept"), "the database was migrated, not replaced: {got}");
        stopped(up, &project);
    }
}

#[test]
fn another_major_is_refused_and_nothing_is_lost() {
    let _turn = airflow_turn();
    let project = Project::small("staying");
    let up = started(&project, "2.10.3", "up on");
    stopped(up, &project);
    set(&project, "3.3.1");
    let up = project.up(&[]);
    up.wait_words(SOON, &["different majors", "2.10.3"]);
    let status = wait_for("the last good one runs", SOON, || {
        let status = up.status();
        (status["environments"][0]["status"] == "UPDATE_FAILED").then_some(status)
    });
    assert_eq!(status["environments"][0]["airflow_version"], "2.10.3", "{status}");
    up.python("journey.py", &["runs", "staying", "small"]);
    stopped(up, &project);
}
