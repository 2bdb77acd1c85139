//! The README's commands, as they stand there.

use std::fs;

use crate::support::{Project, airflow_turn, binary, clients, done, repository};

/// The `sh` blocks of one section, in order.
fn commands(section: &str) -> Vec<String> {
    let readme = fs::read_to_string(repository().join("README.md")).expect("there is a README");
    let section = readme
        .split("\n## ")
        .find(|part| part.starts_with(section))
        .expect("the README has this section");
    let blocks = section.split("```sh\n").skip(1);
    blocks.map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_first_five_minutes_go_as_the_readme_says() {
    let _turn = airflow_turn();
    let project = Project::empty("readme");
    let blocks = commands("The first five minutes");
    assert!(blocks.len() >= 4, "{blocks:?}");
    // A person has a second shell; a script has `--detach`, and ports that are free.
    let script = blocks.join("\n").replacen("windtunnel up\n", "windtunnel up --detach\n", 1);
    let folder = project.path("bin");
    fs::create_dir_all(&folder).expect("it is ours");
    std::os::unix::fs::symlink(binary(), folder.join("windtunnel")).expect("it is ours");
    let mut shell = project.shell();
    shell.env(
        "PATH",
        format!(
            "{}:{}:/usr/local/bin:/usr/bin:/bin:{}",
            folder.display(),
            clients().display(),
            std::env::var("PATH").unwrap_or_default(),
        ),
    );
    for name in ["AWS", "CONSOLE", "WEB"] {
        shell.env(format!("WINDTUNNEL_{name}_ADDR"), "127.0.0.1:0");
    }
    let said =
        done(shell.args(["-euo", "pipefail", "-c", &format!("{script}\nwindtunnel down\n")]));
    assert!(said.contains("my-project is AVAILABLE"), "{said}");
    assert!(said.contains("\"my-project\""), "{said}");
    assert!(said.contains("/dags/copied.py"), "{said}");
    assert_eq!(said.matches("manual__").count(), 2, "two runs were triggered: {said}");
}
