//! What a service account's token says of itself (RFC 7519), before anybody has checked it. Only good for refusing.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use heddle_identity::{Namespace, ServiceAccount};
use serde::Deserialize;

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// How the API server names service accounts (`system:serviceaccount:<namespace>:<name>`).
const USERS: &str = "system:serviceaccount:";

/// A service account of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) namespace: Namespace,
    pub(super) name: ServiceAccount,
}

impl Account {
    /// From the name that the API server has for it.
    fn of_user(user: &str) -> Option<Self> {
        let (namespace, name) = user.strip_prefix(USERS)?.split_once(':')?;
        Some(Self {
            namespace: namespace.parse().ok()?,
            name: name.parse().ok()?,
        })
    }
}

/// The name that the API server has for it.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{USERS}{}:{}", self.namespace, self.name)
    }
}

/// Claims that nobody vouches for yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
    /// Whose it is.
    pub(super) account: Account,
    /// When it ends, in seconds since 1970.
    pub(super) expires: u64,
}

#[derive(Deserialize)]
struct Payload {
    sub: String,
    aud: Audience,
    exp: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Claims {
    /// Reads the claims of a token for this audience; in the error why the API server need not be asked about it.
    pub(super) fn read(token: &str, audience: &str) -> Result<Self, &'static str> {
        let malformed = "it is no service account token (JWT)";
        if token.len() > LONGEST {
            return Err(malformed);
        }
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(malformed);
        };
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| malformed)?;
        let payload: Payload = serde_json::from_slice(&payload).map_err(|_| malformed)?;
        let account = Account::of_user(&payload.sub);
        let account = account.ok_or("it belongs to no service account")?;
        let for_us = match &payload.aud {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
        };
        if !for_us {
            return Err("it is for another audience");
        }
        Ok(Self {
            account,
            expires: payload.exp,
        })
    }
}
