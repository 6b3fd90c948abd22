//! Errors in the specification's form.

use std::{io, path::Path};

use serde_json::json;

/// The specification's well-known codes, as far as they are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// The configuration is of a version that is not spoken.
    IncompatibleVersion = 1,
    /// The sandbox is not known.
    UnknownContainer = 3,
    /// A variable of the environment is missing or wrong.
    InvalidEnvironment = 4,
    /// The input is no JSON.
    Undecodable = 6,
    /// The configuration lacks something, or contradicts itself.
    InvalidConfiguration = 7,
    /// It will go by itself: the runtime shall try again.
    TryAgainLater = 11,
    /// Anything else.
    Internal = 999,
}

/// Why a call did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}: {details}")]
pub struct Failure {
    /// For the runtime.
    pub code: Code,
    /// For people, in short.
    pub message: String,
    /// For people, at length.
    pub details: String,
}

impl Failure {
    pub(super) fn new(code: Code, message: &str, details: impl ToString) -> Self {
        Self {
            code,
            message: format!("heddle-cni: {message}"),
            details: details.to_string(),
        }
    }

    pub(super) fn again(message: &str, why: impl ToString) -> Self {
        Self::new(Code::TryAgainLater, message, why)
    }

    pub(super) fn configuration(why: impl ToString) -> Self {
        Self::new(Code::InvalidConfiguration, "invalid configuration", why)
    }

    pub(super) fn environment(why: impl ToString) -> Self {
        Self::new(Code::InvalidEnvironment, "invalid environment", why)
    }

    pub(super) fn unknown(why: impl ToString) -> Self {
        Self::new(Code::UnknownContainer, "unknown sandbox", why)
    }

    pub(super) fn refused(why: impl ToString) -> Self {
        Self::new(Code::Internal, "the node proxy refused", why)
    }

    pub(super) fn unreachable(socket: &Path, error: &io::Error) -> Self {
        let why = format!("{}: {error}", socket.display());
        Self::again("the node proxy cannot be reached", why)
    }

    /// As it is written to the runtime.
    pub(super) fn json(&self, version: &str) -> String {
        json!({
            "cniVersion": version,
            "code": self.code as u16,
            "msg": self.message,
            "details": self.details,
        })
        .to_string()
    }
}
