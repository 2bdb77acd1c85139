//! Names and ids, each checked once, where it enters.
//!
//! Private fields; the only way in is a parse, and its error quotes what was given and the rule it broke.

use std::fmt;
use std::str::FromStr;

/// A text that does not follow the rule of the name it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` is not {what}: {rule}")]
pub struct BadName {
    /// What was given.
    pub given: String,
    /// The kind of name, with its article.
    pub what: &'static str,
    /// The rule that it broke.
    pub rule: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $rule:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(String);

        impl $type {
            /// Checks `given` against the rule of this name.
            pub fn parse(given: impl Into<String>) -> Result<$type, BadName> {
                let given = given.into();
                let check: fn(&str) -> bool = $check;
                if check(&given) {
                    Ok($type(given))
                } else {
                    Err(BadName { given, what: $what, rule: $rule })
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<$type, D::Error> {
                $type::parse(String::deserialize(from)?).map_err(serde::de::Error::custom)
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(given: &str) -> Result<$type, BadName> {
                $type::parse(given)
            }
        }
    };
}

name!(
    /// A bucket's name (S3 user guide, "General purpose bucket naming rules").
    BucketName,
    "a bucket name",
    "3 to 63 of a-z 0-9 . -, first and last alphanumeric, no `..`, not an IP address",
    |name| {
        let bytes = name.as_bytes();
        (3..=63).contains(&bytes.len())
            && bytes.iter().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-'))
            && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
            && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
            && !name.contains("..")
            && !name.starts_with("xn--")
            && name.parse::<std::net::Ipv4Addr>().is_err()
    }
);

name!(
    /// An object's key: 1 to 1,024 bytes of UTF-8, any characters (S3 user guide, "Naming objects").
    ///
    /// A key is never a path. What turns one into a path checks it first.
    ObjectKey,
    "an object key",
    "1 to 1024 bytes of UTF-8",
    |key| (1..=1024).contains(&key.len())
);

name!(
    /// A version's id as S3 shows it: `null`, or 32 characters that are safe in a URL.
    VersionId,
    "a version id",
    "`null`, or 32 of A-Z a-z 0-9 . _ -",
    |id| id == "null"
        || (id.len() == 32
            && id.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')))
);

name!(
    /// A queue's name: 1 to 80 of `A-Z a-z 0-9 - _`; a FIFO queue's ends in `.fifo`.
    QueueName,
    "a queue name",
    "1 to 80 of A-Z a-z 0-9 - _ (a FIFO queue's ends in .fifo)",
    |name| {
        let stem = name.strip_suffix(".fifo").unwrap_or(name);
        (1..=80).contains(&name.len())
            && !stem.is_empty()
            && stem.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    }
);

name!(
    /// What a receiver of a queue calls itself, so that what it holds can be told from what others hold.
    ReceiverName,
    "a receiver's name",
    "1 to 80 of A-Z a-z 0-9 - _ .",
    |name| {
        (1..=80).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    }
);

name!(
    /// A log group's name (CloudWatch Logs API reference, `CreateLogGroup`).
    LogGroupName,
    "a log group name",
    "1 to 512 of A-Z a-z 0-9 . - _ / #",
    |name| (1..=512).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/' | b'#'))
);

name!(
    /// A log stream's name (CloudWatch Logs API reference, `CreateLogStream`).
    LogStreamName,
    "a log stream name",
    "1 to 512 characters without : and *",
    |name| (1..=512).contains(&name.chars().count()) && !name.contains([':', '*'])
);

name!(
    /// An environment's name (MWAA API reference, CreateEnvironment).
    EnvironmentName,
    "an environment name",
    "1 to 80 of A-Z a-z 0-9 - _, and a letter first",
    |name| {
        (1..=80).contains(&name.len())
            && name.as_bytes().first().is_some_and(u8::is_ascii_alphabetic)
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    }
);

name!(
    /// An AWS account's id.
    AccountId,
    "an account id",
    "12 digits",
    |id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_digit())
);

name!(
    /// An AWS region's name.
    Region,
    "a region",
    "1 to 32 of a-z 0-9 -, such as us-east-1",
    |name| (1..=32).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
);

/// One life of an environment's processes. A fact that names another launch is yesterday's news.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LaunchId(pub u64);

impl fmt::Display for LaunchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// `count` characters, each drawn evenly from `A-Z a-z 0-9`: ids and secrets that need no escaping.
pub fn random_text(count: usize) -> String {
    use rand::RngExt as _;
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut rng = rand::rng();
    (0..count).map(|_| char::from(ALPHABET[rng.random_range(0..ALPHABET.len())])).collect()
}

impl VersionId {
    /// A new id. Ids carry no order: the store numbers versions itself.
    pub fn random() -> VersionId {
        VersionId(random_text(32))
    }

    /// The id of the one version that a bucket without versioning keeps.
    pub fn null() -> VersionId {
        VersionId("null".to_owned())
    }
}

impl ReceiverName {
    /// A name that nobody had before: `stem` and a random end.
    pub fn unique(stem: &str) -> ReceiverName {
        ReceiverName(format!("{stem}.{}", random_text(8)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_name_that_aws_refuses_is_refused() {
        for bad in ["ab", "Bucket", "-ab", "a..b", "192.168.0.1", "xn--abc", "a_b"] {
            assert!(BucketName::parse(bad).is_err(), "{bad}");
        }
        assert!(BucketName::parse("my-project.data").is_ok());
    }

    #[test]
    fn the_error_of_a_bad_name_quotes_it_and_the_rule() {
        let error = EnvironmentName::parse("1st").unwrap_err();
        assert_eq!(
            error.to_string(),
            "`1st` is not an environment name: 1 to 80 of A-Z a-z 0-9 - _, and a letter first"
        );
    }

    #[test]
    fn version_ids_differ_and_parse() {
        let id = VersionId::random();
        assert_ne!(id, VersionId::random());
        assert_eq!(VersionId::parse(id.as_str()), Ok(id));
    }
}
