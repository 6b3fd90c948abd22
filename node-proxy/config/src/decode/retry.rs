//! When a request is tried again.

use std::{collections::BTreeSet, time::Duration};

use heddle_proto::envoy::config::route::v3::RetryPolicy as WireRetry;
use heddle_routing::{RetryOn, RetryPolicy};

use super::{
    error::{At, Decoded, refuse, unsupported},
    values::{duration, limit},
};

/// route.v3.RetryPolicy.num_retries, if absent.
const DEFAULT_RETRIES: u32 = 1;
/// route.v3.RetryPolicy.RetryBackOff, if absent: the runtime key `upstream.base_retry_backoff_ms`.
const DEFAULT_BACKOFF: Duration = Duration::from_millis(25);
/// The longest pause, as a multiple of the first, if absent.
const LONGEST_BACKOFF: u32 = 10;

/// config.route.v3.RetryPolicy. Host predicates and priorities are let pass: a retry goes to another endpoint anyway.
pub(super) fn retry_policy(wire: &WireRetry) -> Decoded<RetryPolicy> {
    unsupported(!wire.retriable_headers.is_empty(), "retriable_headers")?;
    unsupported(
        !wire.retriable_request_headers.is_empty(),
        "retriable_request_headers",
    )?;
    unsupported(
        wire.rate_limited_retry_back_off.is_some(),
        "rate_limited_retry_back_off",
    )?;
    let on = conditions(wire)?;
    let backoff = wire.retry_back_off.as_ref();
    let base = match backoff.and_then(|b| b.base_interval.as_ref()) {
        Some(base) => duration(base).at("retry_back_off.base_interval")?,
        None => DEFAULT_BACKOFF,
    };
    let max = match backoff.and_then(|b| b.max_interval.as_ref()) {
        Some(max) => duration(max).at("retry_back_off.max_interval")?,
        None => base.saturating_mul(LONGEST_BACKOFF),
    };
    if max < base {
        return refuse("is less than base_interval").at("retry_back_off.max_interval");
    }
    let per_try_timeout = wire.per_try_timeout.as_ref().map(limit).transpose();
    Ok(RetryPolicy {
        retries: wire
            .num_retries
            .as_ref()
            .map_or(DEFAULT_RETRIES, |n| n.value),
        on,
        per_try_timeout: per_try_timeout.at("per_try_timeout")?.flatten(),
        base_backoff: base,
        max_backoff: max,
    })
}

fn conditions(wire: &WireRetry) -> Decoded<RetryOn> {
    let mut on = RetryOn::default();
    let mut statuses = BTreeSet::new();
    let mut grpc_codes = BTreeSet::new();
    let words = wire.retry_on.split(',').map(str::trim);
    for word in words.filter(|word| !word.is_empty()) {
        match word {
            "connect-failure" => on.connect_failure = true,
            "refused-stream" => on.refused_stream = true,
            "reset" => on.reset = true,
            "reset-before-request" => on.reset_before_request = true,
            "5xx" => {
                on.reset = true;
                statuses.extend(500..=599);
            }
            "gateway-error" => {
                on.reset = true;
                statuses.extend([502, 503, 504]);
            }
            "retriable-4xx" => {
                statuses.insert(409);
            }
            "retriable-status-codes" => statuses.extend(listed(wire)?),
            // There is no HTTP/3 here that it could happen in.
            "http3-post-connect-failure" => {}
            other => match grpc_code(other) {
                Some(code) => {
                    grpc_codes.insert(code);
                }
                None => {
                    return refuse(format_args!("{other:?} is not understood by this proxy"))
                        .at("retry_on");
                }
            },
        }
    }
    on.statuses = statuses.into_iter().collect();
    on.grpc_codes = grpc_codes.into_iter().collect();
    Ok(on)
}

/// google.rpc.Code.
fn grpc_code(word: &str) -> Option<u16> {
    match word {
        "cancelled" => Some(1),
        "deadline-exceeded" => Some(4),
        "resource-exhausted" => Some(8),
        "internal" => Some(13),
        "unavailable" => Some(14),
        _ => None,
    }
}

fn listed(wire: &WireRetry) -> Decoded<Vec<u16>> {
    super::error::each(
        "retriable_status_codes",
        &wire.retriable_status_codes,
        |code| match u16::try_from(*code) {
            Ok(code @ 100..=599) => Ok(code),
            _ => refuse(format_args!("{code} is no status")),
        },
    )
}
