//! Answers about tokens, for a short time, by the tokens' hashes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use heddle_xds_server::{AuthError, NodeIdentity};
use tokio::time::Instant;

/// For how long a token that was accepted is not asked about again: so long does one that was revoked still count.
const ACCEPTED: Duration = Duration::from_secs(30);
/// For how long one that was refused is not asked about again.
const REFUSED: Duration = Duration::from_secs(10);
/// How many answers are kept; more would be somebody trying tokens.
const LIMIT: usize = 8192;

type Answer = Result<NodeIdentity, AuthError>;

#[derive(Debug, Default)]
pub(super) struct Cache(Mutex<HashMap<blake3::Hash, (Instant, Answer)>>);

impl Cache {
    pub(super) fn get(&self, token: blake3::Hash, now: Instant) -> Option<Answer> {
        let answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, answer) = answers.get(&token)?;
        (now < *until).then(|| answer.clone())
    }

    /// Keeps an answer; one that says nothing about the token is not kept.
    pub(super) fn put(&self, token: blake3::Hash, answer: &Answer, now: Instant) {
        let time = match answer {
            Ok(_) => ACCEPTED,
            Err(AuthError::Unavailable(_)) => return,
            Err(_) => REFUSED,
        };
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.len() >= LIMIT {
            answers.retain(|_, (until, _)| now < *until);
        }
        if answers.len() < LIMIT {
            answers.insert(token, (now + time, answer.clone()));
        }
    }
}
