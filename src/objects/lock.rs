//! What holds versions in place: retention and legal hold, and the bucket's default for new ones.

use serde::{Deserialize, Serialize};

use super::Metadata;
use crate::clock::Timestamp;

/// How firmly a retention holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mode {
    /// Whoever says that they mean it may get round it.
    Governance,
    /// Nobody may, until its time is over.
    Compliance,
}

/// Until when a version may not be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    pub mode: Mode,
    /// In milliseconds since the Unix epoch.
    pub until_ms: i64,
}

/// How long a new version is retained when nothing was said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Period {
    Days(u32),
    Years(u32),
}

/// What a bucket with object lock does with new versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DefaultRetention {
    pub mode: Mode,
    pub period: Period,
}

/// That a bucket has object lock, which it never loses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    pub default: Option<DefaultRetention>,
}

pub(super) const DAY_MS: i64 = 24 * 60 * 60 * 1000;

impl DefaultRetention {
    /// The retention of a version that is written at `at`.
    pub(super) fn from(self, at: Timestamp) -> Retention {
        let days = match self.period {
            Period::Days(days) => i64::from(days),
            // AWS: a year is 365 days here.
            Period::Years(years) => i64::from(years) * 365,
        };
        Retention { mode: self.mode, until_ms: at.as_millis().saturating_add(days * DAY_MS) }
    }
}

/// Whether a version may not be removed at `now`. `bypass` gets round governance, and round nothing else.
pub(super) fn holds(metadata: &Metadata, now: Timestamp, bypass: bool) -> bool {
    let retained = metadata.retention.is_some_and(|retention| {
        retention.until_ms > now.as_millis() && !(bypass && retention.mode == Mode::Governance)
    });
    metadata.legal_hold == Some(true) || retained
}

/// Whether one retention may take the place of another at `now`.
pub(super) fn may_replace(
    old: Option<Retention>,
    new: Option<Retention>,
    (now, bypass): (Timestamp, bool),
) -> bool {
    let Some(old) = old.filter(|old| old.until_ms > now.as_millis()) else { return true };
    if old.mode == Mode::Governance && bypass {
        return true;
    }
    // Without more ado it can only become longer, or firmer.
    new.is_some_and(|new| {
        let as_firm = new.mode == old.mode || new.mode == Mode::Compliance;
        as_firm && new.until_ms >= old.until_ms
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retention_only_ever_grows_unless_governance_is_bypassed() {
        let of = |mode, until_ms| Some(Retention { mode, until_ms });
        let now = Timestamp::from_millis(100);
        let governed = of(Mode::Governance, 200);
        let strict = of(Mode::Compliance, 200);
        for (old, new, bypass, may) in [
            (None, governed, false, true),
            (governed, of(Mode::Governance, 300), false, true),
            (governed, of(Mode::Governance, 150), false, false),
            (governed, of(Mode::Governance, 150), true, true),
            (governed, None, false, false),
            (governed, None, true, true),
            (governed, of(Mode::Compliance, 200), false, true),
            (strict, of(Mode::Compliance, 300), false, true),
            (strict, of(Mode::Compliance, 150), true, false),
            (strict, of(Mode::Governance, 300), true, false),
            (of(Mode::Compliance, 50), None, false, true),
        ] {
            assert_eq!(may_replace(old, new, (now, bypass)), may, "{old:?} -> {new:?} {bypass}");
        }
    }
}
