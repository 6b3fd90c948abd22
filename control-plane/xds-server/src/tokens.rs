//! Bootstrap tokens out of a file: authentication without Kubernetes.
//!
//! ```yaml
//! tokens:
//!   - node: node-a
//!     token: "a long random string"
//!     expires: 2030-01-01T00:00:00Z   # optional
//!   - identity: spiffe://cluster.local/ns/shop/sa/cart   # a workload that speaks for itself, in place of a node
//!     token: "another one"
//! ```
//!
//! The file is read at each check, which is rare (a stream opens, or is checked again); a file that broke leaves the last
//! good table in force. Tokens are kept as hashes only.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use futures::future::BoxFuture;

use crate::{AuthError, Authenticate, NodeIdentity, Token};

/// Longest node name (RFC 1123 subdomain), in bytes.
const NODE_LIMIT: usize = 253;

/// Longest SPIFFE id (SPIFFE id section 2.3), in bytes.
const IDENTITY_LIMIT: usize = 2048;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    tokens: Vec<FileEntry>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct FileEntry {
    #[serde(default)]
    node: String,
    #[serde(default)]
    identity: String,
    token: String,
    #[serde(default, with = "time::serde::rfc3339::option")]
    expires: Option<time::OffsetDateTime>,
}

/// Why a token file cannot be used. Never tells a token.
#[derive(Debug, thiserror::Error)]
pub enum TokensError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is no such YAML. The parser's own text is left out: it may quote the file.
    #[error(
        "{0}: expected YAML of the form `tokens: [{{node or identity, token, expires (RFC 3339, optional)}}]`"
    )]
    Syntax(PathBuf),
    /// One entry is wrong.
    #[error("{path}: entry {index} ({node:?}): {problem}")]
    Entry {
        /// The file.
        path: PathBuf,
        /// Which one, counted from 0.
        index: usize,
        /// The node or identity it names.
        node: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

struct Entry {
    hash: blake3::Hash,
    identity: NodeIdentity,
}

/// All tokens of one file.
struct Table(Vec<Entry>);

impl Table {
    fn parse(path: &Path, text: &str) -> Result<Self, TokensError> {
        let file: File =
            serde_saphyr::from_str(text).map_err(|_| TokensError::Syntax(path.to_owned()))?;
        let mut table: Vec<Entry> = Vec::with_capacity(file.tokens.len());
        for (index, entry) in file.tokens.into_iter().enumerate() {
            let hash = blake3::hash(entry.token.as_bytes());
            let of_both = !entry.node.is_empty() && !entry.identity.is_empty();
            let of_workload = entry.node.is_empty() && !entry.identity.is_empty();
            let name = match of_workload {
                true => entry.identity,
                false => entry.node,
            };
            let identity = NodeIdentity {
                node: name.as_str().into(),
                expires: entry.expires.map(SystemTime::from),
            };
            let problem = if of_both {
                Some(
                    "it has both a node and an identity; a token belongs to one of them: remove the other",
                )
            } else if of_workload != identity.is_workload() {
                Some("a node has a name, an identity is a SPIFFE id (spiffe://...)")
            } else if name.is_empty() || (!of_workload && name.len() > NODE_LIMIT) {
                Some("a node name has 1 to 253 characters")
            } else if name.len() > IDENTITY_LIMIT {
                Some("an identity has at most 2048 bytes")
            } else if entry.token.trim().is_empty() {
                Some("the token is empty")
            } else if entry.token.trim() != entry.token {
                Some("the token begins or ends with white space")
            } else if table.iter().any(|known| known.hash == hash) {
                Some("the token stands in the file twice")
            } else {
                None
            };
            if let Some(problem) = problem {
                let path = path.to_owned();
                let node = name.chars().take(80).collect();
                return Err(TokensError::Entry {
                    path,
                    index,
                    node,
                    problem,
                });
            }
            table.push(Entry { hash, identity });
        }
        Ok(Self(table))
    }

    /// Compares hashes, in constant time, with every entry: how long it takes tells nothing about any token.
    fn find(&self, token: &Token, now: SystemTime) -> Result<NodeIdentity, AuthError> {
        let hash = blake3::hash(token.secret().as_bytes());
        let mut found = None;
        for entry in &self.0 {
            if entry.hash == hash {
                found = Some(&entry.identity);
            }
        }
        let identity = found.ok_or(AuthError::Unknown)?;
        match identity.expires {
            Some(expires) if expires <= now => Err(AuthError::Expired),
            _ => Ok(identity.clone()),
        }
    }
}

/// What was last read, and its hash.
struct Loaded {
    content: blake3::Hash,
    table: Arc<Table>,
}

/// Tokens from a YAML file.
pub struct BootstrapTokens {
    path: PathBuf,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
    loaded: Mutex<Loaded>,
}

impl fmt::Debug for BootstrapTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BootstrapTokens")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl BootstrapTokens {
    /// Reads a token file. Blocks on the file.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, TokensError> {
        Self::with_clock(path, SystemTime::now)
    }

    /// The same, with another clock.
    pub fn with_clock(
        path: impl Into<PathBuf>,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Result<Self, TokensError> {
        let path = path.into();
        let text = read(&path)?;
        let loaded = Loaded {
            content: blake3::hash(text.as_bytes()),
            table: Arc::new(Table::parse(&path, &text)?),
        };
        Ok(Self {
            path,
            clock: Box::new(clock),
            loaded: Mutex::new(loaded),
        })
    }

    /// Whose token this is.
    pub fn check(&self, token: &Token) -> Result<NodeIdentity, AuthError> {
        self.table().find(token, (self.clock)())
    }

    /// The table as the file has it now, or the last good one.
    fn table(&self) -> Arc<Table> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        match read(&self.path) {
            Ok(text) => {
                let content = blake3::hash(text.as_bytes());
                if content != loaded.content {
                    // Noted also if the table is broken, so that one broken file makes one line in the log.
                    loaded.content = content;
                    match Table::parse(&self.path, &text) {
                        Ok(table) => loaded.table = Arc::new(table),
                        Err(error) => tracing::error!(%error, "the last good tokens stay in force"),
                    }
                }
            }
            Err(error) => tracing::error!(%error, "the last good tokens stay in force"),
        }
        Arc::clone(&loaded.table)
    }
}

fn read(path: &Path) -> Result<String, TokensError> {
    std::fs::read_to_string(path).map_err(|source| TokensError::Read {
        path: path.to_owned(),
        source,
    })
}

impl Authenticate for BootstrapTokens {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        Box::pin(std::future::ready(self.check(token)))
    }
}

#[cfg(test)]
mod tests;
