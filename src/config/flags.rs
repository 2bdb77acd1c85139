//! The flags of `up`, each with the environment variable that stands in for it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::file::parse_duration;
use super::{Auth, Durability, RuntimeKind};
use crate::id::{AccountId, Region};

/// What a person may say on the command line. `None`: not said.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// Where the AWS endpoint listens, http and https [default: 127.0.0.1:4570; port 0: any free one]
    #[arg(long, env = "WINDTUNNEL_AWS_ADDR", value_name = "IP:PORT", hide_env_values = true)]
    pub aws_addr: Option<SocketAddr>,
    /// Where the console and its API listen [default: 127.0.0.1:4571]
    #[arg(long, env = "WINDTUNNEL_CONSOLE_ADDR", value_name = "IP:PORT", hide_env_values = true)]
    pub console_addr: Option<SocketAddr>,
    /// Where the environment's Airflow web server listens [default: 127.0.0.1:8080]
    #[arg(long, env = "WINDTUNNEL_WEB_ADDR", value_name = "IP:PORT", hide_env_values = true)]
    pub web_addr: Option<SocketAddr>,
    /// What runs Airflow [default: auto]
    #[arg(long, env = "WINDTUNNEL_RUNTIME", value_name = "KIND", hide_env_values = true)]
    pub runtime: Option<RuntimeKind>,
    /// How long a saved file waits before Airflow sees it: 30s is MWAA's timing [default: 0s]
    #[arg(
        long,
        env = "WINDTUNNEL_SYNC_INTERVAL",
        value_name = "TIME",
        value_parser = parse_duration,
        hide_env_values = true
    )]
    pub sync_interval: Option<Duration>,
    /// What happens to requests signed with an unknown access key [default: lenient]
    #[arg(long, env = "WINDTUNNEL_AUTH", value_name = "RULE", hide_env_values = true)]
    pub auth: Option<Auth>,
    /// What a power cut may cost [default: process]
    #[arg(long, env = "WINDTUNNEL_DURABILITY", value_name = "KIND", hide_env_values = true)]
    pub durability: Option<Durability>,
    /// The region that windtunnel says it is in [default: us-east-1]
    #[arg(long, env = "WINDTUNNEL_REGION", value_name = "REGION", hide_env_values = true)]
    pub region: Option<Region>,
    /// The account that everything belongs to [default: 123456789012]
    #[arg(long, env = "WINDTUNNEL_ACCOUNT_ID", value_name = "ID", hide_env_values = true)]
    pub account_id: Option<AccountId>,
    /// Where Airflow and its database are installed, shared by all projects
    #[arg(long, env = "WINDTUNNEL_CACHE_DIR", value_name = "DIR", hide_env_values = true)]
    pub cache_dir: Option<PathBuf>,
    /// Serve the AWS APIs alone, without an environment of the project's own
    #[arg(long)]
    pub no_airflow: bool,
}
