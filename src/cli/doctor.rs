//! `windtunnel doctor`: what is wrong with this machine, and how to mend it. Asks nobody outside of it.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde_json::json;

use super::client::Client;
use super::failure::{Failure, NO};
use super::up::docker_answers;
use super::{Place, terminal};
use crate::airflow::{self, Recipe};
use crate::config::flags::Flags;
use crate::config::{self, Config};

/// Look for what is wrong with this machine, and say how to mend it
#[derive(Debug, clap::Args)]
#[command(
    visible_alias = "validate-prereqs",
    after_help = "Example:\n  windtunnel doctor\n\nExits with 1 when something fails."
)]
pub(super) struct Doctor {
    /// The same for programs
    #[arg(long)]
    json: bool,
}

/// One thing that was looked at.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    about: &'static str,
    verdict: Verdict,
    seen: String,
    /// How to mend it.
    mend: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// Below this an installation of Airflow does not fit: environment, download cache and database.
const NEEDED_BYTES: u64 = 1_500_000_000;
/// Below this a project has little room to grow.
const EASY_BYTES: u64 = 4_000_000_000;

pub(super) async fn run(place: &Place, asked: &Doctor) -> Result<ExitCode, Failure> {
    let project = place.project(&Flags::default()).ok();
    let config = match &project {
        Some(project) => Some(config::resolve(project, &Flags::default(), &place.machine)?),
        None => None,
    };
    let running = match &config {
        Some(config) => Client::running(&config.state).await.is_some(),
        None => false,
    };
    let recipe = config
        .as_ref()
        .and_then(|config| airflow::recipe(&config.environment.as_ref()?.airflow_version))
        .or_else(|| airflow::recipe(airflow::DEFAULT));
    let mut findings = vec![python(place, recipe), uv(place)];
    findings.extend(config.as_ref().into_iter().flat_map(space));
    if let (Some(config), false) = (&config, running) {
        findings.extend(ports(config));
    }
    if place.machine.is_root {
        findings.extend(root(config.as_ref()));
    }
    findings.push(localhost());
    findings.extend(aws_cli(place));
    findings.push(docker(place));
    findings.push(match (&config, running) {
        (None, _) => {
            warn("project", "none here", "`windtunnel init` makes one, `--project DIR` names one")
        }
        (Some(config), true) => ok("project", format!("{} is running", config.project.display())),
        (Some(config), false) => ok("project", format!("{}", config.project.display())),
    });
    tell(&findings, asked.json);
    let failed = findings.iter().any(|finding| finding.verdict == Verdict::Fail);
    Ok(ExitCode::from(if failed { NO } else { 0 }))
}

fn tell(findings: &[Finding], as_json: bool) {
    for Finding { about, verdict, seen, mend } in findings {
        let word = match verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
        };
        if as_json {
            let line = json!({ "about": about, "verdict": word, "seen": seen, "mend": mend });
            terminal::result(&line.to_string());
            continue;
        }
        terminal::result(&format!("{word:<4}  {about:<10} {seen}"));
        for line in mend.iter().flat_map(|mend| mend.lines()) {
            terminal::result(&format!("      {:<10} {line}", ""));
        }
    }
}

fn ok(about: &'static str, seen: impl Into<String>) -> Finding {
    Finding { about, verdict: Verdict::Ok, seen: seen.into(), mend: None }
}

fn warn(about: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, verdict: Verdict::Warn, seen: seen.into(), mend: Some(mend.into()) }
}

fn fail(about: &'static str, seen: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { about, verdict: Verdict::Fail, seen: seen.into(), mend: Some(mend.into()) }
}

/// Whether there is a Python that Airflow's version runs on, with what it takes to make environments.
fn python(place: &Place, recipe: Option<&Recipe>) -> Finding {
    let wanted: &[&str] = recipe.map_or(&["3.11"], |recipe| recipe.pythons);
    let names = wanted.iter().map(|version| format!("python{version}"));
    let names = names.chain(["python3".to_owned(), "python".to_owned()]);
    for path in names.filter_map(|name| place.machine.program(&name)) {
        let script = "import sys, venv, ensurepip; print('%d.%d' % sys.version_info[:2])";
        let Some(version) = printed(Command::new(&path).args(["-c", script])) else { continue };
        if !wanted.contains(&version.as_str()) {
            continue;
        }
        let seen = format!("{version} at {}", path.display());
        return match recipe {
            Some(recipe) if recipe.python != version => {
                let mend = format!(
                    "MWAA runs Airflow {} on Python {}; install it for the same behaviour",
                    recipe.version, recipe.python
                );
                warn("Python", seen, mend)
            }
            Some(_) | None => ok("Python", seen),
        };
    }
    let mend = format!(
        "install Python {0} with its venv module: apt-get install python{0} python{0}-venv, or your system's way",
        wanted.first().unwrap_or(&"3.11")
    );
    fail("Python", format!("no Python {} with venv on PATH", wanted.join(" or ")), mend)
}

/// What a program prints in one line; `None` when it cannot be run or fails.
fn printed(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}

fn uv(place: &Place) -> Finding {
    match place.machine.program("uv") {
        Some(path) => ok("uv", path.display().to_string()),
        None => ok("uv", "not on PATH; a copy is installed privately on the first start"),
    }
}

/// The folder itself, or the nearest one above it that exists.
fn existing(folder: &Path) -> &Path {
    folder.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"))
}

fn space(config: &Config) -> Vec<Finding> {
    let look = |about, folder: &Path, needed: u64| -> Finding {
        let place = existing(folder);
        let free = match nix::sys::statvfs::statvfs(place) {
            Ok(stat) => stat.blocks_available().saturating_mul(stat.fragment_size()),
            Err(error) => {
                return warn(about, format!("{}: {error}", place.display()), "look there");
            }
        };
        // Decimal, as disks are sold; a figure for people needs one digit after the point.
        let seen = format!(
            "{}.{} GB free in {}",
            free / 1_000_000_000,
            free / 100_000_000 % 10,
            place.display()
        );
        if free < needed {
            fail(about, seen, "make room, or set WINDTUNNEL_CACHE_DIR to a folder on another disk")
        } else if free < EASY_BYTES {
            warn(about, seen, "Airflow fits, and little else")
        } else {
            ok(about, seen)
        }
    };
    vec![
        look("cache", &config.cache, NEEDED_BYTES),
        look("state", &config.state, NEEDED_BYTES / 10),
    ]
}

fn ports(config: &Config) -> Vec<Finding> {
    let config::Addresses { aws, console, web } = config.addresses;
    let named = [
        ("aws", "--aws-addr", aws),
        ("console", "--console-addr", console),
        ("web", "--web-addr", web),
    ];
    named.into_iter().map(|(name, flag, address)| port(name, flag, address)).collect()
}

fn port(name: &str, flag: &str, address: SocketAddr) -> Finding {
    match TcpListener::bind(address) {
        Ok(_) => ok("port", format!("{address} is free ({name})")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let any = format!("{}:0", address.ip());
            let mend = format!("stop the program that has it, or `windtunnel up {flag} {any}`");
            fail("port", format!("{address} is taken ({name})"), mend)
        }
        Err(error) => fail(
            "port",
            format!("{address} ({name}): {error}"),
            format!("choose another with {flag}"),
        ),
    }
}

/// `PostgreSQL` refuses to run as root, so it runs as somebody else, who must get to its files.
fn root(config: Option<&Config>) -> Vec<Finding> {
    let users = ["postgres", "nobody"];
    let user = users.iter().find(|user| matches!(nix::unistd::User::from_name(user), Ok(Some(_))));
    let mut findings = vec![match user {
        Some(user) => ok("root", format!("PostgreSQL can run as `{user}`")),
        None => fail(
            "root",
            "there is neither a user `postgres` nor `nobody`",
            "useradd --system postgres",
        ),
    }];
    let folders = config.into_iter().flat_map(|config| [&config.state, &config.cache]);
    findings.extend(folders.filter_map(|folder| {
        let closed = closed_folder(folder)?;
        let mend = format!("chmod o+x {}, or move the project", closed.display());
        let seen = format!("PostgreSQL's user cannot walk through {}", closed.display());
        Some(warn("root", seen, mend))
    }));
    findings
}

/// The first folder on the way to `folder` that others cannot walk through.
fn closed_folder(folder: &Path) -> Option<PathBuf> {
    let mut way: Vec<&Path> = folder.ancestors().collect();
    way.reverse();
    let closed = way.into_iter().find(|folder| {
        folder.metadata().is_ok_and(|folder| folder.permissions().mode() & 0o001 == 0)
    });
    closed.map(Path::to_owned)
}

/// SDKs that put `api.` before our host need the name to resolve.
fn localhost() -> Finding {
    let names = ["api.localhost", "env.localhost", "ops.localhost"];
    let lost: Vec<&str> = names
        .into_iter()
        .filter(|name| {
            !(*name, 80)
                .to_socket_addrs()
                .is_ok_and(|mut found| found.all(|a| a.ip().is_loopback()))
        })
        .collect();
    if lost.is_empty() {
        return ok("names", "names below .localhost resolve to this machine");
    }
    let mend = format!(
        "boto3, the AWS CLI and most SDKs do not need it: `windtunnel env` switches the prefix off.\n\
         For SDKs without that switch (Go v1, Kotlin, Rust, Swift) add to /etc/hosts:\n\
         127.0.0.1 {}",
        lost.join(" ")
    );
    warn("names", format!("{} do not resolve", lost.join(", ")), mend)
}

/// An AWS CLI that does not know `AWS_ENDPOINT_URL` would talk to AWS itself. Who has none does not need one.
fn aws_cli(place: &Place) -> Option<Finding> {
    let path = place.machine.program("aws")?;
    Some(understands_endpoint(&printed(Command::new(path).arg("--version"))?))
}

/// What `aws --version` says: `aws-cli/2.9.19 Python/3.11.2 ...`. The variable came with 1.29.0 and 2.13.0.
fn understands_endpoint(said: &str) -> Finding {
    let version = said.split_whitespace().next().unwrap_or(said).trim_start_matches("aws-cli/");
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    match (major, minor) {
        (1, ..29) | (2, ..13) => warn(
            "AWS CLI",
            format!("{version} ignores AWS_ENDPOINT_URL, so it would ask AWS itself"),
            "install 2.13 or newer (or 1.29), or give each command `--endpoint-url \"$AWS_ENDPOINT_URL\"`",
        ),
        _ => ok("AWS CLI", version),
    }
}

fn docker(place: &Place) -> Finding {
    let seen = if docker_answers(&place.machine) {
        "an engine answers; this version runs Airflow as processes all the same"
    } else {
        "no engine answers; Airflow runs as processes"
    };
    ok("Docker", seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_fails_and_says_how_to_take_another() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let finding = port("aws", "--aws-addr", address);
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(
            finding.mend.unwrap(),
            "stop the program that has it, or `windtunnel up --aws-addr 127.0.0.1:0`"
        );
    }

    #[test]
    fn an_aws_cli_that_would_ask_aws_itself_is_found() {
        let verdict = |said| understands_endpoint(said).verdict;
        assert_eq!(verdict("aws-cli/2.9.19 Python/3.11.2 Linux/6.1"), Verdict::Warn);
        assert_eq!(verdict("aws-cli/1.28.9 Python/3.11.2"), Verdict::Warn);
        assert_eq!(verdict("aws-cli/2.13.0 Python/3.11.4"), Verdict::Ok);
        assert_eq!(verdict("aws-cli/1.44.2 Python/3.11.7 botocore/1.42"), Verdict::Ok);
    }

    #[test]
    fn a_folder_that_others_cannot_enter_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let closed = folder.path().join("closed");
        std::fs::create_dir_all(closed.join("inner")).unwrap();
        let mode = std::fs::Permissions::from_mode;
        std::fs::set_permissions(folder.path(), mode(0o755)).unwrap();
        std::fs::set_permissions(&closed, mode(0o700)).unwrap();
        let found = closed_folder(&closed.join("inner"));
        assert!(found.is_some_and(|found| closed.starts_with(found)));
    }
}
