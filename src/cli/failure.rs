//! An error as a person reads it: what, why, what next.

use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use super::terminal;
use crate::config::error::ConfigError;

/// Why a verb did not do what it was asked for.
#[derive(Debug)]
pub(super) struct Failure {
    what: String,
    why: Option<String>,
    next: Option<String>,
    code: u8,
}

/// The verb ran; the answer is no.
pub(super) const NO: u8 = 1;
/// Wrong use, or the verb cannot run here.
pub(super) const CANNOT_RUN: u8 = 2;
/// A fault of windtunnel's own.
pub(super) const OWN_FAULT: u8 = 70;

impl Failure {
    /// The verb cannot run.
    pub(super) fn new(what: impl Into<String>) -> Failure {
        Failure { what: what.into(), why: None, next: None, code: CANNOT_RUN }
    }

    /// The verb cannot `act`, because of `error` and all that is behind it.
    pub(super) fn cannot(act: &str, error: &dyn Error, next: &str) -> Failure {
        Failure::new(format!("cannot {act}")).why(causes(error)).next(next)
    }

    pub(super) fn why(mut self, why: impl Into<String>) -> Failure {
        self.why = Some(why.into()).filter(|why| !why.is_empty());
        self
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Failure {
        self.next = Some(next.into()).filter(|next| !next.is_empty());
        self
    }

    pub(super) fn code(mut self, code: u8) -> Failure {
        self.code = code;
        self
    }

    /// The same for programs.
    pub(super) fn json(&self) -> serde_json::Value {
        let Failure { what, why, next, code } = self;
        serde_json::json!({ "error": { "what": what, "why": why, "next": next, "code": code } })
    }

    /// What [`Failure::json`] made of a failure in another process.
    pub(super) fn from_json(error: &serde_json::Value) -> Failure {
        let text = |name| error[name].as_str().map(str::to_owned);
        Failure {
            what: text("what").unwrap_or_else(|| "windtunnel failed".to_owned()),
            why: text("why"),
            next: text("next"),
            code: error["code"].as_u64().and_then(|c| c.try_into().ok()).unwrap_or(CANNOT_RUN),
        }
    }

    /// Prints it, and gives the code to exit with.
    pub(super) fn tell(&self) -> ExitCode {
        terminal::note(&self.to_string());
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        if let Some(why) = &self.why {
            write!(f, "\n  why: {why}")?;
        }
        if let Some(next) = &self.next {
            write!(f, "\n next: {next}")?;
        }
        Ok(())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Failure {
        Failure::new(error.to_string()).why(error.why()).next(error.next())
    }
}

/// An error and everything behind it, in one line. A cause that only repeats its effect is left out.
pub(super) fn causes(error: &dyn Error) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let mut parts: Vec<String> = Vec::new();
    for part in chain.map(ToString::to_string) {
        if !parts.iter().any(|said| said.contains(&part)) {
            parts.push(part);
        }
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_reads_as_what_why_next() {
        let error = std::io::Error::from(std::io::ErrorKind::AddrInUse);
        let failure = Failure::cannot("listen on 127.0.0.1:5055", &error, "take another port");
        insta::assert_snapshot!(failure, @r"
        error: cannot listen on 127.0.0.1:5055
          why: address in use
         next: take another port
        ");
    }

    #[test]
    fn a_failure_survives_the_way_to_another_process() {
        let failure = Failure::new("a").why("b").code(NO);
        assert_eq!(Failure::from_json(&failure.json()["error"]).to_string(), failure.to_string());
    }
}
