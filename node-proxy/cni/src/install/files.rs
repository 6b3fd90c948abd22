//! Files that are whole at any moment.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use super::{InstallError, at};

/// Mode and owner.
pub(super) struct Permissions {
    mode: u32,
    /// `None`: ours.
    owner: Option<(u32, u32)>,
}

impl Permissions {
    pub(super) const EXECUTABLE: Self = Self {
        mode: 0o755,
        owner: None,
    };

    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            mode: metadata.mode() & 0o7777,
            owner: Some((metadata.uid(), metadata.gid())),
        })
    }
}

/// Replaces a file, or makes it; a reader sees the old or the new one.
pub(super) fn write(path: &Path, content: &[u8], permissions: &Permissions) -> io::Result<()> {
    let temporary = temporary(path);
    let written = fill(&temporary, content, permissions)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| sync_folder(path));
    if written.is_err() {
        // Whether it is there or not: the error to tell is the first.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn fill(path: &Path, content: &[u8], permissions: &Permissions) -> io::Result<()> {
    // Left by a process that was killed: not to be trusted.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    let own = file.metadata()?;
    if let Some((user, group)) = permissions.owner
        && (own.uid(), own.gid()) != (user, group)
    {
        fchown(&file, Some(user), Some(group))?;
    }
    file.set_permissions(fs::Permissions::from_mode(permissions.mode))?;
    file.sync_all()
}

/// In the same folder, under a name that runtimes do not read.
fn temporary(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".heddle-new");
    path.with_file_name(name)
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent()
        .map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

pub(super) fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o777 == 0o755)
}

/// The files of a folder whose names end so, sorted by name.
pub(super) fn with_extension(
    folder: &Path,
    extensions: &[&str],
) -> Result<Vec<(PathBuf, OsString)>, InstallError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let entry = entry.map_err(at(folder))?;
        let (path, name) = (entry.path(), entry.file_name());
        let matches = path
            .extension()
            .and_then(|extension| extension.to_str())
            .is_some_and(|extension| extensions.contains(&extension));
        if matches && path.is_file() {
            found.push((path, name));
        }
    }
    found.sort_by(|(_, a), (_, b)| a.cmp(b));
    Ok(found)
}
