//! `windtunnel open`: the browser, logged in.

use std::process::{Command, ExitCode, Stdio};

use super::client::Client;
use super::failure::Failure;
use super::{Place, terminal};
use crate::id::EnvironmentName;

/// Open Airflow's UI or the console in the browser, logged in
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel open\n  \
    windtunnel open airflow --print\n\n\
    The link logs in once, within a minute.")]
pub(super) struct Open {
    #[arg(value_enum, default_value = "airflow")]
    what: What,
    /// The environment, where there are several
    #[arg(long, value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// Print the link instead of opening it
    #[arg(long)]
    print: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Airflow,
    Console,
}

pub(super) async fn run(place: &Place, asked: Open) -> Result<ExitCode, Failure> {
    let (client, _) = Client::needed(&place.state()?).await?;
    let url = match asked.what {
        What::Console => {
            let answer = client.post("/console/v1/console-login", &serde_json::json!({})).await?;
            answer["url"].as_str().unwrap_or_default().to_owned()
        }
        What::Airflow => {
            let call = serde_json::json!({ "environment": asked.environment });
            let answer = client.post("/console/v1/web-login", &call).await?;
            answer["url"].as_str().unwrap_or_default().to_owned()
        }
    };
    if asked.print {
        terminal::result(&url);
        return Ok(ExitCode::SUCCESS);
    }
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let opened =
        Command::new(program).arg(&url).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match opened {
        Ok(status) if status.success() => Ok(ExitCode::SUCCESS),
        Ok(_) | Err(_) => Err(Failure::new("no browser could be opened")
            .why(format!("`{program}` did not do it"))
            .next("`windtunnel open --print` prints the link")),
    }
}
