//! The resources of one type.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use heddle_proto::google::protobuf::Any;

use crate::{Nack, Update, decode::DecodeError};

/// The good resources of one type, by name.
#[derive(Debug)]
pub(super) struct Kept<T> {
    entries: BTreeMap<Arc<str>, Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    version: String,
    /// As it was sent, for the last good configuration.
    body: Any,
    value: T,
}

/// One resource that is not what it was.
#[derive(Debug)]
pub(super) struct Change<T> {
    pub(super) name: Arc<str>,
    /// `None`: new.
    pub(super) old: Option<T>,
    /// `None`: gone.
    pub(super) new: Option<T>,
}

/// What an update did.
#[derive(Debug)]
pub(super) struct Outcome<T> {
    pub(super) changes: Vec<Change<T>>,
    pub(super) nacks: Vec<Nack>,
}

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
        }
    }
}

impl<T: Clone> Kept<T> {
    /// Takes the good resources of an update in; a bad one leaves what was there.
    pub(super) fn apply(
        &mut self,
        update: Update,
        decode: impl Fn(&str, &Any) -> Result<T, DecodeError>,
    ) -> Outcome<T> {
        let mut outcome = Outcome {
            changes: Vec::new(),
            nacks: Vec::new(),
        };
        let kind = update
            .type_url
            .rsplit('.')
            .next()
            .unwrap_or_default()
            .to_owned();
        let mut nack = |name: String, problem: &dyn std::fmt::Display| {
            let message = format!("{kind} {name}: {problem}");
            outcome.nacks.push(Nack { name, message });
        };
        let mut seen = BTreeSet::new();
        for (name, version, body) in update.resources {
            if !seen.insert(name.clone()) {
                nack(name, &"stands twice in one response");
                continue;
            }
            if let Some(known) = self.entries.get_mut(&*name)
                && known.body == body
            {
                known.version = version;
                continue;
            }
            match decode(&name, &body) {
                Ok(value) => outcome
                    .changes
                    .push(self.put(name.into(), version, body, value)),
                Err(error) => nack(name, &error),
            }
        }
        let gone = update.removed.iter().filter_map(|name| self.remove(name));
        outcome.changes.extend(gone);
        outcome
    }

    fn put(&mut self, name: Arc<str>, version: String, body: Any, value: T) -> Change<T> {
        let entry = Entry {
            version,
            body,
            value: value.clone(),
        };
        let old = self.entries.insert(Arc::clone(&name), entry);
        Change {
            name,
            old: old.map(|entry| entry.value),
            new: Some(value),
        }
    }

    fn remove(&mut self, name: &str) -> Option<Change<T>> {
        let (name, entry) = self.entries.remove_entry(name)?;
        Some(Change {
            name,
            old: Some(entry.value),
            new: None,
        })
    }

    /// Drops what is not in the set; returns the names of what was dropped.
    pub(super) fn retain(&mut self, wanted: &BTreeSet<String>) -> Vec<Arc<str>> {
        let unwanted: Vec<Arc<str>> = self
            .entries
            .keys()
            .filter(|name| !wanted.contains(&***name))
            .cloned()
            .collect();
        for name in &unwanted {
            self.entries.remove(name);
        }
        unwanted
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &T)> {
        self.entries
            .iter()
            .map(|(name, entry)| (name, &entry.value))
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.entries.get(name).map(|entry| &entry.value)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    pub(super) fn versions(&self) -> HashMap<String, String> {
        let version =
            |(name, entry): (&Arc<str>, &Entry<T>)| (name.to_string(), entry.version.clone());
        self.entries.iter().map(version).collect()
    }

    /// All of them, as they were sent.
    pub(super) fn as_update(&self, type_url: &str) -> Update {
        self.as_update_of(type_url, |_| true)
    }

    /// Some of them, as they were sent.
    pub(super) fn as_update_of(&self, type_url: &str, wanted: impl Fn(&T) -> bool) -> Update {
        let resource = |(name, entry): (&Arc<str>, &Entry<T>)| {
            (name.to_string(), entry.version.clone(), entry.body.clone())
        };
        let entries = self
            .entries
            .iter()
            .filter(|(_, entry)| wanted(&entry.value));
        Update {
            type_url: type_url.to_owned(),
            resources: entries.map(resource).collect(),
            removed: Vec::new(),
        }
    }
}
