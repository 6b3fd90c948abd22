mod actions;
mod bound;
mod clusters;
mod listeners;
mod others;
mod pods;
mod policies;
mod robustness;
mod routes;
mod tls;

use crate::decode::DecodeError;

/// Asserts that something was refused, with this field and these words in the reason.
#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<T, DecodeError>, field: &str, words: &str) {
    let error = result.expect_err("it was accepted");
    assert_eq!(error.field(), field, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}
