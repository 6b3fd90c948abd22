//! What was made of which input.

use std::{collections::BTreeMap, sync::Arc};

use heddle_snapshot::{Resource, TypeUrl};

use crate::resources::Resources;

/// Everything that a resource of one kind depends on.
pub(crate) trait Unit: PartialEq {
    /// What the unit is called within its kind.
    type Key: Ord + Clone;

    /// Makes its resource. Called only when the unit is new or differs from the last one under the same key.
    fn build(&self, key: &Self::Key) -> Resource;
}

/// The units of one kind as they were last seen, each with the name of its resource.
///
/// Units are compared with `==`; their large parts are `Arc`s of `Eq` values, which compare by address first. An entry
/// that did not change therefore costs one comparison of pointers.
#[derive(Debug)]
pub(crate) struct Memo<U: Unit> {
    known: BTreeMap<U::Key, Known<U>>,
    round: u64,
}

#[derive(Debug)]
struct Known<U> {
    unit: U,
    resource: (TypeUrl, Arc<str>),
    /// The last round in which the unit existed.
    round: u64,
}

impl<U: Unit> Default for Memo<U> {
    fn default() -> Self {
        Self {
            known: BTreeMap::new(),
            round: 0,
        }
    }
}

impl<U: Unit> Memo<U> {
    /// Brings the resources up to date with the units that exist now, each key once. Returns how many were encoded.
    pub(crate) fn update(
        &mut self,
        units: impl IntoIterator<Item = (U::Key, U)>,
        resources: &mut Resources,
    ) -> usize {
        self.update_with(units, resources, U::build)
    }

    /// The same with another way to make the same resource.
    pub(crate) fn update_with(
        &mut self,
        units: impl IntoIterator<Item = (U::Key, U)>,
        resources: &mut Resources,
        mut build: impl FnMut(&U, &U::Key) -> Resource,
    ) -> usize {
        self.round += 1;
        let mut encoded = 0;
        let mut present = 0;
        for (key, unit) in units {
            present += 1;
            encoded += usize::from(self.take(key, unit, resources, &mut build));
        }
        if self.known.len() > present {
            self.forget(resources);
        }
        encoded
    }

    /// Brings these up to date, as far as they are known, and leaves all others as they are. Returns how many were encoded.
    pub(crate) fn refresh(
        &mut self,
        units: impl IntoIterator<Item = (U::Key, U)>,
        resources: &mut Resources,
    ) -> usize {
        let mut encoded = 0;
        for (key, unit) in units {
            if self.known.contains_key(&key) {
                encoded += usize::from(self.take(key, unit, resources, &mut U::build));
            }
        }
        encoded
    }

    /// Tells whether it was encoded.
    fn take(
        &mut self,
        key: U::Key,
        unit: U,
        resources: &mut Resources,
        build: &mut impl FnMut(&U, &U::Key) -> Resource,
    ) -> bool {
        if let Some(known) = self.known.get_mut(&key)
            && known.unit == unit
        {
            known.round = self.round;
            return false;
        }
        let resource = resources.put(Arc::new(build(&unit, &key)));
        let known = Known {
            unit,
            resource: (resource.type_url, Arc::clone(&resource.name)),
            round: self.round,
        };
        self.known.insert(key, known);
        true
    }

    fn forget(&mut self, resources: &mut Resources) {
        let round = self.round;
        self.known.retain(|_, known| {
            let keep = known.round == round;
            if !keep {
                resources.remove(known.resource.0, &known.resource.1);
            }
            keep
        });
    }
}
