//! Kubernetes names that are part of an identity.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

/// A name that Kubernetes would not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not a {what}: {reason}")]
pub struct InvalidName {
    what: &'static str,
    value: String,
    reason: &'static str,
}

fn check(what: &'static str, value: &str, max: usize, dots: bool) -> Result<(), InvalidName> {
    let fail = |reason| {
        Err(InvalidName {
            what,
            value: value.chars().take(80).collect(),
            reason,
        })
    };
    if value.is_empty() {
        return fail("it is empty");
    }
    if value.len() > max {
        return fail("it is too long");
    }
    let edge = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: u8| edge(c) || c == b'-' || (dots && c == b'.');
    let bytes = value.as_bytes();
    if !bytes.iter().copied().all(inner) {
        return fail("only lower-case letters, digits and '-' are allowed (RFC 1123)");
    }
    if !edge(bytes[0]) || !edge(bytes[bytes.len() - 1]) {
        return fail("it must begin and end with a letter or a digit (RFC 1123)");
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $what:literal, $max:literal, $dots:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(Arc<str>);

        impl $type {
            /// Parses a name; errors say which rule it breaks.
            pub fn new(value: &str) -> Result<Self, InvalidName> {
                check($what, value, $max, $dots)?;
                Ok(Self(value.into()))
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The name, to be shared without a copy.
            pub fn shared(&self) -> &Arc<str> {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;
            fn from_str(value: &str) -> Result<Self, InvalidName> {
                Self::new(value)
            }
        }

        impl TryFrom<String> for $type {
            type Error = InvalidName;
            fn try_from(value: String) -> Result<Self, InvalidName> {
                Self::new(&value)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0.to_string()
            }
        }

        impl Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// A namespace: an RFC 1123 label of at most 63 characters.
    Namespace, "namespace", 63, false
}
name! {
    /// A service account: an RFC 1123 subdomain of at most 253 characters.
    ServiceAccount, "service account", 253, true
}
