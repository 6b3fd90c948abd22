//! Whether everything that was asked for on a stream has been answered once.

use std::collections::{BTreeMap, BTreeSet};

use crate::session::WILDCARD;

/// Names, by type URL, of which nothing was heard since they were asked for. A wildcard counts as a name.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    awaited: BTreeMap<String, BTreeSet<String>>,
}

impl Progress {
    /// Names that are asked for now and that the client does not have.
    pub(crate) fn asked(&mut self, type_url: &str, names: impl IntoIterator<Item = String>) {
        let awaited = self.awaited.entry(type_url.to_owned()).or_default();
        awaited.extend(names);
    }

    /// Names that are of no interest any more.
    pub(crate) fn dropped<'a>(
        &mut self,
        type_url: &str,
        names: impl IntoIterator<Item = &'a String>,
    ) {
        if let Some(awaited) = self.awaited.get_mut(type_url) {
            for name in names {
                awaited.remove(name);
            }
        }
    }

    /// Awaits no names any more; wildcards are awaited for as long as it takes.
    pub(crate) fn give_up(&mut self) {
        for names in self.awaited.values_mut() {
            names.retain(|name| name == WILDCARD);
        }
    }

    /// Nothing is awaited.
    pub(crate) fn is_complete(&self) -> bool {
        self.awaited.values().all(BTreeSet::is_empty)
    }
}
