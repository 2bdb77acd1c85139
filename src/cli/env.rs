//! `windtunnel env`: the exports that point every AWS SDK here.

use std::process::ExitCode;

use super::client::Client;
use super::failure::Failure;
use super::{Place, terminal};

/// Print the variables that point the AWS CLI and every AWS SDK at this project's windtunnel
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    eval \"$(windtunnel env)\"\n  \
    windtunnel env --shell fish | source\n  \
    windtunnel env --shell dotenv > .env.aws")]
pub(super) struct Env {
    /// The shell to write for [default: the one of $SHELL, or else bash]
    #[arg(long)]
    shell: Option<Shell>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
    Powershell,
    /// NAME="value" lines
    Dotenv,
    /// One object; a variable to unset is null
    Json,
}

/// What to set and what to unset.
#[derive(Debug)]
pub(super) struct Variables {
    pub(super) set: Vec<(&'static str, String)>,
    pub(super) unset: &'static [&'static str],
}

/// Each of these would win over, or mix with, the keys that we export.
const UNSET: &[&str] = &["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"];

pub(super) async fn run(place: &Place, asked: &Env) -> Result<ExitCode, Failure> {
    let variables = variables(place).await?;
    let shell = asked.shell.unwrap_or_else(|| login_shell(place));
    terminal::raw_result(written(&variables, shell).as_bytes());
    Ok(ExitCode::SUCCESS)
}

/// The variables of the project's running windtunnel.
pub(super) async fn variables(place: &Place) -> Result<Variables, Failure> {
    let state = place.state()?;
    // Addresses that nobody answers, and certificates that may not be there yet, would only break other tools.
    let (Client { instance, .. }, _) = Client::needed(&state).await?;
    let file = |name: &str| state.join(name).display().to_string();
    let bundle = || file("ca-bundle.pem");
    Ok(Variables {
        set: vec![
            ("AWS_ENDPOINT_URL", instance.aws_endpoint),
            ("AWS_ACCESS_KEY_ID", instance.access_key_id),
            ("AWS_SECRET_ACCESS_KEY", instance.secret_access_key),
            ("AWS_REGION", instance.region.clone()),
            ("AWS_DEFAULT_REGION", instance.region),
            // `api.127.0.0.1` resolves nowhere.
            ("AWS_DISABLE_HOST_PREFIX_INJECTION", "true".to_owned()),
            // Without this an SDK without keys would wait for a machine in EC2 to answer.
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("AWS_CA_BUNDLE", bundle()),
            ("REQUESTS_CA_BUNDLE", bundle()),
            ("SSL_CERT_FILE", bundle()),
            ("CURL_CA_BUNDLE", bundle()),
            // Node adds to its own roots instead of replacing them.
            ("NODE_EXTRA_CA_CERTS", file("ca.pem")),
        ],
        unset: UNSET,
    })
}

fn login_shell(place: &Place) -> Shell {
    let name = place.machine.shell.as_deref().and_then(|path| path.file_name()?.to_str());
    match name {
        Some("fish") => Shell::Fish,
        Some("zsh") => Shell::Zsh,
        Some("pwsh") => Shell::Powershell,
        Some(_) | None => Shell::Bash,
    }
}

fn written(variables: &Variables, shell: Shell) -> String {
    let mut lines = Vec::new();
    match shell {
        Shell::Bash | Shell::Zsh => {
            lines.push(format!("unset {}", variables.unset.join(" ")));
            let set = variables.set.iter();
            lines.extend(set.map(|(name, value)| format!("export {name}={}", posix(value))));
        }
        Shell::Fish => {
            lines.extend(variables.unset.iter().map(|name| format!("set -e {name};")));
            let set = variables.set.iter();
            lines.extend(set.map(|(name, value)| format!("set -gx {name} {};", fish(value))));
        }
        Shell::Powershell => {
            lines.extend(
                variables
                    .unset
                    .iter()
                    .map(|name| format!("Remove-Item Env:{name} -ErrorAction SilentlyContinue")),
            );
            let set = variables.set.iter();
            lines.extend(set.map(|(name, value)| format!("$Env:{name} = {}", powershell(value))));
        }
        Shell::Dotenv => {
            let set = variables.set.iter();
            lines.extend(set.map(|(name, value)| format!("{name}={}", dotenv(value))));
        }
        Shell::Json => lines.push(json(variables)),
    }
    lines.join("\n") + "\n"
}

fn json(variables: &Variables) -> String {
    let set = variables.set.iter().map(|(name, value)| ((*name).to_owned(), value.clone().into()));
    let unset = variables.unset.iter().map(|name| ((*name).to_owned(), serde_json::Value::Null));
    serde_json::Value::Object(set.chain(unset).collect()).to_string()
}

/// In single quotes, where only the quote itself is special.
fn posix(value: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_./:@%+,".contains(&b);
    if !value.is_empty() && value.bytes().all(plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// In single quotes, where the quote and the backslash are special.
fn fish(value: &str) -> String {
    format!("'{}'", value.replace('\\', r"\\").replace('\'', r"\'"))
}

/// In single quotes, where a quote is written twice.
fn powershell(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

/// In double quotes, where quote, backslash, dollar and line end are special.
fn dotenv(value: &str) -> String {
    let escaped =
        value.replace('\\', r"\\").replace('"', "\\\"").replace('$', r"\$").replace('\n', r"\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(shell: Shell) -> String {
        let set = vec![
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4570".to_owned()),
            ("AWS_CA_BUNDLE", r#"/home/o'neill/my "$project"\x/ca.pem"#.to_owned()),
        ];
        written(&Variables { set, unset: &["AWS_PROFILE", "AWS_SESSION_TOKEN"] }, shell)
    }

    #[test]
    fn bash_and_zsh_take_the_exports() {
        insta::assert_snapshot!(sample(Shell::Bash), @r#"
        unset AWS_PROFILE AWS_SESSION_TOKEN
        export AWS_ENDPOINT_URL=http://127.0.0.1:4570
        export AWS_CA_BUNDLE='/home/o'\''neill/my "$project"\x/ca.pem'
        "#);
        assert_eq!(sample(Shell::Bash), sample(Shell::Zsh));
    }

    #[test]
    fn fish_takes_the_exports() {
        insta::assert_snapshot!(sample(Shell::Fish), @r#"
        set -e AWS_PROFILE;
        set -e AWS_SESSION_TOKEN;
        set -gx AWS_ENDPOINT_URL 'http://127.0.0.1:4570';
        set -gx AWS_CA_BUNDLE '/home/o\'neill/my "$project"\\x/ca.pem';
        "#);
    }

    #[test]
    fn powershell_takes_the_exports() {
        insta::assert_snapshot!(sample(Shell::Powershell), @r#"
        Remove-Item Env:AWS_PROFILE -ErrorAction SilentlyContinue
        Remove-Item Env:AWS_SESSION_TOKEN -ErrorAction SilentlyContinue
        $Env:AWS_ENDPOINT_URL = 'http://127.0.0.1:4570'
        $Env:AWS_CA_BUNDLE = '/home/o''neill/my "$project"\x/ca.pem'
        "#);
    }

    #[test]
    fn dotenv_files_take_the_values() {
        insta::assert_snapshot!(sample(Shell::Dotenv), @r#"
        AWS_ENDPOINT_URL="http://127.0.0.1:4570"
        AWS_CA_BUNDLE="/home/o'neill/my \"\$project\"\\x/ca.pem"
        "#);
    }

    #[test]
    fn programs_take_one_object() {
        insta::assert_snapshot!(sample(Shell::Json), @r#"{"AWS_CA_BUNDLE":"/home/o'neill/my \"$project\"\\x/ca.pem","AWS_ENDPOINT_URL":"http://127.0.0.1:4570","AWS_PROFILE":null,"AWS_SESSION_TOKEN":null}"#);
    }

    #[test]
    fn a_shell_reads_back_what_was_meant() {
        let value = "it's \"a\" $(test) `of` \\ quoting\nand lines";
        let script = format!("printf %s {}", posix(value));
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), value);
    }
}
