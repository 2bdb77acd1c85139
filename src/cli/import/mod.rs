//! `windtunnel import`: an environment of Amazon MWAA, as `get-environment` prints it, becomes a `windtunnel.toml`.

mod convert;

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::json;

use super::failure::{CANNOT_RUN, Failure, NO};
use super::{Place, terminal};
use crate::limits::IMPORT_MAX_BYTES;

/// The file that is written.
const NAME: &str = "windtunnel.toml";

/// Write windtunnel.toml from an environment of Amazon MWAA, as `aws mwaa get-environment` prints it
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    aws mwaa get-environment --name prod | windtunnel import -\n  \
    windtunnel import prod.json --force\n\n\
    Says what cannot be the same here, and which commands bring the environment's files. An existing\n\
    windtunnel.toml is kept unless --force is given.")]
pub(super) struct Import {
    /// A file with the answer, or `-` for standard input
    #[arg(value_name = "FILE|-")]
    file: PathBuf,
    /// Replace a windtunnel.toml that is there
    #[arg(long)]
    force: bool,
    /// The same for programs
    #[arg(long)]
    json: bool,
}

pub(super) fn run(place: &Place, asked: &Import) -> Result<ExitCode, Failure> {
    let text = read(&place.machine.folder, &asked.file)?;
    let imported = convert::convert(&text).map_err(|why| {
        Failure::new(format!("cannot import {}", shown(&asked.file)))
            .why(why)
            .next("give it what `aws mwaa get-environment --name NAME --output json` prints")
            .code(CANNOT_RUN)
    })?;
    let folder = place.machine.folder.join(place.asked.as_deref().unwrap_or(Path::new(".")));
    let path = folder.join(NAME);
    write(&path, &imported.toml, asked.force).map_err(|error| refused(&error))?;
    let shown = place.machine.shown(&path).display().to_string();
    if asked.json {
        terminal::result(&json!({ "wrote": shown, "notes": imported.notes }).to_string());
    } else {
        terminal::note(&format!("wrote {shown}"));
        for note in &imported.notes {
            terminal::note(&format!("note: {note}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(file: &Path) -> String {
    if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() }
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn read(folder: &Path, file: &Path) -> Result<String, Failure> {
    let read = |source: &mut dyn io::Read| {
        let mut text = String::new();
        source.take(IMPORT_MAX_BYTES).read_to_string(&mut text).map(|_| text)
    };
    let text = if is_stdin(file) {
        read(&mut io::stdin().lock())
    } else {
        fs::File::open(folder.join(file)).and_then(|mut file| read(&mut file))
    };
    text.map_err(|error| {
        Failure::cannot(&format!("read {}", shown(file)), &error, "name a file that can be read")
    })
}

fn refused(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::AlreadyExists {
        return Failure::new(format!("{NAME} is there already"))
            .why("it may hold settings that somebody made by hand")
            .next("give --force to replace it, or --project for another folder")
            .code(NO);
    }
    Failure::cannot(&format!("write {NAME}"), error, "check the folder's rights and space")
}

/// Writes the file at once or not at all.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let folder = path.parent().expect("a file lies in a folder");
    fs::create_dir_all(folder)?;
    if !force {
        let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
        return file.write_all(text.as_bytes());
    }
    let mut fresh = tempfile::NamedTempFile::new_in(folder)?;
    fresh.write_all(text.as_bytes())?;
    let mode = fs::metadata(path).map(|there| there.permissions());
    let mode = mode.unwrap_or_else(|_| std::os::unix::fs::PermissionsExt::from_mode(0o644));
    fs::set_permissions(fresh.path(), mode)?;
    fresh.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::flags::Flags;
    use crate::config::machine::Machine;

    #[test]
    fn what_is_written_is_read_again_and_never_replaced_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { folder: folder.path().to_owned(), ..Machine::look() };
        let place = Place { machine, asked: None };
        fs::write(folder.path().join("prod.json"), convert::tests::PROD).unwrap();
        let asked = |force| Import { file: PathBuf::from("prod.json"), force, json: false };
        run(&place, &asked(false)).unwrap();
        let flags = Flags::default();
        let config = crate::config::resolve(folder.path(), &flags, &place.machine).unwrap();
        let environment = config.environment.unwrap();
        assert_eq!(environment.name.as_str(), "prod-etl");
        assert_eq!((environment.min_workers, environment.max_workers), (2, 12));
        assert_eq!(config.region.as_str(), "eu-west-1");
        assert_eq!(config.account.as_str(), "111122223333");

        fs::write(folder.path().join(NAME), "# mine\n").unwrap();
        let failure = run(&place, &asked(false)).unwrap_err();
        assert!(failure.to_string().contains("--force"), "{failure}");
        assert_eq!(fs::read_to_string(folder.path().join(NAME)).unwrap(), "# mine\n");
        run(&place, &asked(true)).unwrap();
        assert!(fs::read_to_string(folder.path().join(NAME)).unwrap().contains("prod-etl"));
    }
}
