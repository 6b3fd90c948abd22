//! Time limits and retries of a rule.

use std::time::Duration;

use heddle_model::{RetryPolicy, Timeouts};

use super::{
    duration,
    filters::Refused,
    raw::{RawRetry, RawRule},
};
use crate::names::excerpt;

/// GEP-1742. Zero switches a limit off.
pub(super) fn timeouts(raw: &RawRule) -> Result<Timeouts, Refused> {
    let read = |text: &Option<String>, field: &str| -> Result<Option<Duration>, Refused> {
        let Some(text) = text else {
            return Ok(None);
        };
        let read = duration::parse(text).ok_or_else(|| {
            Refused::value(
                format!("timeouts.{field}"),
                format!("{} is not a duration (GEP-2257: 500ms, 10s)", excerpt(text)),
            )
        })?;
        // Zero switches a limit off (GEP-1742).
        Ok((!read.is_zero()).then_some(read))
    };
    let timeouts = Timeouts {
        request: read(&raw.request_timeout, "request")?,
        backend_request: read(&raw.backend_timeout, "backendRequest")?,
    };
    match (timeouts.request, timeouts.backend_request) {
        (Some(request), Some(backend)) if backend > request => Err(Refused::value(
            "timeouts.backendRequest",
            "is longer than timeouts.request",
        )),
        _ => Ok(timeouts),
    }
}

/// GEP-1731. No attempts given: one; zero: none.
pub(super) fn retry(raw: &RawRetry) -> Result<Option<RetryPolicy>, Refused> {
    let attempts = raw.attempts.unwrap_or(1);
    let attempts = u32::try_from(attempts).map_err(|_| {
        Refused::value(
            "retry.attempts",
            format!("{attempts} is not a number of attempts"),
        )
    })?;
    let mut status_codes = Vec::new();
    for (index, code) in raw.codes.iter().enumerate() {
        match u16::try_from(*code) {
            Ok(code) if (400..=599).contains(&code) => status_codes.push(code),
            _ => {
                let message = format!("{code} is not an error status (400 to 599)");
                return Err(Refused::value(format!("retry.codes[{index}]"), message));
            }
        }
    }
    status_codes.sort_unstable();
    status_codes.dedup();
    let backoff = match &raw.backoff {
        None => None,
        Some(text) => Some(duration::parse(text).ok_or_else(|| {
            Refused::value(
                "retry.backoff",
                format!("{} is not a duration (GEP-2257: 500ms, 10s)", excerpt(text)),
            )
        })?),
    };
    // More than ten would multiply an outage; the API names no bound.
    Ok((attempts > 0).then(|| RetryPolicy {
        attempts: attempts.min(10),
        status_codes,
        backoff: backoff.filter(|backoff| !backoff.is_zero()),
    }))
}
