//! `.windtunnel/instance.json`: where the running windtunnel of a project is, and the word that opens its console.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::StartError;
use crate::config::private::state_mode;
use crate::config::{Addresses, Config};
use crate::id;

/// What a verb of the command line needs to talk to a running windtunnel.
#[derive(Clone, Serialize, Deserialize)]
pub struct Instance {
    pub pid: u32,
    /// `http://127.0.0.1:4570`.
    pub aws_endpoint: String,
    /// `http://127.0.0.1:4571`.
    pub console: String,
    /// Goes into the header `X-Windtunnel-Token` of every console request.
    pub token: String,
    pub region: String,
    /// Of the first identity.
    pub access_key_id: String,
    pub secret_access_key: String,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl Instance {
    /// The word is a new one each time: the file of an instance that was killed may send it to a stranger's port.
    pub(super) fn new(config: &Config, addresses: Addresses) -> Instance {
        let identity = config.identities.first().expect("a config names at least one identity");
        Instance {
            pid: std::process::id(),
            aws_endpoint: format!("http://{}", addresses.aws),
            console: format!("http://{}", addresses.console),
            token: id::random_text(40),
            region: config.region.to_string(),
            access_key_id: identity.access_key_id.clone(),
            secret_access_key: identity.secret_access_key.clone(),
        }
    }

    pub(super) fn write(&self, state: &Path) -> Result<PathBuf, StartError> {
        let path = path_in(state);
        let temporary = path.with_extension("new");
        let text = serde_json::to_vec_pretty(self).expect("an instance is plain data");
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)
            .and_then(|mut file| file.write_all(&text))
            .and_then(|()| fs::rename(&temporary, &path))
            .map_err(|source| StartError::File { verb: "write", path: path.clone(), source })?;
        Ok(path)
    }
}

/// The instance that runs or ran on this state folder. Whether it still runs is for the caller to find out.
pub fn read(state: &Path) -> io::Result<Instance> {
    let text = fs::read(path_in(state))?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

pub(super) fn remove(path: &Path) {
    // Gone already is as good.
    drop(fs::remove_file(path));
}

/// Makes the state folder, ignored by git.
pub(super) fn prepare(state: &Path) -> Result<(), StartError> {
    let failed = |source| StartError::File { verb: "create", path: state.to_owned(), source };
    fs::DirBuilder::new().recursive(true).mode(state_mode()).create(state).map_err(failed)?;
    // What people keep in buckets is nobody else's to read, whoever may walk through.
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(state.join("objects"))
        .map_err(failed)?;
    let ignore = state.join(".gitignore");
    if !ignore.exists() {
        fs::write(&ignore, "*\n").map_err(failed)?;
    }
    Ok(())
}

fn path_in(state: &Path) -> PathBuf {
    state.join("instance.json")
}
