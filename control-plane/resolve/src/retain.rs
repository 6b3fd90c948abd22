//! Keeping what did not change: an entry that comes out equal keeps its `Arc`, so that the next step sees by its address
//! that there is nothing to do.

use std::{collections::BTreeMap, sync::Arc};

/// Puts, replaces or (with `None`) removes one entry; tells whether anything is different now.
pub(crate) fn put<K: Ord, V: PartialEq>(
    map: &mut BTreeMap<K, Arc<V>>,
    key: K,
    value: Option<V>,
) -> bool {
    match value {
        None => map.remove(&key).is_some(),
        Some(value) => {
            if map.get(&key).is_some_and(|old| **old == value) {
                return false;
            }
            map.insert(key, Arc::new(value));
            true
        }
    }
}

/// Replaces the whole map.
pub(crate) fn replace<K: Ord + Clone, V: PartialEq>(
    map: &mut BTreeMap<K, Arc<V>>,
    new: BTreeMap<K, V>,
) {
    map.retain(|key, _| new.contains_key(key));
    for (key, value) in new {
        put(map, key, Some(value));
    }
}
