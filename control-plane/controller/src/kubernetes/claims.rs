//! What a service account's token says of itself (RFC 7519), before anybody has checked it. Only good for refusing.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::Deserialize;

/// Longest token that is looked at, in bytes.
const LONGEST: usize = 16 << 10;

/// Claims that nobody vouches for yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Claims {
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
    /// Reads the claims of a token for this user and audience; in the error why the API server need not be asked about it.
    pub(super) fn read(token: &str, user: &str, audience: &str) -> Result<Self, &'static str> {
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
        if payload.sub != user {
            return Err("it belongs to another user");
        }
        let for_us = match &payload.aud {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
        };
        if !for_us {
            return Err("it is for another audience");
        }
        Ok(Self {
            expires: payload.exp,
        })
    }
}
