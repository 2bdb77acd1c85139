//! `windtunnel init`: a new project with a DAG that runs. Never overwrites.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::failure::Failure;
use super::{Place, terminal};

/// Write a new project with a DAG that runs; never overwrites
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  windtunnel init my-project && cd my-project && windtunnel up")]
pub(super) struct Init {
    /// The project's folder [default: the current one]
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

const FILES: [(&str, &str); 7] = [
    ("dags/hello.py", include_str!("hello.py")),
    ("plugins/README.md", include_str!("plugins.md")),
    ("requirements/requirements.txt", include_str!("requirements.txt")),
    ("startup_script/startup.sh", include_str!("startup.sh")),
    ("tests/test_hello.py", include_str!("test_hello.py")),
    ("windtunnel.toml", include_str!("windtunnel.toml")),
    (".gitignore", ".windtunnel/\n__pycache__/\n"),
];

pub(super) fn run(place: &Place, asked: &Init) -> Result<ExitCode, Failure> {
    let shown = asked.folder.clone().or_else(|| place.asked.clone());
    let folder = place.machine.folder.join(shown.as_deref().unwrap_or(Path::new(".")));
    for (name, text) in FILES {
        let path = folder.join(name);
        let word = match write_new(&path, text) {
            Ok(()) => "wrote",
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => "kept ",
            Err(error) => {
                let act = format!("write {}", place.machine.shown(&path).display());
                return Err(Failure::cannot(&act, &error, "check the folder's rights and space"));
            }
        };
        terminal::note(&format!("{word} {}", place.machine.shown(&path).display()));
    }
    let enter = shown.map_or_else(String::new, |folder| format!("cd {} && ", folder.display()));
    terminal::note(&format!("\nnext: {enter}windtunnel up"));
    Ok(ExitCode::SUCCESS)
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    std::fs::create_dir_all(path.parent().expect("a file lies in a folder"))?;
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::flags::Flags;
    use crate::config::machine::Machine;

    #[test]
    fn a_new_project_resolves_and_nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { folder: folder.path().to_owned(), ..Machine::look() };
        let place = Place { machine, asked: None };
        let asked = Init { folder: Some(PathBuf::from("new")) };
        run(&place, &asked).unwrap();
        let project = folder.path().join("new");
        std::fs::write(project.join("dags/hello.py"), "mine").unwrap();
        run(&place, &asked).unwrap();
        assert_eq!(std::fs::read_to_string(project.join("dags/hello.py")).unwrap(), "mine");
        let config = crate::config::resolve(&project, &Flags::default(), &place.machine).unwrap();
        assert!(config.layout.startup_script.is_some() && config.layout.requirements.is_some());
        assert_eq!(config.environment.unwrap().name.as_str(), "new");
    }
}
