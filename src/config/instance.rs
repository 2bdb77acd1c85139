//! The running windtunnel of a project, as it tells other processes: `.windtunnel/instance.json`.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::ConfigError;
use super::private;

/// Where a running windtunnel answers, and the token that its console API wants.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    pub pid: u32,
    /// For example `http://127.0.0.1:4570`.
    pub aws_endpoint: String,
    /// For example `http://127.0.0.1:4571`.
    pub console: String,
    /// Goes into the header `X-Windtunnel-Token`.
    pub token: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started: i64,
}

impl Instance {
    /// What the project's windtunnel last wrote. It may have ended since without a word.
    pub fn read(state: &Path) -> Result<Option<Instance>, ConfigError> {
        private::read(&state.join("instance.json"))
    }

    /// Tells the world, whole or not at all; only this user can read it.
    pub fn write(&self, state: &Path) -> Result<(), ConfigError> {
        private::write(&state.join("instance.json"), self)
    }

    /// The last word of a windtunnel that stops. The file may be gone already.
    pub fn remove(state: &Path) {
        drop(std::fs::remove_file(state.join("instance.json")));
    }
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instance").field("pid", &self.pid).finish_non_exhaustive()
    }
}
