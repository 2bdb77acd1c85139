//! Why the settings cannot be used, in the three parts that a person needs: what, why, what next.

use std::io;
use std::path::PathBuf;

/// Why no [`super::Config`] could be made.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{}:{line} has the unknown key `{key}`", file.display())]
    UnknownKey {
        file: PathBuf,
        /// Counted from 1.
        line: usize,
        key: String,
        /// The key that was probably meant.
        near: Option<String>,
        /// The keys that there are in this place.
        known: Vec<String>,
    },
    #[error("{}:{line} has a value that cannot be used", file.display())]
    BadValue { file: PathBuf, line: usize, why: String },
    #[error("cannot read {}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("cannot write {}", path.display())]
    Unwritable { path: PathBuf, source: io::Error },
    #[error("{} is not a project", .0.display())]
    NotAProject(PathBuf),
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    #[error("the access key {0} is given to two identities")]
    DoubleIdentity(String),
    #[error("there is no folder to keep downloads in")]
    NoCache,
}

impl ConfigError {
    /// The reason, one line.
    pub fn why(&self) -> String {
        match self {
            ConfigError::UnknownKey { known, .. } => {
                format!("here the keys are {}", known.join(", "))
            }
            ConfigError::BadValue { why, .. } => why.clone(),
            ConfigError::Unreadable { source, .. } | ConfigError::Unwritable { source, .. } => {
                source.to_string()
            }
            ConfigError::NotAProject(_) => {
                "neither it nor a folder above it has a dags folder or a windtunnel.toml".to_owned()
            }
            ConfigError::NotAFolder(_) => "nothing is there, or it is a file".to_owned(),
            ConfigError::DoubleIdentity(_) => "a key must tell who is calling".to_owned(),
            ConfigError::NoCache => "HOME is not set".to_owned(),
        }
    }

    /// What to do about it, one line.
    pub fn next(&self) -> String {
        match self {
            ConfigError::UnknownKey { near: Some(near), .. } => format!("did you mean `{near}`?"),
            ConfigError::UnknownKey { .. } => "remove the key or correct its name".to_owned(),
            ConfigError::BadValue { file, line, .. } => {
                format!("correct line {line} of {}", file.display())
            }
            ConfigError::Unreadable { path, .. } => {
                format!("make {} readable, or move it away", path.display())
            }
            ConfigError::Unwritable { path, .. } => {
                format!("check the rights and the free space where {} lies", path.display())
            }
            ConfigError::NotAProject(path) => {
                format!("`windtunnel init {}` makes a new project there", path.display())
            }
            ConfigError::NotAFolder(path) => {
                format!("check the name, or `windtunnel init {}`", path.display())
            }
            ConfigError::DoubleIdentity(_) => {
                "give each [[identity]] in windtunnel.toml a key of its own".to_owned()
            }
            ConfigError::NoCache => "set WINDTUNNEL_CACHE_DIR to a folder".to_owned(),
        }
    }
}
