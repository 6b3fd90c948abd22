//! Sets of names, of which streams that ask for the same hold one copy.
//!
//! Every node proxy of a mesh asks for the endpoints and routes of the same thousand Services. A tree of them for each stream was the
//! largest part of what a stream took.

use std::{
    collections::{BTreeSet, VecDeque},
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Sets known at a time. Streams of one kind go through the same few.
const KEPT: usize = 256;
/// Smaller sets are not worth looking for.
const WORTH_SHARING: usize = 32;

type Sorted = Arc<[Arc<str>]>;

/// A set that somebody may still hold, and the hash of its names.
type Known = (u64, Weak<[Arc<str>]>);

/// Finds the copy of a set that another stream holds.
#[derive(Debug, Default)]
pub struct NameSets {
    // Weak: a set goes with the last stream that holds it.
    known: Mutex<VecDeque<Known>>,
}

impl NameSets {
    /// The shared copy of these names, which are in order and differ.
    fn share(&self, names: Vec<Arc<str>>) -> Sorted {
        if names.len() < WORTH_SHARING {
            return names.into();
        }
        let mut hasher = DefaultHasher::new();
        names.hash(&mut hasher);
        let hash = hasher.finish();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(_, set)| set.strong_count() > 0);
        let same = known.iter().filter(|(other, _)| *other == hash);
        let same = same.filter_map(|(_, set)| set.upgrade());
        if let Some(set) = same.into_iter().find(|set| **set == *names) {
            return set;
        }
        let set = Sorted::from(names);
        if known.len() == KEPT {
            known.pop_front();
        }
        known.push_back((hash, Arc::downgrade(&set)));
        set
    }
}

/// A set of names: one that is shared, and in what this one differs from it.
#[derive(Debug)]
pub(super) struct Names {
    /// In order.
    base: Sorted,
    /// Not in `base`.
    added: BTreeSet<Arc<str>>,
    /// In `base`.
    dropped: BTreeSet<Arc<str>>,
    bytes: usize,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            base: Arc::new([]),
            added: BTreeSet::new(),
            dropped: BTreeSet::new(),
            bytes: 0,
        }
    }
}

impl Names {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.base.len() - self.dropped.len() + self.added.len()
    }

    /// Bytes of all names together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The copy of the name that is held.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<str>> {
        match self.in_base(name) {
            Some(known) => (!self.dropped.contains(name)).then_some(known),
            None => self.added.get(name),
        }
    }

    fn in_base(&self, name: &str) -> Option<&Arc<str>> {
        let at = self.base.binary_search_by(|known| (**known).cmp(name)).ok();
        at.map(|at| &self.base[at])
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        let kept = self.base.iter();
        let kept = kept.filter(|name| self.dropped.is_empty() || !self.dropped.contains(*name));
        kept.chain(&self.added)
    }

    /// Whether these, which are in order and differ, are all.
    pub(super) fn are(&self, names: &[&str]) -> bool {
        self.len() == names.len()
            && if self.added.is_empty() && self.dropped.is_empty() {
                self.base
                    .iter()
                    .map(|name| &**name)
                    .eq(names.iter().copied())
            } else {
                names.iter().all(|name| self.contains(name))
            }
    }

    /// Takes these, which are in order and differ, in place of all.
    pub(super) fn replace(&mut self, names: Vec<Arc<str>>, sets: &NameSets) {
        *self = Self {
            bytes: names.iter().map(|name| name.len()).sum(),
            base: sets.share(names),
            ..Self::default()
        };
    }

    pub(super) fn insert_all(&mut self, names: &[Arc<str>], sets: &NameSets) {
        if names.len() > self.tolerance() {
            let mut all: Vec<Arc<str>> = self.iter().chain(names).cloned().collect();
            all.sort_unstable();
            all.dedup();
            return self.replace(all, sets);
        }
        for name in names {
            let new = match self.in_base(name) {
                Some(_) => self.dropped.remove(name),
                None => self.added.insert(Arc::clone(name)),
            };
            if new {
                self.bytes += name.len();
            }
        }
        self.settle(sets);
    }

    /// Takes them out; gives those that were in.
    pub(super) fn take_all(&mut self, names: &[&str], sets: &NameSets) -> Vec<Arc<str>> {
        let mut taken = Vec::new();
        for name in names {
            let Some(known) = self.get(name).cloned() else {
                continue;
            };
            self.bytes -= known.len();
            if !self.added.remove(&known) {
                self.dropped.insert(Arc::clone(&known));
            }
            taken.push(known);
        }
        self.settle(sets);
        taken
    }

    /// How far the set may be from the shared one. An eighth, so that what names cost that come one by one does not grow with the set.
    fn tolerance(&self) -> usize {
        WORTH_SHARING / 2 + self.base.len() / 8
    }

    /// Goes over to another shared set when the difference has grown.
    fn settle(&mut self, sets: &NameSets) {
        if self.added.len() + self.dropped.len() <= self.tolerance() {
            return;
        }
        let mut names: Vec<Arc<str>> = self.iter().cloned().collect();
        names.sort_unstable();
        self.replace(names, sets);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(range: std::ops::Range<usize>) -> Vec<Arc<str>> {
        range.map(|n| format!("name-{n:04}").into()).collect()
    }

    /// The set with these taken in as so many requests.
    fn asked(names: &[Arc<str>], at_a_time: usize, sets: &NameSets) -> Names {
        let mut set = Names::default();
        for chunk in names.chunks(at_a_time) {
            set.insert_all(chunk, sets);
        }
        set
    }

    #[test]
    fn streams_that_ask_for_the_same_hold_one_set() {
        let sets = NameSets::default();
        let first = asked(&names(0..1000), 1000, &sets);
        // Other copies of the names, in another order.
        let reversed: Vec<_> = names(0..1000).into_iter().rev().collect();
        let second = asked(&reversed, 1000, &sets);
        assert!(Arc::ptr_eq(&first.base, &second.base));
        assert_eq!((second.added.len(), second.dropped.len()), (0, 0));
        let other = asked(&names(0..999), 999, &sets);
        assert!(!Arc::ptr_eq(&first.base, &other.base));
    }

    #[test]
    fn a_set_goes_with_the_last_that_holds_it() {
        let sets = NameSets::default();
        for size in 100..1000 {
            drop(asked(&names(0..size), size, &sets));
        }
        assert_eq!(sets.known.lock().unwrap().len(), 1);
    }

    #[test]
    fn no_more_sets_are_known_than_are_of_use() {
        let sets = NameSets::default();
        let held = (100..1000).map(|size| asked(&names(0..size), size, &sets));
        let held: Vec<_> = held.collect();
        assert_eq!(sets.known.lock().unwrap().len(), KEPT);
        drop(held);
    }

    #[test]
    fn names_that_come_one_by_one_end_up_mostly_in_a_shared_set() {
        let sets = NameSets::default();
        let first = asked(&names(0..1000), 1, &sets);
        let second = asked(&names(0..1000), 1, &sets);
        assert!(Arc::ptr_eq(&first.base, &second.base));
        assert!(first.base.len() > 800, "{}", first.base.len());
        assert_eq!(first.len(), 1000);
    }

    proptest! {
        #[test]
        fn it_is_a_set(acts in prop::collection::vec((0_u8..3, prop::collection::vec(0_usize..200, 0..80)), 0..20)) {
            let sets = NameSets::default();
            let (mut set, mut plain) = (Names::default(), BTreeSet::new());
            for (act, numbers) in acts {
                let named: Vec<Arc<str>> = numbers.iter().map(|n| names(*n..n + 1).remove(0)).collect();
                match act {
                    0 => {
                        set.insert_all(&named, &sets);
                        plain.extend(named.iter().cloned());
                    }
                    1 => {
                        let texts: Vec<&str> = named.iter().map(|name| &**name).collect();
                        let taken: BTreeSet<_> = set.take_all(&texts, &sets).into_iter().collect();
                        let expected: BTreeSet<_> = named.iter().filter(|name| plain.remove(*name)).cloned().collect();
                        prop_assert_eq!(taken, expected);
                    }
                    _ => {
                        plain = named.iter().cloned().collect();
                        set.replace(plain.iter().cloned().collect(), &sets);
                    }
                }
                prop_assert_eq!(set.len(), plain.len());
                prop_assert_eq!(set.bytes(), plain.iter().map(|name| name.len()).sum::<usize>());
                prop_assert_eq!(&set.iter().cloned().collect::<BTreeSet<_>>(), &plain);
                let texts: Vec<&str> = plain.iter().map(|name| &**name).collect();
                prop_assert!(set.are(&texts));
                prop_assert!(texts.is_empty() || !set.are(&texts[1..]));
                for name in names(0..200) {
                    prop_assert_eq!(set.contains(&name), plain.contains(&name));
                }
            }
        }
    }
}
