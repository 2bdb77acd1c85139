//! What to do so that the bucket follows the folder. Pure.

use std::collections::BTreeMap;

use super::scan::Digest;
use crate::id::ObjectKey;

/// What lies under each key.
pub(super) type Snapshot = BTreeMap<ObjectKey, Digest>;

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Put(ObjectKey),
    Delete(ObjectKey),
}

/// The steps from what we last mirrored to what is there now.
pub(super) fn plan(base: &Snapshot, folder: &Snapshot) -> Vec<Change> {
    let puts = folder.iter().filter(|(key, digest)| base.get(*key) != Some(*digest));
    let gone = base.keys().filter(|key| !folder.contains_key(*key));
    puts.map(|(key, _)| Change::Put(key.clone()))
        .chain(gone.map(|key| Change::Delete(key.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn snapshot() -> impl Strategy<Value = Snapshot> {
        proptest::collection::btree_map(
            "[a-c]{1,2}".prop_map(|key| ObjectKey::parse(key).unwrap()),
            (0u8..3).prop_map(|byte| Digest::of(&[byte])),
            0..6,
        )
    }

    fn apply(mut base: Snapshot, folder: &Snapshot, changes: &[Change]) -> Snapshot {
        for change in changes {
            match change {
                Change::Put(key) => {
                    base.insert(key.clone(), folder[key]);
                }
                Change::Delete(key) => {
                    base.remove(key);
                }
            }
        }
        base
    }

    proptest! {
        #[test]
        fn the_steps_lead_to_the_folder_and_then_there_is_nothing_to_do(
            base in snapshot(),
            folder in snapshot(),
        ) {
            let changes = plan(&base, &folder);
            prop_assert_eq!(&apply(base, &folder, &changes), &folder);
            prop_assert!(plan(&folder, &folder).is_empty());
        }
    }
}
