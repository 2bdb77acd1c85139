//! What holds for an environment as a whole: its numbers, its options, what does not go together.

use std::collections::BTreeMap;

use super::{CONFIG_KEY, CONFIG_VALUE, Faults, KMS_KEY, TAG_KEY, TAG_VALUE};

/// The classes that MWAA documents (user guide, environment classes).
pub const CLASSES: [&str; 6] =
    ["mw1.micro", "mw1.small", "mw1.medium", "mw1.large", "mw1.xlarge", "mw1.2xlarge"];
/// The one with one of everything, which does not scale.
const MICRO: &str = "mw1.micro";
pub const LOG_LEVELS: [&str; 5] = ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"];
pub const ACCESS_MODES: [&str; 3] = ["PRIVATE_ONLY", "PUBLIC_ONLY", "PUBLIC_AND_PRIVATE"];
pub const ENDPOINT_MANAGEMENT: [&str; 2] = ["CUSTOMER", "SERVICE"];

/// MWAA's quota for one environment (user guide, quotas). It can be raised there, and need not be here.
const WORKERS_MAX: i64 = 25;
/// The newest of these need `PUBLIC_AND_PRIVATE` (user guide, access modes).
const BOTH_DOORS_SINCE: [u32; 3] = [3, 2, 1];
/// Options that MWAA refuses (user guide, configuration options): one environment serves one team.
const RESERVED_OPTIONS: [&str; 2] = ["core.multi_team", "triggerer.queues_enabled"];

/// How many of what an environment has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers<T> {
    pub min_workers: T,
    pub max_workers: T,
    pub schedulers: T,
    pub min_webservers: T,
    pub max_webservers: T,
}

impl Numbers<Option<i64>> {
    /// With MWAA's defaults for a class where nothing is given.
    pub fn or_defaults(self, class: &str) -> Numbers<i64> {
        let (workers, others) = if class == MICRO { (1, 1) } else { (10, 2) };
        Numbers {
            min_workers: self.min_workers.unwrap_or(1),
            max_workers: self.max_workers.unwrap_or(workers),
            schedulers: self.schedulers.unwrap_or(others),
            min_webservers: self.min_webservers.unwrap_or(others),
            max_webservers: self.max_webservers.unwrap_or(others),
        }
    }

    /// With what an environment has where nothing is given.
    pub fn or(self, has: Numbers<u32>) -> Numbers<i64> {
        Numbers {
            min_workers: self.min_workers.unwrap_or(has.min_workers.into()),
            max_workers: self.max_workers.unwrap_or(has.max_workers.into()),
            schedulers: self.schedulers.unwrap_or(has.schedulers.into()),
            min_webservers: self.min_webservers.unwrap_or(has.min_webservers.into()),
            max_webservers: self.max_webservers.unwrap_or(has.max_webservers.into()),
        }
    }
}

impl Numbers<i64> {
    /// Checks them against the ranges of a class, and each least against its most.
    pub fn check(self, faults: &mut Faults, class: &str) -> Numbers<u32> {
        let (workers, others) =
            if class == MICRO { ((1, 1), (1, 1)) } else { ((1, WORKERS_MAX), (2, 5)) };
        let max_workers = faults.number("maxWorkers", self.max_workers, workers);
        let least = (1, i64::from(max_workers));
        let min_workers = faults.number("minWorkers", self.min_workers, least);
        let schedulers = faults.number("schedulers", self.schedulers, others);
        let max_webservers = faults.number("maxWebservers", self.max_webservers, others);
        let least = (others.0, i64::from(max_webservers));
        let min_webservers = faults.number("minWebservers", self.min_webservers, least);
        Numbers { min_workers, max_workers, schedulers, min_webservers, max_webservers }
    }
}

/// A class is any text in the model, and one of a few in the service.
pub fn check_class(faults: &mut Faults, class: &str) {
    faults.text("environmentClass", class, super::CLASS);
    faults.one_of("environmentClass", class, &CLASSES);
}

/// Whether a web server with two doors is there for the version.
pub fn check_access(faults: &mut Faults, mode: &str, version: &str) {
    let number = |part: &str| part.parse().unwrap_or(0);
    let version: Vec<u32> = version.split('.').map(number).collect();
    if mode == "PUBLIC_AND_PRIVATE" && version.as_slice() < &BOTH_DOORS_SINCE[..] {
        let rule = "Member must be PUBLIC_ONLY or PRIVATE_ONLY before Apache Airflow 3.2.1";
        faults.broken("webserverAccessMode", mode, rule);
    }
}

/// `section.option` to value.
pub fn check_options(faults: &mut Faults, options: &BTreeMap<String, String>) {
    for (key, value) in options {
        faults.text("airflowConfigurationOptions", key, CONFIG_KEY);
        let member = format!("airflowConfigurationOptions.{key}");
        faults.secret(&member, value, CONFIG_VALUE);
        if RESERVED_OPTIONS.contains(&key.as_str()) {
            let rule = "Member must not be an option that Amazon MWAA reserves";
            faults.broken("airflowConfigurationOptions", key, rule);
        }
    }
}

/// Tags as they are given to an environment.
pub fn check_tags(faults: &mut Faults, tags: &BTreeMap<String, String>) {
    faults.size("tags", tags.len(), (1, 50));
    for (key, value) in tags {
        faults.text("tags", key, TAG_KEY);
        faults.text(&format!("tags.{key}"), value, TAG_VALUE);
    }
}

/// A key, by its id or its ARN.
pub fn check_kms_key(faults: &mut Faults, key: &str) {
    faults.text("kmsKey", key, KMS_KEY);
    if key.contains("alias/") {
        // AWS: an alias passes the pattern and is refused all the same (user guide, encryption).
        faults.broken("kmsKey", key, "Member must be a key, not an alias of one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Numbers<Option<i64>> = Numbers {
        min_workers: None,
        max_workers: None,
        schedulers: None,
        min_webservers: None,
        max_webservers: None,
    };

    fn wrong(numbers: Numbers<Option<i64>>, class: &str) -> Vec<String> {
        let mut faults = Faults::default();
        numbers.or_defaults(class).check(&mut faults, class);
        faults.0.into_iter().map(|fault| fault.member).collect()
    }

    #[test]
    fn a_micro_environment_has_one_of_each_and_any_other_two_to_five() {
        let both = |count| Numbers {
            schedulers: Some(count),
            min_webservers: Some(count),
            max_webservers: Some(count),
            ..NONE
        };
        assert!(wrong(NONE, "mw1.micro").is_empty() && wrong(NONE, "mw1.small").is_empty());
        assert!(wrong(both(1), "mw1.micro").is_empty());
        let all = ["schedulers", "maxWebservers", "minWebservers"];
        assert_eq!(wrong(both(1), "mw1.small"), all);
        assert_eq!(wrong(both(6), "mw1.small"), all);
        assert!(wrong(both(5), "mw1.2xlarge").is_empty());
        assert_eq!(wrong(Numbers { max_workers: Some(2), ..NONE }, "mw1.micro"), ["maxWorkers"]);
    }

    #[test]
    fn the_least_is_not_more_than_the_most() {
        let numbers = Numbers { min_workers: Some(4), max_workers: Some(3), ..NONE };
        assert_eq!(wrong(numbers, "mw1.small"), ["minWorkers"]);
        assert_eq!(wrong(Numbers { min_workers: Some(11), ..NONE }, "mw1.small"), ["minWorkers"]);
        assert_eq!(wrong(Numbers { max_workers: Some(26), ..NONE }, "mw1.small"), ["maxWorkers"]);
        let web = Numbers { min_webservers: Some(3), ..NONE };
        assert_eq!(wrong(web, "mw1.small"), ["minWebservers"]);
    }

    #[test]
    fn two_doors_are_for_the_newest_versions() {
        for (version, fine) in [("2.10.3", false), ("3.0.6", false), ("3.2.1", true), ("3.3", true)]
        {
            let mut faults = Faults::default();
            check_access(&mut faults, "PUBLIC_AND_PRIVATE", version);
            check_access(&mut faults, "PRIVATE_ONLY", version);
            assert_eq!(faults.0.is_empty(), fine, "{version}");
        }
    }
}
