//! What IAM and Airflow call the same person.

use sha2::{Digest as _, Sha256};

use crate::limits::AIRFLOW_IDENTITY_MAX_CHARACTERS;

/// `user/alice` of `arn:aws:iam::123456789012:user/alice`.
pub fn iam_identity(arn: &str) -> String {
    arn.rsplit(':').next().unwrap_or(arn).to_owned()
}

/// The Airflow user of an IAM identity: its name, or a hash of it where that is too long for Airflow.
pub fn airflow_identity(iam: &str) -> String {
    if iam.chars().count() <= AIRFLOW_IDENTITY_MAX_CHARACTERS {
        iam.to_owned()
    } else {
        hex::encode(Sha256::digest(iam.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_the_end_of_its_arn() {
        let cases = [
            ("arn:aws:iam::123456789012:user/alice", "user/alice"),
            ("arn:aws:sts::123456789012:assumed-role/Admin/alice", "assumed-role/Admin/alice"),
            ("arn:aws:iam::123456789012:root", "root"),
        ];
        for (arn, expected) in cases {
            assert_eq!(iam_identity(arn), expected);
        }
    }

    #[test]
    fn a_long_identity_is_hashed_to_what_airflow_takes() {
        let long = format!("assumed-role/Admin/{}", "x".repeat(60));
        assert_eq!(airflow_identity(&long).len(), AIRFLOW_IDENTITY_MAX_CHARACTERS);
        assert_eq!(airflow_identity("user/alice"), "user/alice");
    }
}
