//! Roots on disk.
//!
//! Our own: `rotation.json`, and for each root `root-N.crt` and `root-N.key` (mode 0600). A user's own CA: `tls.crt`, `tls.key` and,
//! for an intermediate, `ca.crt` with the roots (the layout of cert-manager's Secrets); then nothing is written.

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::{Authority, AuthorityError, RootId, Rotation};

/// Why the CA's folder cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refuses.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file holds something else.
    #[error("{path}: {source}")]
    Authority {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: AuthorityError,
    },
    /// There is nothing to sign with.
    #[error(
        "{path} holds no root that signs; restore it from a backup, or remove it whole to begin with a new root"
    )]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// The record of the rotation is damaged.
    #[error(
        "{path} is damaged: {source}; restore it from a backup, or remove the folder to begin with a new root"
    )]
    Rotation {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// A CA's folder.
#[derive(Clone, Debug)]
pub(crate) struct Store(PathBuf);

impl Store {
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(folder).map_err(|source| io_error(folder, source))?;
        Ok(Self(folder.to_owned()))
    }

    /// A user's own CA, if there is one: the signer, and what follows it in a chain and in the bundle.
    pub(crate) fn external(&self) -> Result<Option<(Authority, String)>, StoreError> {
        let path = self.0.join("tls.crt");
        let Some(certificate) = self.read("tls.crt")? else {
            return Ok(None);
        };
        let key = self.read("tls.key")?.unwrap_or_default();
        let authority = Authority::load(&certificate, &key)
            .map_err(|source| StoreError::Authority { path, source })?;
        let bundle = match self.read("ca.crt")? {
            Some(roots) => roots,
            None => certificate,
        };
        Ok(Some((authority, bundle)))
    }

    pub(crate) fn rotation(&self) -> Result<Rotation, StoreError> {
        let path = self.0.join("rotation.json");
        match self.read("rotation.json")? {
            None => Ok(Rotation::default()),
            Some(text) => {
                serde_json::from_str(&text).map_err(|source| StoreError::Rotation { path, source })
            }
        }
    }

    pub(crate) fn root(&self, id: RootId) -> Result<Authority, StoreError> {
        let name = format!("root-{id}.crt");
        let certificate = self.read(&name)?.unwrap_or_default();
        let key = self.read(&format!("root-{id}.key"))?.unwrap_or_default();
        Authority::load(&certificate, &key).map_err(|source| StoreError::Authority {
            path: self.0.join(name),
            source,
        })
    }

    pub(crate) fn write_root(&self, id: RootId, root: &Authority) -> Result<(), StoreError> {
        self.write(&format!("root-{id}.key"), root.key_pem())?;
        self.write(&format!("root-{id}.crt"), root.certificate_pem())
    }

    /// The key goes first, so that a crash in between leaves no key without its certificate behind.
    pub(crate) fn remove_root(&self, id: RootId) -> Result<(), StoreError> {
        for name in [format!("root-{id}.key"), format!("root-{id}.crt")] {
            let path = self.0.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(io_error(&path, source));
                }
                _ => {}
            }
        }
        Ok(())
    }

    pub(crate) fn write_rotation(&self, rotation: &Rotation) -> Result<(), StoreError> {
        let path = self.0.join("rotation.json");
        let text = serde_json::to_string_pretty(rotation)
            .map_err(|source| StoreError::Rotation { path, source })?;
        self.write("rotation.json", &text)
    }

    fn read(&self, name: &str) -> Result<Option<String>, StoreError> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(io_error(&path, source)),
        }
    }

    /// Whole or not at all, readable by the owner only.
    fn write(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let (path, fresh) = (self.0.join(name), self.0.join(format!(".{name}.new")));
        let write = || {
            let mut options = fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&fresh)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&fresh, &path)
        };
        write().map_err(|source| io_error(&path, source))
    }
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io {
        path: path.to_owned(),
        source,
    }
}
