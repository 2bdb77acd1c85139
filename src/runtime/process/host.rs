//! The machine as the person who started us sees it: their variables, their programs.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use super::Variables;

/// What components get from the person's environment. Everything else stays outside, so that a DAG does not come to
/// depend on it; AWS profiles and credentials above all.
const PASSED_ON: [&str; 13] = [
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NO_PROXY",
    "TMPDIR",
    "TZ",
    "USER",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The variables that windtunnel was started with.
#[derive(Clone)]
pub(super) struct Host {
    variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // They hold people's secrets.
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(variables: BTreeMap<String, String>) -> Host {
        Host { variables }
    }

    /// Gives a tool the person's whole environment.
    pub(super) fn dress(&self, command: &mut Command) {
        command.env_clear().envs(&self.variables);
    }

    fn path(&self) -> impl Iterator<Item = PathBuf> {
        let path = self.variables.get("PATH").cloned().unwrap_or_default();
        std::env::split_paths(&path).collect::<Vec<_>>().into_iter()
    }

    /// The first program of that name on the PATH.
    pub(super) fn program(&self, name: &str) -> Option<PathBuf> {
        self.path().map(|folder| folder.join(name)).find(|path| executable(path))
    }

    /// Where a Python of that version may be, likeliest first. A shim may turn out to be none.
    pub(super) fn pythons(&self, version: &str) -> Vec<PathBuf> {
        let names = [format!("python{version}"), "python3".to_owned(), "python".to_owned()];
        let mut folders: Vec<PathBuf> = self.path().collect();
        folders.extend(self.kept_pythons(version));
        let paths =
            names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        paths.filter(|path| executable(path)).collect()
    }

    /// Interpreters that pyenv and uv keep out of the PATH.
    fn kept_pythons(&self, version: &str) -> Vec<PathBuf> {
        let Some(home) = self.variables.get("HOME").map(PathBuf::from) else { return Vec::new() };
        let kept = [
            (home.join(".pyenv/versions"), format!("{version}.")),
            (home.join(".local/share/uv/python"), format!("cpython-{version}.")),
        ];
        let mut found: Vec<PathBuf> = kept
            .iter()
            .flat_map(|(folder, prefix)| {
                let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
                let named = entries
                    .filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix));
                named.map(|entry| entry.path().join("bin"))
            })
            .collect();
        found.sort();
        found
    }

    /// The lowest layer of a component's environment.
    pub(super) fn basis(&self, programs: &[PathBuf], home: &Path) -> Variables {
        let mut basis: Variables = PASSED_ON
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), self.variables.get(*name)?.clone())))
            .collect();
        let folders = programs.iter().cloned().chain(self.path());
        let path = std::env::join_paths(folders).unwrap_or_default();
        basis.insert("PATH".to_owned(), path.to_string_lossy().into_owned());
        basis.entry("LANG".to_owned()).or_insert_with(|| "C.UTF-8".to_owned());
        // As on MWAA; and what looks for `~/.aws` finds nothing of the person's.
        basis.insert("HOME".to_owned(), home.display().to_string());
        for name in ["NO_PROXY", "no_proxy"] {
            let given = basis.get(name).map(|value| format!("{value},")).unwrap_or_default();
            basis.insert(name.to_owned(), format!("{given}localhost,.localhost,127.0.0.1,::1"));
        }
        if cfg!(target_os = "macos") {
            // The system's libraries end a forked process that uses them, unless told that it is meant.
            basis.insert("OBJC_DISABLE_INITIALIZE_FORK_SAFETY".to_owned(), "YES".to_owned());
        }
        basis
    }

    /// Where the folders for sockets lie, of this user's environments.
    fn sockets_base(&self) -> PathBuf {
        let uid = nix::unistd::geteuid();
        let own = self.variables.get("XDG_RUNTIME_DIR").map(PathBuf::from);
        let own = own.filter(|path| path.is_dir() && !uid.is_root());
        match own {
            Some(own) if own.as_os_str().len() < 40 => own.join("windtunnel"),
            _ => PathBuf::from(format!("/tmp/windtunnel-{uid}")),
        }
    }

    /// A folder with a short path for an environment's sockets, which may have about 100 bytes.
    pub(super) fn sockets(&self, home: &Path) -> io::Result<PathBuf> {
        let (uid, base) = (nix::unistd::geteuid(), self.sockets_base());
        std::fs::create_dir_all(&base)?;
        let metadata = std::fs::symlink_metadata(&base)?;
        if metadata.uid() != uid.as_raw() || !metadata.is_dir() {
            let why = format!("{} belongs to somebody else", base.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
        }
        // Passable for root's database user; the folders in it have modes of their own.
        let mode = if uid.is_root() { 0o711 } else { 0o700 };
        std::fs::set_permissions(&base, std::fs::Permissions::from_mode(mode))?;
        let folder = base.join(&super::digest(&[home.as_os_str().as_encoded_bytes()])[..12]);
        std::fs::create_dir_all(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode))?;
        std::fs::write(folder.join(WHOSE), home.as_os_str().as_encoded_bytes())?;
        Ok(folder)
    }

    /// Removes the sockets' folders of environments that are gone.
    pub(super) fn tidy(&self) -> io::Result<()> {
        tidy_sockets(&self.sockets_base())
    }
}

/// The file in a folder of sockets that says which environment's they are.
const WHOSE: &str = "for";

fn tidy_sockets(base: &Path) -> io::Result<()> {
    for folder in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let Ok(home) = std::fs::read(folder.path().join(WHOSE)) else { continue };
        if !PathBuf::from(std::ffi::OsString::from_vec(home)).exists() {
            super::remove_folder(&folder.path())?;
        }
    }
    Ok(())
}

fn executable(path: &Path) -> bool {
    let metadata = std::fs::metadata(path);
    metadata.is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_sockets_of_environments_that_are_gone_are_removed() {
        let base = tempfile::tempdir().unwrap();
        let home = base.path().join("home");
        for (name, whose) in
            [("lives", Some(&home)), ("gone", Some(&base.path().join("no"))), ("old", None)]
        {
            let folder = base.path().join(name);
            std::fs::create_dir_all(folder.join("pg")).unwrap();
            if let Some(whose) = whose {
                std::fs::write(folder.join(WHOSE), whose.as_os_str().as_encoded_bytes()).unwrap();
            }
        }
        std::fs::create_dir(&home).unwrap();
        tidy_sockets(base.path()).unwrap();
        let there = |name: &str| base.path().join(name).exists();
        assert!(there("lives") && there("old") && !there("gone"));
    }
}
