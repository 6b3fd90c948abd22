//! What proves to the control plane who this node is.

use std::{io, path::PathBuf};

/// Gives the bearer token of the next stream. Asked anew for each, because tokens are rotated.
pub trait TokenSource: Send + Sync {
    /// The token; `None`: none is sent.
    fn token(&self) -> io::Result<Option<String>>;
}

/// No token.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoToken;

impl TokenSource for NoToken {
    fn token(&self) -> io::Result<Option<String>> {
        Ok(None)
    }
}

/// A token in a file; white space around it does not count.
#[derive(Clone, Debug)]
pub struct FileToken(pub PathBuf);

impl TokenSource for FileToken {
    fn token(&self) -> io::Result<Option<String>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(error) => Err(io::Error::new(
                error.kind(),
                format!("cannot read the token {}: {error}", self.0.display()),
            )),
        }
    }
}
