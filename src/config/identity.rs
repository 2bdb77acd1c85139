//! Who may call: the identities of `windtunnel.toml`, or one that is made once and kept.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::error::ConfigError;
use super::file::IdentityTable;
use super::private;
use super::{AirflowRole, Identity};
use crate::id::{AccountId, random_text};

/// The key pair that is made when the project names no identity: `.windtunnel/identity.json`.
#[derive(Serialize, Deserialize)]
struct Kept {
    access_key_id: String,
    secret_access_key: String,
}

/// The identities of the file, the gaps filled.
pub(super) fn named(
    tables: &[IdentityTable],
    account: &AccountId,
) -> Result<Vec<Identity>, ConfigError> {
    let mut keys = BTreeSet::new();
    for table in tables {
        if !keys.insert(&table.access_key_id.0) {
            return Err(ConfigError::DoubleIdentity(table.access_key_id.0.clone()));
        }
    }
    Ok(tables.iter().cloned().map(|table| complete(table, account)).collect())
}

fn complete(table: IdentityTable, account: &AccountId) -> Identity {
    let access_key_id = table.access_key_id.0;
    let last_of_arn = || table.arn.as_deref().and_then(|arn| arn.rsplit('/').next());
    let display_name = table
        .display_name
        .clone()
        .or_else(|| last_of_arn().map(str::to_owned))
        .unwrap_or_else(|| "windtunnel".to_owned());
    let arn = table.arn.unwrap_or_else(|| format!("arn:aws:iam::{account}:user/{display_name}"));
    Identity {
        canonical_id: table.canonical_id.unwrap_or_else(|| canonical_id(&access_key_id)),
        airflow_role: table.airflow_role.unwrap_or(AirflowRole::Admin),
        secret_access_key: table.secret_access_key,
        access_key_id,
        arn,
        display_name,
    }
}

/// The identity of a project that names none. Made on the first call, the same ever after.
pub(super) fn kept(state: &Path, account: &AccountId) -> Result<Identity, ConfigError> {
    let path = state.join("identity.json");
    let kept = if let Some(kept) = private::read::<Kept>(&path)? {
        kept
    } else {
        let made = Kept {
            access_key_id: format!("AKIAWINDTUNNEL{}", random_text(6).to_ascii_uppercase()),
            secret_access_key: random_text(40),
        };
        private::write(&path, &made)?;
        made
    };
    Ok(Identity {
        arn: format!("arn:aws:iam::{account}:user/windtunnel"),
        canonical_id: canonical_id(&kept.access_key_id),
        display_name: "windtunnel".to_owned(),
        airflow_role: AirflowRole::Admin,
        access_key_id: kept.access_key_id,
        secret_access_key: kept.secret_access_key,
    })
}

/// 64 hexadecimal digits, as S3's are, and the same for the same key.
fn canonical_id(access_key_id: &str) -> String {
    hex::encode(Sha256::digest(access_key_id))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_only_its_owner_reads_it() {
        let state = tempfile::tempdir().unwrap();
        let account = AccountId::parse("123456789012").unwrap();
        let first = kept(state.path(), &account).unwrap();
        assert_eq!(first, kept(state.path(), &account).unwrap());
        assert_eq!((first.access_key_id.len(), first.secret_access_key.len()), (20, 40));
        let mode = state.path().join("identity.json").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
