//! A folder of ordinary Kubernetes YAML, read and watched.
//!
//! All `*.yaml`, `*.yml` and `*.json` files below the folder are read, several documents a file, `kind: List` as well; hidden files and folders are
//! not. Every document is checked as an API server would check it. Then:
//!
//! - **One document harms no other.** Files are cut at `---` before they are parsed.
//! - **The last good state stays.** A document that becomes invalid leaves the object as it was before. If it cannot even be told
//!   which object it was (broken YAML), nothing that its file defined before is removed until the file can be read again. This holds for
//!   policies as well, so a broken edit never loosens one. At the start there is no last good state: a
//!   NetworkPolicy that is broken from the beginning never existed, as it would not with an API server that refused it.
//! - **The first definition wins.** If two documents define the same object, the first by (file, document) counts, and the other is a problem.
//! - `metadata.uid`, if absent, is derived from kind, namespace and name; `metadata.generation` counts the changes.
//!
//! - **A file counts when it is whole.** One that is being written is not read before it is closed, so that an editor, or a shell's `>`, that first empties
//!   a file deletes nothing.
//!
//! Changes are noticed by inotify, however the file is saved (in place, or by renaming another over it); a slow poll is the safety net where
//! events are lost (network file systems, a folder that is replaced as a whole).

mod batch;
mod document;
mod file;
mod folder;
mod foreign;
mod identity;
mod scan;
mod watch;

use std::{path::PathBuf, sync::Arc, time::Duration};

use heddle_resources::Cluster;

use crate::{Problem, Updates};
use folder::Folder;

/// Which folder, and how it is watched.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder.
    pub folder: PathBuf,
    /// How long it must be quiet before a burst of changes is read.
    pub quiet: Duration,
    /// A change is read after this long, however busy the folder is.
    pub patience: Duration,
    /// How long a file that somebody began to write and did not close is left alone after the last byte. What is read of it then may
    /// be half of it; without an end nobody would hear of a file that is never closed, or was cut by its path (truncate(2)).
    pub unfinished: Duration,
    /// How often the folder is looked at without an event.
    pub poll: Duration,
}

impl Settings {
    /// Watches a folder with the usual intervals: 20 ms quiet, 500 ms patience, a minute for what is unfinished, a poll every 5 s.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            quiet: Duration::from_millis(20),
            patience: Duration::from_millis(500),
            unfinished: Duration::from_secs(60),
            poll: Duration::from_secs(5),
        }
    }
}

/// The folder cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder {folder}: {source}")]
pub struct FolderError {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    pub source: std::io::Error,
}

/// Reads a folder once.
///
/// # Errors
/// The folder itself cannot be read. What is wrong inside it is among the problems.
pub fn read(folder: impl Into<PathBuf>) -> Result<(Arc<Cluster>, Vec<Problem>), FolderError> {
    let mut folder = Folder::open(folder.into())?;
    let update = folder.refresh(&batch::Visit::now(scan::Suspects::None));
    Ok((update.cluster, update.problems.to_vec()))
}

/// Reads a folder and watches it. Must be called inside a tokio runtime.
///
/// # Errors
/// The folder itself cannot be read now. If it vanishes later, that is a problem, and the last good state stays.
pub fn watch(settings: Settings) -> Result<Updates, FolderError> {
    let folder = Folder::open(settings.folder.clone())?;
    Ok(Updates::start(|publisher| {
        watch::run(folder, settings, publisher)
    }))
}

#[cfg(test)]
mod tests;
