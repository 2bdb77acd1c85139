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
use crate::constraints::environment::{self, Numbers};
use crate::constraints::{self, Fault, Faults};
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
        let file = (path.as_path(), machine.shown(&path));
        check(&environment, &file)?;
        Some(settings(environment, project, &account, &layout, machine)?)
    };
    Ok(Config {
        auth: auth(aws.auth.expect(SET), addresses),
        cache: cache(flags, machine)?,
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

/// Measures the environment with the service's own yardstick, and names the first thing that is wrong.
fn check(table: &EnvironmentTable, (path, shown): &(&Path, PathBuf)) -> Result<(), ConfigError> {
    let mut faults = Faults::default();
    let class = &table.environment_class.as_ref().expect(SET).0;
    numbers(table).or_defaults(class).check(&mut faults, class);
    let version = table.airflow_version.as_deref().expect(SET);
    faults.text("airflowVersion", version, constraints::VERSION);
    let mode = &table.webserver_access_mode.as_ref().expect(SET).0;
    environment::check_access(&mut faults, mode, version);
    if let Some(role) = &table.execution_role_arn {
        faults.text("executionRoleArn", role, constraints::ROLE_ARN);
    }
    if let Some(options) = &table.airflow_configuration_options {
        environment::check_options(&mut faults, options);
    }
    if let Some(tags) = table.tags.as_ref().filter(|tags| !tags.is_empty()) {
        environment::check_tags(&mut faults, tags);
    }
    let folder = table.dag_s3_path.as_deref().expect(SET);
    faults.text("dagS3Path", folder, constraints::ANY_PATH);
    if folder.trim_matches('/').is_empty() {
        faults.broken("dagS3Path", folder, "Member must name a folder of the bucket, such as dags");
    }
    match faults.0.into_iter().next() {
        None => Ok(()),
        Some(fault) => Err(bad_value(&fault, path, shown)),
    }
}

/// A broken rule of the service's, at its line of the file.
fn bad_value(fault: &Fault, path: &Path, shown: &Path) -> ConfigError {
    let Fault { member, value, rule } = fault;
    let (member, inner) = member.split_once('.').unwrap_or((member, value));
    let member = format!("{}{}", member[..1].to_ascii_uppercase(), &member[1..]);
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = file::line_of(&text, &member, inner).unwrap_or(1);
    let rule = rule.strip_prefix("Member ").unwrap_or(rule);
    let what = if inner == value { member } else { format!("{inner} in {member}") };
    let why = format!("{what} is `{value}`: it {rule}");
    ConfigError::BadValue { file: shown.to_owned(), line, why }
}

fn numbers(table: &EnvironmentTable) -> Numbers<Option<i64>> {
    Numbers {
        min_workers: table.min_workers,
        max_workers: table.max_workers,
        schedulers: table.schedulers,
        min_webservers: table.min_webservers,
        max_webservers: table.max_webservers,
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
    let class = table.environment_class.clone().expect(SET).0;
    // They were checked with everything else.
    let numbers = numbers(&table).or_defaults(&class).check(&mut Faults::default(), &class);
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
        environment_class: class,
        min_workers: numbers.min_workers,
        max_workers: numbers.max_workers,
        schedulers: numbers.schedulers,
        min_webservers: numbers.min_webservers,
        max_webservers: numbers.max_webservers,
        airflow_configuration_options: table.airflow_configuration_options.unwrap_or_default(),
        dag_s3_path: table.dag_s3_path.expect(SET).trim_matches('/').to_owned(),
        weekly_maintenance_window_start: table.weekly_maintenance_window_start.expect(SET).0,
        webserver_access_mode: table.webserver_access_mode.expect(SET).0,
        tags: table.tags,
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

/// What all projects of this user share: interpreter environments, templates of databases.
pub fn cache(flags: &Flags, machine: &Machine) -> Result<PathBuf, ConfigError> {
    match &flags.cache_dir {
        Some(folder) => Ok(machine.folder.join(folder)),
        None => machine.cache(),
    }
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

    fn refused(toml: &str) -> String {
        let folder = project(toml);
        let machine = Machine { folder: folder.path().to_owned(), ..Machine::look() };
        let error = resolve(folder.path(), &Flags::default(), &machine).unwrap_err();
        format!("{error}: {}", error.why())
    }

    #[test]
    fn what_the_service_refuses_of_an_environment_is_refused_at_its_line() {
        let wrong = [
            "MinWorkers = 4\nMaxWorkers = 3\n",
            "Schedulers = 1\n",
            "EnvironmentClass = \"mw1.micro\"\nMaxWorkers = 2\n",
            "AirflowConfigurationOptions = { \"core.x\" = \"ü\" }\n",
            "ExecutionRoleArn = \"arn:aws:iam::1:role/x\"\n",
            "AirflowVersion = \"2.10.3\"\nWebserverAccessMode = \"PUBLIC_AND_PRIVATE\"\n",
            "DagS3Path = \"/\"\n",
            "[environment.AirflowConfigurationOptions]\n\"core.x\" = \"1\"\n\"Core.y\" = \"2\"\n",
            "[environment.Tags]\nowner = \"me\"\nteam = \"\"\n",
        ];
        let said = wrong.map(|toml| refused(&format!("[environment]\n{toml}")));
        insta::assert_snapshot!(said.join("\n"), @r"
        windtunnel.toml:2 has a value that cannot be used: MinWorkers is `4`: it must have value less than or equal to 3
        windtunnel.toml:2 has a value that cannot be used: Schedulers is `1`: it must have value greater than or equal to 2
        windtunnel.toml:3 has a value that cannot be used: MaxWorkers is `2`: it must have value less than or equal to 1
        windtunnel.toml:2 has a value that cannot be used: core.x in AirflowConfigurationOptions is `(hidden)`: it must satisfy regular expression pattern: ^[ -~]+$
        windtunnel.toml:2 has a value that cannot be used: ExecutionRoleArn is `arn:aws:iam::1:role/x`: it must satisfy regular expression pattern: ^arn:aws(-[a-z]+)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$
        windtunnel.toml:3 has a value that cannot be used: WebserverAccessMode is `PUBLIC_AND_PRIVATE`: it must be PUBLIC_ONLY or PRIVATE_ONLY before Apache Airflow 3.2.1
        windtunnel.toml:2 has a value that cannot be used: DagS3Path is `/`: it must name a folder of the bucket, such as dags
        windtunnel.toml:4 has a value that cannot be used: AirflowConfigurationOptions is `Core.y`: it must satisfy regular expression pattern: ^[a-z]+([a-z0-9._]*[a-z0-9_]+)?$
        windtunnel.toml:4 has a value that cannot be used: team in Tags is ``: it must have length greater than or equal to 1
        ");
    }

    #[test]
    fn a_micro_environment_has_one_of_each_where_the_file_does_not_say() {
        let config =
            resolved("[environment]\nEnvironmentClass = \"mw1.micro\"\n", &Flags::default());
        let environment = config.environment.unwrap();
        assert_eq!((environment.max_workers, environment.schedulers), (1, 1));
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
