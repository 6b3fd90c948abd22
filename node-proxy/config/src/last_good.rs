//! The last good configuration on disk: what a proxy starts with when no control plane answers.
//!
//! One file: a line that names the format, the BLAKE3 hash of the rest, then one length-delimited
//! `envoy.service.discovery.v3.DeltaDiscoveryResponse` for each type, holding the resources as they were sent. It is
//! written whole beside its place and then moved there, so a reader sees the old one or the new one. A file that is damaged
//! or of another format is an error value: the proxy says so and starts empty.
//!
//! The file holds policies and addresses but no keys. Who can write it decides what the proxy does, so it is made for its
//! owner alone (mode 0600).

use std::{
    fs, io,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use heddle_proto::{
    Message,
    envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource},
};

use crate::Update;

/// First line. The number changes with the format.
const FORMAT: &[u8] = b"heddle last good configuration 1\n";
/// Bytes of a BLAKE3 hash.
const HASH: usize = 32;

/// Why there is no last good configuration.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read; `NotFound` for a first start.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no such file, or one of another version.
    #[error("{0} is not a last good configuration of format 1")]
    Format(PathBuf),
    /// Its content is not what was written.
    #[error("{0} is damaged")]
    Damaged(PathBuf),
}

/// Writes the configuration ([`Store::good`](crate::Store::good)). Blocks on the disk.
pub fn save(path: &Path, updates: &[Update]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(&encode(updates))?;
    // On disk before it is in place: after a power cut there must not be an empty file under the good name.
    file.sync_all()?;
    fs::rename(&beside, path)?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or_else(|| Path::new(".")))?.sync_all()
}

/// Reads the configuration; apply the updates to a [`Store`](crate::Store) in order. Blocks on the disk.
pub fn load(path: &Path) -> Result<Vec<Update>, LoadError> {
    let bytes = fs::read(path).map_err(|source| LoadError::Read {
        path: path.to_owned(),
        source,
    })?;
    match decode(&bytes) {
        Ok(updates) => Ok(updates),
        Err(Damage::Format) => Err(LoadError::Format(path.to_owned())),
        Err(Damage::Content) => Err(LoadError::Damaged(path.to_owned())),
    }
}

/// The content of the file.
pub fn encode(updates: &[Update]) -> Vec<u8> {
    let body: Vec<u8> = updates
        .iter()
        .flat_map(|update| message(update).encode_length_delimited_to_vec())
        .collect();
    let hash = blake3::hash(&body);
    [FORMAT, hash.as_bytes(), &body].concat()
}

fn message(update: &Update) -> DeltaDiscoveryResponse {
    let resource = |(name, version, body): &(String, String, _)| Resource {
        name: name.clone(),
        version: version.clone(),
        resource: Some(Clone::clone(body)),
        ..Resource::default()
    };
    DeltaDiscoveryResponse {
        type_url: update.type_url.clone(),
        resources: update.resources.iter().map(resource).collect(),
        ..DeltaDiscoveryResponse::default()
    }
}

/// What is wrong with the content of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The first line is another.
    Format,
    /// The rest is not what was written.
    Content,
}

/// Reads the content of the file. Never panics, whatever the bytes.
pub fn decode(bytes: &[u8]) -> Result<Vec<Update>, Damage> {
    let rest = bytes.strip_prefix(FORMAT).ok_or(Damage::Format)?;
    let (hash, mut body) = rest.split_at_checked(HASH).ok_or(Damage::Content)?;
    if blake3::hash(body).as_bytes() != hash {
        return Err(Damage::Content);
    }
    let mut updates = Vec::new();
    while !body.is_empty() {
        let message = DeltaDiscoveryResponse::decode_length_delimited(&mut body)
            .map_err(|_| Damage::Content)?;
        updates.push(update(message));
    }
    Ok(updates)
}

fn update(message: DeltaDiscoveryResponse) -> Update {
    let resource = |r: Resource| Some((r.name, r.version, r.resource?));
    Update {
        type_url: message.type_url,
        resources: message.resources.into_iter().filter_map(resource).collect(),
        removed: Vec::new(),
    }
}
