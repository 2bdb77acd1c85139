//! What the process's environment says about this machine and its user. Read here and nowhere else.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::ConfigError;

/// A look at the machine, taken once.
#[derive(Clone, Debug)]
pub struct Machine {
    /// The folder that windtunnel was called in.
    pub folder: PathBuf,
    pub home: Option<PathBuf>,
    /// The folders of PATH.
    pub path: Vec<PathBuf>,
    /// The user's login shell, such as `/bin/zsh`.
    pub shell: Option<PathBuf>,
    /// `DOCKER_HOST`.
    pub docker_host: Option<String>,
    /// `WINDTUNNEL_LOG`: what to log, such as `debug` or `windtunnel::delivery=trace`.
    pub log: Option<String>,
    /// Whether this is root, for whom `PostgreSQL` refuses to run.
    pub is_root: bool,
    /// `XDG_CACHE_HOME`.
    pub cache_home: Option<PathBuf>,
    pub variables: Variables,
}

/// Every variable that windtunnel was started with: for the tools it starts (proxies, package indexes, PATH).
#[derive(Clone)]
pub struct Variables(pub BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Variables(hidden)") // People keep their secrets there.
    }
}

impl Machine {
    /// Looks at the environment now.
    #[expect(clippy::disallowed_methods, reason = "this is the room that reads the environment")]
    pub fn look() -> Machine {
        let path = |name| std::env::var_os(name).filter(|v: &OsString| !v.is_empty());
        let text = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        Machine {
            folder: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            home: path("HOME").map(PathBuf::from),
            path: path("PATH").map(|all| std::env::split_paths(&all).collect()).unwrap_or_default(),
            shell: path("SHELL").map(PathBuf::from),
            docker_host: text("DOCKER_HOST"),
            log: text("WINDTUNNEL_LOG"),
            is_root: nix::unistd::geteuid().is_root(),
            cache_home: path("XDG_CACHE_HOME").map(PathBuf::from),
            variables: Variables(
                std::env::vars_os()
                    .filter_map(|(name, value)| {
                        Some((name.into_string().ok()?, value.into_string().ok()?))
                    })
                    .collect(),
            ),
        }
    }

    /// Where downloads are kept when nobody says otherwise.
    ///
    /// Root's is outside of root's home: `PostgreSQL` runs as another user, who must get there.
    pub(super) fn cache(&self) -> Result<PathBuf, ConfigError> {
        if self.is_root {
            return Ok(PathBuf::from("/var/cache/windtunnel"));
        }
        let below_home = if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" };
        let user = match (&self.cache_home, &self.home) {
            (Some(folder), _) => folder.clone(),
            (None, Some(home)) => home.join(below_home),
            (None, None) => return Err(ConfigError::NoCache),
        };
        Ok(user.join("windtunnel"))
    }

    /// The first program of that name on PATH.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt as _;
        let runs = |path: &PathBuf| {
            path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
        };
        self.path.iter().map(|folder| folder.join(name)).find(runs)
    }

    /// `path` as a person in this folder would write it.
    pub fn shown(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.folder) {
            Ok(rest) if rest.as_os_str().is_empty() => PathBuf::from("."),
            Ok(rest) => rest.to_owned(),
            Err(_) => path.to_owned(),
        }
    }
}
