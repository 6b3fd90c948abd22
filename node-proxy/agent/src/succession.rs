//! One node proxy after the other on the same node (docs/decisions/0008).
//!
//! ```text
//! new                                            old
//!  │ connects; gets configuration, certificates   │ serves
//!  ├── ASK ──────────────────────────────────────▶│
//!  │◀───────────────────── listening sockets ─────┤ serves, leaves the node to the new one
//!  │ captures, keeps plugin and conditions        │
//!  │                                              ✗ told to end: drains
//! ```
//!
//! The connection stays open for as long as both live: when the new one dies first, the old one takes the node back. An old one that is told
//! to end while the new one is not ready yet hands its sockets over unasked.

mod predecessor;
mod successors;
#[cfg(test)]
mod tests;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

pub(crate) use predecessor::{Inheritance, Predecessor};
pub(crate) use successors::Successors;

use crate::arguments::Arguments;

/// What a new one says when it wants the sockets.
const ASK: u8 = b'T';
/// For all sockets to come over.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a predecessor is found, and a successor finds us; `None`: there is no such thing here.
pub(crate) fn place(arguments: &Arguments) -> Option<PathBuf> {
    let beside = |socket: &PathBuf| socket.with_file_name("handover.sock");
    let named = arguments.handover_socket.clone();
    named.or_else(|| arguments.cni_socket.as_ref().map(beside))
}

/// Opens a socket in the place of whoever had it. Under another name first: nobody connects before only root may.
pub(crate) fn bind(path: &Path) -> std::io::Result<tokio::net::UnixListener> {
    use std::{fs, io, os::unix::fs::PermissionsExt};
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let new: PathBuf = path.with_extension(format!("{}.new", std::process::id()));
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = tokio::net::UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600))?;
    fs::rename(&new, path)?;
    Ok(listener)
}
