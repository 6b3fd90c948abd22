//! Which files are in the folder, and which of them may have changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::file::is_manifest;

/// Folders inside folders are followed this deep.
const MOST_DEPTH: usize = 16;

/// Files whose content may be another although they look the same.
#[derive(Debug)]
pub(super) enum Suspects {
    /// None: only what looks different is read again.
    None,
    /// These, and everything inside of those that are folders.
    These(BTreeSet<PathBuf>),
    /// Any.
    All,
}

impl Suspects {
    /// Whether a file is among them.
    pub(super) fn contains(&self, path: &Path) -> bool {
        match self {
            Self::None => false,
            Self::These(paths) => path.ancestors().any(|part| paths.contains(part)),
            Self::All => true,
        }
    }
}

/// What a file looks like from outside. Another look means that it must be read again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    inode: u64,
    pub(super) bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Look {
    /// Looks at a file.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|metadata| Self::of(&metadata))
    }

    /// When its content or its entry changed last. Unlike the modification time, no program can set it.
    pub(super) fn changed_at(&self) -> SystemTime {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::new(
            u64::try_from(seconds).unwrap_or_default(),
            u32::try_from(nanoseconds).unwrap_or_default(),
        );
        SystemTime::UNIX_EPOCH + since
    }

    fn of(metadata: &fs::Metadata) -> Self {
        Self {
            inode: metadata.ino(),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

/// A file in the folder.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// `Err`: it is there, but cannot be looked at.
    pub(super) look: io::Result<Look>,
}

/// All manifests below a folder, by their path relative to it.
///
/// # Errors
/// The folder itself, or one inside it, cannot be listed: then it is not known what is gone.
pub(super) fn scan(root: &Path) -> io::Result<BTreeMap<Arc<str>, Found>> {
    let mut found = BTreeMap::new();
    list(root, "", 0, &mut found)?;
    Ok(found)
}

fn list(
    folder: &Path,
    prefix: &str,
    depth: usize,
    found: &mut BTreeMap<Arc<str>, Found>,
) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
            continue;
        };
        let path = entry.path();
        let relative = format!("{prefix}{name}");
        // Links to files are followed, links to folders are not: they can form circles.
        if entry.file_type()?.is_dir() {
            if depth < MOST_DEPTH {
                gone_is_empty(list(&path, &format!("{relative}/"), depth + 1, found))?;
            }
        } else if is_manifest(name) {
            let look = match fs::metadata(&path) {
                Ok(metadata) if !metadata.is_file() => continue,
                Ok(metadata) => Ok(Look::of(&metadata)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => Err(error),
            };
            found.insert(relative.into(), Found { path, look });
        }
    }
    Ok(())
}

/// A folder that vanished between its listing and ours has nothing in it.
fn gone_is_empty(listed: io::Result<()>) -> io::Result<()> {
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
