//! What MWAA's service model and its user guide demand of an environment's members.
//!
//! Promise: a request and a `windtunnel.toml` are measured with one yardstick, and all that is wrong is named at once.
//! SDKs check only what is required and the smallest lengths, so everything is checked here. Touches nothing.

pub mod environment;

use std::fmt::{self, Display};

/// What a text member must be.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// In characters.
    pub max: usize,
    /// In characters: 1 nearly everywhere.
    pub min: usize,
    pub pattern: Option<Pattern>,
}

impl Text {
    /// Whether a value follows the rule.
    pub fn accepts(self, value: &str) -> bool {
        let mut faults = Faults::default();
        faults.text("", value, self);
        faults.0.is_empty()
    }
}

/// The model's pattern, for the sentence, and what decides it.
type Pattern = (&'static str, fn(&str) -> bool);

const fn text(max: usize, pattern: &'static str, matches: fn(&str) -> bool) -> Text {
    Text { max, min: 1, pattern: Some((pattern, matches)) }
}

/// An empty path is none.
pub const ANY_PATH: Text = Text { max: 1024, min: 0, pattern: None };
pub const CLASS: Text = Text { max: 1024, min: 1, pattern: None };
pub const REST_PATH: Text = Text { max: 64, min: 1, pattern: None };
pub const NAME: Text = text(80, "^[a-zA-Z][0-9a-zA-Z-_]*$", |name| {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
});
pub const ROLE_ARN: Text =
    text(1224, r"^arn:aws(-[a-z]+)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+$", |arn| {
        let role = after_partition(arn).and_then(|rest| after_account(rest.strip_prefix("iam::")?));
        role.and_then(|rest| rest.strip_prefix("role")).is_some_and(|path| {
            let name = path.strip_prefix('/').unwrap_or(path);
            !name.is_empty() && all_of(name, "_+=,.@-/")
        })
    });
pub const BUCKET_ARN: Text =
    text(1224, r"^arn:aws(-[a-z]+)?:s3:::[a-z0-9.\-]+$", |arn| bucket_of(arn).is_some());
pub const VERSION: Text = text(32, "^[0-9a-z.]+$", |version| {
    version.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || c == '.')
});
pub const CONFIG_KEY: Text = text(64, "^[a-z]+([a-z0-9._]*[a-z0-9_]+)?$", |key| {
    key.starts_with(|c: char| c.is_ascii_lowercase())
        && !key.ends_with('.')
        && key
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_'))
});
pub const CONFIG_VALUE: Text =
    text(65_536, "^[ -~]+$", |value| value.chars().all(|c| matches!(c, ' '..='~')));
pub const SUBNET: Text = text(1024, r"^subnet-[a-zA-Z0-9\-._]+$", |id| {
    id.strip_prefix("subnet-").is_some_and(|rest| !rest.is_empty() && all_of(rest, "-._"))
});
pub const SECURITY_GROUP: Text = text(1024, r"^sg-[a-zA-Z0-9\-._]+$", |id| {
    id.strip_prefix("sg-").is_some_and(|rest| !rest.is_empty() && all_of(rest, "-._"))
});
pub const KMS_KEY: Text = text(
    1224,
    r"^(((arn:aws(-[a-z]+)?:kms:[-a-z0-9]+:\d{12}:)?key/)?[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}|(arn:aws(-[a-z]+)?:kms:[-a-z0-9]+:\d{12}:)?alias/.+)$",
    |key| {
        let local = after_partition(key)
            .and_then(|rest| rest.strip_prefix("kms:")?.split_once(':'))
            .and_then(|(_, rest)| after_account(rest));
        let (id, needs_prefix) = local.map_or((key, false), |local| (local, true));
        let alias = id.strip_prefix("alias/").is_some_and(|name| !name.is_empty());
        let uuid = id.strip_prefix("key/").or((!needs_prefix).then_some(id)).is_some_and(is_uuid);
        alias || uuid
    },
);
pub const WINDOW: Text =
    text(9, r"^(MON|TUE|WED|THU|FRI|SAT|SUN):([01]\d|2[0-3]):(00|30)$", |window| {
        let parts: Vec<_> = window.split(':').collect();
        let [day, hour, minute] = parts.as_slice() else { return false };
        ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"].contains(day)
            && hour.len() == 2
            && hour.parse::<u8>().is_ok_and(|hour| hour < 24)
            && ["00", "30"].contains(minute)
    });
const TAG_PATTERN: &str = r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$";
pub const TAG_KEY: Text = text(128, TAG_PATTERN, is_tag_text);
pub const TAG_VALUE: Text = text(256, TAG_PATTERN, is_tag_text);
pub const ENVIRONMENT_ARN: Text =
    text(1224, r"^arn:aws(-[a-z]+)?:airflow:[a-z0-9\-]+:\d{12}:environment/\w+.*$", |arn| {
        environment_of(arn).is_some()
    });

/// One member that breaks one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// As AWS spells it in its errors: `networkConfiguration.subnetIds`.
    pub member: String,
    /// What was given, or a stand-in for a secret.
    pub value: String,
    /// `Member must …`.
    pub rule: String,
}

impl Display for Fault {
    /// AWS's sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { member, value, rule } = self;
        write!(f, "Value '{value}' at '{member}' failed to satisfy constraint: {rule}")
    }
}

/// What is wrong with a request.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// Says that the value of a member breaks a rule.
    pub fn broken(&mut self, member: &str, value: impl Display, rule: impl Display) {
        let (member, value, rule) = (member.to_owned(), value.to_string(), rule.to_string());
        self.0.push(Fault { member, value, rule });
    }

    /// Checks a text.
    pub fn text(&mut self, member: &str, value: &str, rule: Text) {
        self.text_shown(member, (value, value), rule);
    }

    /// Checks a text that must not be repeated to anybody.
    pub fn secret(&mut self, member: &str, value: &str, rule: Text) {
        self.text_shown(member, (value, "(hidden)"), rule);
    }

    fn text_shown(&mut self, member: &str, (value, shown): (&str, &str), rule: Text) {
        if value.chars().count() < rule.min {
            let rule = format!("Member must have length greater than or equal to {}", rule.min);
            return self.broken(member, shown, rule);
        }
        if value.chars().count() > rule.max {
            let rule = format!("Member must have length less than or equal to {}", rule.max);
            self.broken(member, shown, rule);
        }
        if let Some((pattern, matches)) = rule.pattern
            && !matches(value)
        {
            let rule = format!("Member must satisfy regular expression pattern: {pattern}");
            self.broken(member, shown, rule);
        }
    }

    /// A member that must be there.
    pub fn required<T>(&mut self, member: &str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.broken(member, "null", "Member must not be null");
        }
        value
    }

    /// Checks that a text is one of a few.
    pub fn one_of(&mut self, member: &str, value: &str, set: &[&str]) {
        if !set.contains(&value) {
            let rule = format!("Member must satisfy enum value set: [{}]", set.join(", "));
            self.broken(member, value, rule);
        }
    }

    /// Checks a number, and gives the nearest one that is allowed.
    pub fn number(&mut self, member: &str, value: i64, (min, max): (i64, i64)) -> u32 {
        if value < min {
            let rule = format!("Member must have value greater than or equal to {min}");
            self.broken(member, value, rule);
        } else if value > max {
            let rule = format!("Member must have value less than or equal to {max}");
            self.broken(member, value, rule);
        }
        u32::try_from(value.clamp(min, max)).unwrap_or(0)
    }

    /// Checks how many elements a list or map has.
    pub fn size(&mut self, member: &str, size: usize, (min, max): (usize, usize)) {
        if size < min {
            let rule = format!("Member must have length greater than or equal to {min}");
            self.broken(member, format!("[{size} elements]"), rule);
        } else if size > max {
            let rule = format!("Member must have length less than or equal to {max}");
            self.broken(member, format!("[{size} elements]"), rule);
        }
    }
}

/// The bucket's name in its ARN.
pub fn bucket_of(arn: &str) -> Option<&str> {
    let name = after_partition(arn)?.strip_prefix("s3:::")?;
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
    (!name.is_empty() && name.chars().all(plain)).then_some(name)
}

/// The environment's name in its ARN.
pub fn environment_of(arn: &str) -> Option<&str> {
    let (region, rest) = after_partition(arn)?.strip_prefix("airflow:")?.split_once(':')?;
    let named = !region.is_empty()
        && region.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let name = after_account(rest)?.strip_prefix("environment/")?;
    let word = |c: char| c.is_alphanumeric() || c == '_';
    (named && name.starts_with(word)).then_some(name)
}

/// What follows `arn:aws:`, or `arn:aws-cn:` and the like.
fn after_partition(arn: &str) -> Option<&str> {
    let (partition, rest) = arn.strip_prefix("arn:aws")?.split_once(':')?;
    let well_formed = match partition.strip_prefix('-') {
        Some(name) => !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase()),
        None => partition.is_empty(),
    };
    well_formed.then_some(rest)
}

/// What follows an account's twelve digits and a colon.
fn after_account(text: &str) -> Option<&str> {
    let (account, rest) = text.split_once(':')?;
    (account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit())).then_some(rest)
}

fn all_of(text: &str, more: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || more.contains(c))
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<_> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts.iter().zip(lengths).all(|(part, length)| {
            part.len() == length
                && part.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'))
        })
}

fn is_tag_text(text: &str) -> bool {
    let space = |c: char| c.is_whitespace() && !c.is_control();
    text.chars().all(|c| c.is_alphanumeric() || space(c) || "_.:/=+-@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_takes_what_the_model_takes_and_nothing_else() {
        let uuid = "01234567-89ab-cdef-0123-456789abcdef";
        let arn = |rest: &str| format!("arn:aws:kms:us-east-1:123456789012:{rest}");
        let table: &[(Text, &[&str], &[&str])] = &[
            (NAME, &["a", "My-env_1"], &["", "1a", "-a", "a b", "ä"]),
            (
                ROLE_ARN,
                &[
                    "arn:aws:iam::123456789012:role/service-role/mwaa",
                    "arn:aws-cn:iam::123456789012:role/x",
                    "arn:aws:iam::123456789012:rolex",
                ],
                &[
                    "arn:aws:iam::12345678901:role/x",
                    "arn:aws:iam::123456789012:user/x",
                    "arn:aws:iam::123456789012:role/",
                    "arn:awsx:iam::123456789012:role/x",
                    "role/x",
                ],
            ),
            (
                BUCKET_ARN,
                &["arn:aws:s3:::my.bucket-1", "arn:aws-cn:s3:::b"],
                &["my-bucket", "arn:aws:s3:::b/", "arn:aws:s3:::", "arn:aws:s3:::B"],
            ),
            (VERSION, &["2.10.3"], &["2.10.3-A", "v 2"]),
            (
                CONFIG_KEY,
                &["core.dags_are_paused", "a", "celery.worker_autoscale"],
                &["Core.x", "core.", ".x", "a-b", "1a"],
            ),
            (CONFIG_VALUE, &["a b~", " "], &["", "a\nb", "ä"]),
            (SUBNET, &["subnet-0a"], &["subnet-", "sg-1", "0a"]),
            (SECURITY_GROUP, &["sg-0a.b"], &["sg-", "subnet-1", "sg-a b"]),
            (
                KMS_KEY,
                &[uuid, &format!("key/{uuid}"), &arn(&format!("key/{uuid}")), "alias/mine"],
                &["mine", &arn(uuid), "key/mine", &uuid.to_uppercase(), "alias/"],
            ),
            (
                WINDOW,
                &["TUE:03:30", "SUN:23:00"],
                &["TUE:24:00", "TUE:3:30", "DIE:03:30", "TUE:03:15"],
            ),
            (TAG_VALUE, &["a b", "é/=+-@_.:"], &["", "a#b", "a\nb"]),
            (
                ENVIRONMENT_ARN,
                &["arn:aws:airflow:us-east-1:123456789012:environment/dev"],
                &[
                    "arn:aws:airflow:us-east-1:123456789012:environment/",
                    "arn:aws:s3:::dev",
                    "arn:aws:airflow::123456789012:environment/dev",
                ],
            ),
        ];
        for (rule, good, bad) in table {
            for value in *good {
                assert!(rule.accepts(value), "`{value}` should pass {rule:?}");
            }
            for value in *bad {
                assert!(!rule.accepts(value), "`{value}` should not pass {rule:?}");
            }
            assert!(!rule.accepts(&"a".repeat(rule.max + 1)));
        }
    }

    #[test]
    fn a_secret_is_not_repeated_in_its_error() {
        let mut faults = Faults::default();
        faults.secret("airflowConfigurationOptions.a.b", "pass\nword", CONFIG_VALUE);
        assert!(!faults.0[0].to_string().contains("pass"));
    }
}
