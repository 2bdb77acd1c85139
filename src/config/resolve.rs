//! From what was said, by whomever, to one [`Config`] without gaps.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use super::error::ConfigError;
use super::file::{self, EnvironmentTable, File};
use super::flags::Flags;
use super::machine::Machine;
use super::{
    Addresses, Auth, Config, EnvironmentSettings, Layout, dotenv, identity, layer, layout,
};
use crate::id::{AccountId, BucketName, EnvironmentName};

/// What the embedded defaults promise.
const SET: &str = "defaults.toml sets it; a test resolves a project that says nothing";

/// The project that `asked` names, or else the one around the folder that we were called in.
///
/// With `--no-airflow` any folder will do: the AWS APIs alone need no DAGs.
pub fn find_project(
    machine: &Machine,
    asked: Option<&Path>,
    flags: &Flags,
) -> Result<PathBuf, ConfigError> {
    if let Some(asked) = asked {
        let folder = machine.folder.join(asked);
        let folder =
            folder.canonicalize().map_err(|_| ConfigError::NotAFolder(asked.to_owned()))?;
        if !folder.is_dir() {
            return Err(ConfigError::NotAFolder(asked.to_owned()));
        }
        if !flags.no_airflow && !layout::is_project(&folder) {
            return Err(ConfigError::NotAProject(asked.to_owned()));
        }
        return Ok(folder);
    }
    let here = machine.folder.canonicalize().unwrap_or_else(|_| machine.folder.clone());
    // A folder of DAGs may be named like a project's mark, so the whole way up is looked at for a surer one first.
    let marked = here.ancestors().find(|folder| {
        folder.join("windtunnel.toml").is_file() || folder.join(".windtunnel").is_dir()
    });
    let project = marked.or_else(|| here.ancestors().find(|folder| layout::is_project(folder)));
    match project {
        Some(folder) => Ok(folder.to_owned()),
        None if flags.no_airflow => Ok(here),
        None => Err(ConfigError::NotAProject(PathBuf::from("."))),
    }
}

/// Resolves everything for the project in the absolute folder `project`.
///
/// Makes the project's identity where it names none; writes nothing else.
pub fn resolve(project: &Path, flags: &Flags, machine: &Machine) -> Result<Config, ConfigError> {
    let path = project.join("windtunnel.toml");
    let said = file::read(&path, &machine.shown(&path))?;
    let File { environment, runtime, aws, s3, addresses, identity: tables } =
        layer::of_flags(flags).over(said).over(layer::defaults());
    let addresses = Addresses {
        aws: addresses.aws.expect(SET),
        console: addresses.console.expect(SET),
        web: addresses.web.expect(SET),
    };
    let account = aws.account_id.expect(SET);
    let state = project.join(".windtunnel");
    let identities = match identity::named(&tables, &account)? {
        none if none.is_empty() => vec![identity::kept(&state, &account)?],
        some => some,
    };
    let layout = layout::detect(project);
    let environment = if flags.no_airflow {
        None
    } else {
        Some(settings(environment, project, &account, &layout, machine)?)
    };
    Ok(Config {
        auth: auth(aws.auth.expect(SET), addresses),
        cache: match &flags.cache_dir {
            Some(folder) => machine.folder.join(folder),
            None => machine.cache()?,
        },
        project: project.to_owned(),
        state,
        layout,
        environment,
        runtime: runtime.kind.expect(SET),
        sync_interval: runtime.sync_interval.expect(SET).0,
        region: aws.region.expect(SET),
        account,
        durability: s3.durability.expect(SET),
        object_ownership: s3.default_object_ownership.unwrap_or_default(),
        addresses,
        identities,
        variables: machine.variables.clone(),
    })
}

/// Who can be reached from other machines does not take strangers for the owner.
fn auth(asked: Auth, addresses: Addresses) -> Auth {
    let local = |address: SocketAddr| address.ip().is_loopback();
    if local(addresses.aws) && local(addresses.console) && local(addresses.web) {
        asked
    } else {
        Auth::Strict
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of a Config, before there is one")]
fn settings(
    table: EnvironmentTable,
    project: &Path,
    account: &AccountId,
    layout: &Layout,
    machine: &Machine,
) -> Result<EnvironmentSettings, ConfigError> {
    let name = table.name.unwrap_or_else(|| environment_name(project));
    let bucket = match table.source_bucket_arn {
        Some(arn) => arn.0,
        None => bucket_name(&name, account),
    };
    let execution_role_arn = table
        .execution_role_arn
        .unwrap_or_else(|| format!("arn:aws:iam::{account}:role/windtunnel-{name}"));
    let variables = match &layout.dotenv {
        Some(path) => dotenv::read(path, &machine.shown(path))?,
        None => std::collections::BTreeMap::new(),
    };
    Ok(EnvironmentSettings {
        airflow_version: table.airflow_version.expect(SET),
        environment_class: table.environment_class.expect(SET).0,
        min_workers: table.min_workers.expect(SET),
        max_workers: table.max_workers.expect(SET),
        schedulers: table.schedulers.expect(SET),
        min_webservers: table.min_webservers.expect(SET),
        max_webservers: table.max_webservers.expect(SET),
        airflow_configuration_options: table.airflow_configuration_options.unwrap_or_default(),
        dag_s3_path: table.dag_s3_path.expect(SET).trim_matches('/').to_owned(),
        weekly_maintenance_window_start: table.weekly_maintenance_window_start.expect(SET).0,
        webserver_access_mode: table.webserver_access_mode.expect(SET).0,
        tags: table.tags.unwrap_or_default(),
        variables,
        execution_role_arn,
        bucket,
        name,
    })
}

/// The folder's name, made to follow the rule of environments' names.
fn environment_name(project: &Path) -> EnvironmentName {
    let folder = project.file_name().unwrap_or_default().to_string_lossy();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    let mut name: String = folder.chars().map(allowed).collect();
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert_str(0, "env-");
    }
    name.truncate(80);
    EnvironmentName::parse(name).expect("made of allowed characters, a letter first")
}

/// `windtunnel-ENVIRONMENT-ACCOUNT`, made to follow the rule of buckets' names.
fn bucket_name(name: &EnvironmentName, account: &AccountId) -> BucketName {
    let mut middle = name.as_str().to_ascii_lowercase().replace('_', "-");
    middle.truncate(63 - "windtunnel--".len() - account.as_str().len());
    BucketName::parse(format!("windtunnel-{middle}-{account}"))
        .expect("letters, digits and dashes between a letter and a digit")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::{AirflowRole, RuntimeKind};

    fn project(toml: &str) -> tempfile::TempDir {
        let folder = tempfile::Builder::new().prefix("my.project-").tempdir().unwrap();
        std::fs::create_dir(folder.path().join("dags")).unwrap();
        std::fs::write(folder.path().join("windtunnel.toml"), toml).unwrap();
        folder
    }

    fn resolved(toml: &str, flags: &Flags) -> Config {
        resolve(project(toml).path(), flags, &Machine::look()).unwrap()
    }

    #[test]
    fn a_project_that_says_nothing_gets_the_defaults() {
        let config = resolved("", &Flags::default());
        assert_eq!(config.addresses.aws.to_string(), "127.0.0.1:4570");
        assert_eq!((config.auth, config.runtime), (Auth::Lenient, RuntimeKind::Auto));
        let environment = config.environment.unwrap();
        assert!(environment.name.as_str().starts_with("my-project-"), "{}", environment.name);
        assert_eq!(
            environment.bucket.as_str(),
            format!("windtunnel-{}-123456789012", environment.name.as_str().to_ascii_lowercase())
        );
        assert_eq!((environment.airflow_version.as_str(), environment.max_workers), ("2.10.3", 10));
        assert_eq!(config.identities.len(), 1);
    }

    #[test]
    fn flags_win_over_the_file_and_the_file_over_the_defaults() {
        let toml = "[runtime]\nkind = \"docker\"\nsync_interval = \"30s\"\n[aws]\nregion = \"eu-west-1\"\n";
        let flags = Flags { runtime: Some(RuntimeKind::Process), ..Flags::default() };
        let config = resolved(toml, &flags);
        assert_eq!(config.runtime, RuntimeKind::Process);
        assert_eq!(config.sync_interval, Duration::from_secs(30));
        assert_eq!(config.region.as_str(), "eu-west-1");
        assert_eq!(config.account.as_str(), "123456789012");
    }

    #[test]
    fn an_address_that_others_can_reach_forces_strict_signatures() {
        let flags = Flags { aws_addr: Some("0.0.0.0:4570".parse().unwrap()), ..Flags::default() };
        assert_eq!(resolved("[aws]\nauth = \"lenient\"\n", &flags).auth, Auth::Strict);
    }

    #[test]
    fn the_identities_of_the_file_are_completed() {
        let toml = "[[identity]]\naccess_key_id = \"AKIAWINDTUNNEL000001\"\nsecret_access_key = \"s\"\n\
            arn = \"arn:aws:iam::123456789012:user/alice\"\nairflow_role = \"Viewer\"\n";
        let config = resolved(toml, &Flags::default());
        let [alice] = config.identities.as_slice() else { panic!("one identity") };
        assert_eq!(
            (alice.display_name.as_str(), alice.airflow_role),
            ("alice", AirflowRole::Viewer)
        );
        assert_eq!(alice.canonical_id.len(), 64);
    }

    #[test]
    fn two_identities_cannot_have_one_key() {
        let one =
            "[[identity]]\naccess_key_id = \"AKIAWINDTUNNEL000001\"\nsecret_access_key = \"s\"\n";
        let folder = project(&one.repeat(2));
        let error = resolve(folder.path(), &Flags::default(), &Machine::look()).unwrap_err();
        insta::assert_snapshot!(error, @"the access key AKIAWINDTUNNEL000001 is given to two identities");
    }

    #[test]
    fn without_airflow_there_is_no_environment() {
        let flags = Flags { no_airflow: true, ..Flags::default() };
        assert_eq!(resolved("", &flags).environment, None);
    }

    #[test]
    fn names_are_made_to_follow_their_rules() {
        let name = environment_name(Path::new("/x/42 straße_1"));
        assert_eq!(name.as_str(), "env-42-stra-e_1");
        let account = AccountId::parse("123456789012").unwrap();
        let long = EnvironmentName::parse("A".repeat(80)).unwrap();
        assert_eq!(bucket_name(&long, &account).as_str().len(), 63);
    }

    #[test]
    fn a_project_is_found_from_any_folder_inside_it() {
        let folder = project("");
        let inside = folder.path().join("dags/deep/dags");
        std::fs::create_dir_all(&inside).unwrap();
        let machine = Machine { folder: inside, ..Machine::look() };
        let found = find_project(&machine, None, &Flags::default()).unwrap();
        assert_eq!(found, folder.path().canonicalize().unwrap());
    }

    #[test]
    fn a_folder_that_is_no_project_is_refused_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let machine = Machine { folder: folder.path().to_owned(), ..Machine::look() };
        let asked = folder.path().join("sub");
        std::fs::create_dir(&asked).unwrap();
        let error = find_project(&machine, Some(Path::new("sub")), &Flags::default()).unwrap_err();
        insta::assert_snapshot!(format!("{error}: {}; {}", error.why(), error.next()),
            @"sub is not a project: neither it nor a folder above it has a dags folder or a windtunnel.toml; `windtunnel init sub` makes a new project there");
    }
}
