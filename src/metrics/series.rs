//! What is measured: names, dimensions, units.

use std::collections::BTreeMap;
use std::fmt;

/// What tells one metric from another of the same name: their order means nothing.
pub type Dimensions = BTreeMap<String, String>;

/// A metric: the exact set of dimensions belongs to its name; nothing is rolled up over them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Metric {
    pub namespace: String,
    pub name: String,
    pub dimensions: Dimensions,
}

/// A metric's values in one unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Series {
    pub metric: Metric,
    pub unit: Unit,
}

/// A unit of measurement (CloudWatch API reference, `StandardUnit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit(&'static str);

const UNITS: [&str; 27] = [
    "Seconds",
    "Microseconds",
    "Milliseconds",
    "Bytes",
    "Kilobytes",
    "Megabytes",
    "Gigabytes",
    "Terabytes",
    "Bits",
    "Kilobits",
    "Megabits",
    "Gigabits",
    "Terabits",
    "Percent",
    "Count",
    "Bytes/Second",
    "Kilobytes/Second",
    "Megabytes/Second",
    "Gigabytes/Second",
    "Terabytes/Second",
    "Bits/Second",
    "Kilobits/Second",
    "Megabits/Second",
    "Gigabits/Second",
    "Terabits/Second",
    "Count/Second",
    "None",
];

impl Unit {
    pub const NONE: Unit = Unit("None");
    pub const COUNT: Unit = Unit("Count");
    pub const PERCENT: Unit = Unit("Percent");
    pub const SECONDS: Unit = Unit("Seconds");
    pub const MILLISECONDS: Unit = Unit("Milliseconds");

    /// The unit of this name, if there is one.
    pub fn parse(name: &str) -> Option<Unit> {
        UNITS.iter().copied().find(|unit| *unit == name).map(Unit)
    }

    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Every unit's name, as errors list them.
    pub fn names() -> &'static [&'static str] {
        &UNITS
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
