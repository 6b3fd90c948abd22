//! Which files a burst of events is about, and when it is over.

use std::{collections::BTreeSet, path::PathBuf};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, ModifyKind},
};

use super::scan::Suspects;

/// A burst of events.
#[derive(Debug, Default)]
pub(super) struct Batch {
    touched: BTreeSet<PathBuf>,
    /// Files that are being written and have not been closed.
    open: BTreeSet<PathBuf>,
    /// Events were lost.
    lost: bool,
}

impl Batch {
    /// Adds what the watcher reports; tells whether it concerns us at all (reading a file does not).
    pub(super) fn add(&mut self, event: notify::Result<Event>) -> bool {
        let Ok(event) = event else {
            self.lost = true;
            return true;
        };
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Remove(_) => {
                self.open.retain(|path| !event.paths.contains(path));
            }
            EventKind::Access(_) => return false,
            EventKind::Modify(ModifyKind::Data(_)) => self.open.extend(event.paths.iter().cloned()),
            _ => {}
        }
        self.lost |= event.need_rescan();
        self.touched.extend(event.paths);
        true
    }

    /// Whether a file may be half written at this moment.
    pub(super) fn is_being_written(&self) -> bool {
        !self.open.is_empty()
    }

    /// What must be read again.
    pub(super) fn suspects(self) -> Suspects {
        if self.lost {
            Suspects::All
        } else {
            Suspects::These(self.touched)
        }
    }
}
