//! `windtunnel airflow -- …`: Airflow's own command line, inside the environment.

use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::client::Client;
use super::failure::Failure;
use super::{Place, terminal};
use crate::id::EnvironmentName;

/// Run any Airflow command inside the environment, at warm speed
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    windtunnel airflow -- dags list\n  \
    windtunnel airflow -- dags trigger hello_taskflow --conf '{\"name\": \"Ada\"}'\n\n\
    Exits with the command's own code.")]
pub(super) struct Airflow {
    /// The environment, where there are several
    #[arg(long, value_name = "NAME")]
    environment: Option<EnvironmentName>,
    /// The command's words
    #[arg(
        trailing_var_arg = true,
        allow_hyphen_values = true,
        required = true,
        value_name = "ARGS"
    )]
    argv: Vec<String>,
}

pub(super) async fn run(place: &Place, asked: Airflow) -> Result<ExitCode, Failure> {
    let (client, _) = Client::needed(&place.state()?).await?;
    let call = serde_json::json!({ "environment": asked.environment, "argv": asked.argv });
    let answer = client.post("/console/v1/airflow", &call).await?;
    let bytes = |name: &str| {
        answer[name].as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
    };
    terminal::raw_result(&bytes("stdout"));
    terminal::raw_note(&bytes("stderr"));
    let code = answer["code"].as_i64().unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}
