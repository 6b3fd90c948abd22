//! Which files a burst of events is about, and when it is over.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use notify::{
    Event, EventKind,
    event::{AccessKind, AccessMode, CreateKind, ModifyKind},
};
use tokio::time::Instant;

use super::{
    Settings,
    scan::{Found, Look, Suspects},
};

/// Changes that lie further in the future come from another clock (a network file system).
const LONGEST_VISIT: Duration = Duration::from_secs(10);

/// How much of a file that somebody has begun to write can be believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// It was made and is not closed. A link is made and never closed, but has content at once.
    Made,
    /// Something was written, or all was cut off, and it is not closed.
    Written,
}

/// The events that have not led to a visit yet, and the files whose end is still to come.
#[derive(Debug, Default)]
pub(super) struct Batch {
    touched: BTreeSet<PathBuf>,
    unfinished: BTreeMap<PathBuf, (Begun, Instant)>,
    /// Events were lost.
    lost: bool,
}

impl Batch {
    /// Adds what the watcher reports.
    pub(super) fn add(&mut self, event: notify::Result<Event>) {
        let Ok(event) = event else {
            return self.lose();
        };
        if event.need_rescan() {
            self.lose();
        }
        match event.kind {
            EventKind::Access(AccessKind::Close(AccessMode::Write))
            | EventKind::Modify(ModifyKind::Name(_))
            | EventKind::Remove(_) => {
                self.unfinished
                    .retain(|path, _| !event.paths.contains(path));
            }
            // Reading changes nothing.
            EventKind::Access(_) => return,
            EventKind::Create(CreateKind::File) => self.begin(&event.paths, Begun::Made),
            EventKind::Modify(ModifyKind::Data(_)) => self.begin(&event.paths, Begun::Written),
            _ => {}
        }
        self.touched.extend(event.paths);
    }

    fn begin(&mut self, paths: &[PathBuf], how: Begun) {
        let now = Instant::now();
        self.unfinished
            .extend(paths.iter().map(|path| (path.clone(), (how, now))));
    }

    /// Whoever lost events does not know what was closed either.
    fn lose(&mut self) {
        self.lost = true;
        self.unfinished.clear();
    }

    /// Forgets files that nobody has written to for so long that their end is not awaited any more.
    pub(super) fn give_up(&mut self, patience: Duration) {
        self.unfinished
            .retain(|_, (_, since)| since.elapsed() < patience);
    }

    /// Whether there is something to be read.
    pub(super) fn has_news(&self) -> bool {
        self.lost || self.finished().next().is_some()
    }

    fn finished(&self) -> impl Iterator<Item = &PathBuf> {
        self.touched
            .iter()
            .filter(|path| !self.unfinished.contains_key(*path))
    }

    /// What can be read now: everything that was touched, without what is being written. `over`: the burst is; else what it
    /// touched remains to be looked at once more, because the visit passes over what changed at the last moment.
    pub(super) fn visit(&mut self, settings: &Settings, over: bool) -> Visit {
        let suspects = match self.lost {
            true => Suspects::All,
            false => Suspects::These(self.finished().cloned().collect()),
        };
        if over {
            self.touched.clear();
            self.lost = false;
        }
        self.visit_for(suspects, settings)
    }

    /// A look at everything that looks different.
    pub(super) fn poll(&self, settings: &Settings) -> Visit {
        self.visit_for(Suspects::None, settings)
    }

    fn visit_for(&self, suspects: Suspects, settings: &Settings) -> Visit {
        let begun = self.unfinished.iter();
        Visit {
            suspects,
            unfinished: begun.map(|(path, (how, _))| (path.clone(), *how)).collect(),
            made: SystemTime::now(),
            quiet: settings.quiet,
            unheard: settings.patience.max(settings.quiet),
        }
    }
}

/// One look at the folder: what is read again, and what is left as it was.
#[derive(Debug)]
pub(super) struct Visit {
    suspects: Suspects,
    unfinished: BTreeMap<PathBuf, Begun>,
    /// When it was decided on.
    made: SystemTime,
    /// A suspect that changed within this time before is changing again, and the event that tells of it is on its way.
    quiet: Duration,
    /// The same for what merely looks different: an event about it may be late.
    unheard: Duration,
}

impl Visit {
    /// Reads all that is suspected or looks different, as it is at this moment.
    pub(super) fn now(suspects: Suspects) -> Self {
        Self {
            suspects,
            unfinished: BTreeMap::new(),
            made: SystemTime::now(),
            quiet: Duration::ZERO,
            unheard: Duration::ZERO,
        }
    }

    /// Whether a file must be read even if it looks as before.
    pub(super) fn suspects(&self, path: &Path) -> bool {
        self.suspects.contains(path)
    }

    /// Whether a file may be half written: what was read of it before stays.
    pub(super) fn postpones(&self, found: &Found) -> bool {
        let Ok(look) = &found.look else { return false };
        let begun = match self.unfinished.get(&found.path) {
            Some(Begun::Written) => true,
            Some(Begun::Made) => look.bytes == 0,
            None => false,
        };
        let window = match self.suspects(&found.path) {
            true => self.quiet,
            false => self.unheard,
        };
        begun || self.is_hot(look, window)
    }

    /// Changed a moment before the visit was decided on, or since.
    fn is_hot(&self, look: &Look, window: Duration) -> bool {
        let changed = look.changed_at();
        !window.is_zero() && self.made < changed + window && changed < self.made + LONGEST_VISIT
    }
}
