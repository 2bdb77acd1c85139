//! Issues and redeems MWAA's short-lived tokens, and the web sessions that web-login tokens buy.
//!
//! Promise: a token is good for one audience and one environment, until it is late; a web-login token once.
//! Not here: HTTP headers and cookies (`api::webserver`); who may ask for a token (`api::mwaa`).

use std::path::Path;

use crate::clock::Clock;
use crate::id::EnvironmentName;

/// Signs and checks tokens.
#[derive(Clone, Debug)]
pub struct Tokens {
    clock: Clock,
}

/// A token's text. It never appears in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The Airflow user's name: `user/alice`, `assumed-role/Admin/alice`.
    pub user: String,
    /// Admin, Op, User, Viewer or Public. CLI tokens carry none: whoever has one runs any allowed command.
    pub role: Option<String>,
}

/// Why a token was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the token is not one of ours, or is for something else")]
    Invalid,
    #[error("the token has expired")]
    Expired,
    #[error("the token was used before")]
    Used,
}

impl Tokens {
    /// Opens the signing key in `state`, or makes one.
    pub fn open(state: &Path, clock: Clock) -> std::io::Result<Tokens> {
        let _ = state;
        Ok(Tokens { clock })
    }

    pub fn issue_cli(&self, environment: &EnvironmentName, user: &str) -> Token {
        todo!("{environment} {user} {:?}", self.clock)
    }

    /// A CLI token may be used again within its life.
    pub fn redeem_cli(&self, environment: &EnvironmentName, text: &str) -> Result<Grant, Refused> {
        todo!("{environment} {text}")
    }

    pub fn issue_web(&self, environment: &EnvironmentName, grant: &Grant) -> Token {
        todo!("{environment} {grant:?}")
    }

    /// A web-login token is used up by this.
    pub fn redeem_web(&self, environment: &EnvironmentName, text: &str) -> Result<Grant, Refused> {
        todo!("{environment} {text}")
    }

    /// A web session of 12 hours.
    pub fn issue_session(&self, environment: &EnvironmentName, grant: &Grant) -> Token {
        todo!("{environment} {grant:?}")
    }

    pub fn session(&self, environment: &EnvironmentName, text: &str) -> Result<Grant, Refused> {
        todo!("{environment} {text}")
    }
}
