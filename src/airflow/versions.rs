//! Which version of Airflow an environment can be taken to in place.

use super::Recipe;

/// Why an environment keeps its version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Another major has another REST API, another way for tasks to reach the database, other imports for DAGs.
    #[error(
        "Airflow {from} and {to} are different majors: DAGs, clients and the database change with them, so this takes a new environment"
    )]
    Major { from: String, to: String },
    /// The older version does not know the newer one's tables.
    #[error("Airflow {to} is older than {from}, and its database cannot be taken back")]
    Older { from: String, to: String },
}

/// Whether an environment of version `from` can become `to`: upwards, and within a major.
// Divergence(version-change): MWAA also takes an environment down, and from 2.11 to 3.
pub fn move_in_place(from: &str, to: &Recipe) -> Result<(), Refused> {
    let numbers = |version: &str| -> Vec<u32> {
        version.split('.').filter_map(|part| part.parse().ok()).collect()
    };
    let (from_numbers, to_numbers) = (numbers(from), numbers(to.version));
    let (from, to) = (from.to_owned(), to.version.to_owned());
    if from_numbers.first() != to_numbers.first() {
        return Err(Refused::Major { from, to });
    }
    if from_numbers > to_numbers {
        return Err(Refused::Older { from, to });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::recipe;
    use super::*;

    #[test]
    fn an_environment_goes_up_within_its_major() {
        let to = |version| recipe(version).expect("the recipe is there");
        assert_eq!(move_in_place("2.9.2", to("2.10.3")), Ok(()));
        assert_eq!(move_in_place("2.10.3", to("2.10.3")), Ok(()));
        assert!(matches!(move_in_place("2.11.0", to("2.10.3")), Err(Refused::Older { .. })));
        assert!(matches!(move_in_place("2.11.2", to("3.3.1")), Err(Refused::Major { .. })));
        assert!(matches!(move_in_place("3.3.1", to("2.10.3")), Err(Refused::Major { .. })));
    }
}
