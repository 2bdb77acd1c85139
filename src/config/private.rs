//! Small JSON files with secrets in them: written whole, and readable by their owner alone.

use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::ConfigError;

/// The mode of the state folder: its owner's alone. Root's can be walked through, not listed, because the database
/// server runs as another user.
pub fn state_mode() -> u32 {
    if nix::unistd::geteuid().is_root() { 0o711 } else { 0o700 }
}

/// Reads the file; `None` where there is none.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, ConfigError> {
    let failed = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(e.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

/// Replaces the file in one step: who reads it sees the old one or the new one.
pub(super) fn write<T: Serialize>(path: &Path, value: &T) -> Result<(), ConfigError> {
    let replace = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::DirBuilder::new().recursive(true).mode(state_mode()).create(folder)?;
        let temporary = path.with_extension(format!("{}.new", std::process::id()));
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&temporary)?;
        serde_json::to_writer(&mut file, value)?;
        file.write_all(b"\n")?;
        std::fs::rename(&temporary, path)
    };
    replace().map_err(|source| ConfigError::Unwritable { path: path.to_owned(), source })
}
