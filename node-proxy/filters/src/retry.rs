//! Whether to try again, and when. Pure.

use std::time::Duration;

use heddle_routing::{RetryOn, RetryPolicy};
use heddle_upstream::Progress;
use http::{HeaderMap, Response, StatusCode};

use crate::Failure;

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a response, and the `grpc-status` in its headers (a gRPC response without a message has it there).
    Answered(StatusCode, Option<u16>),
    /// Without one, because of an endpoint.
    Broken(Progress),
    /// Without one, and another try would change nothing.
    Refused,
}

impl Outcome {
    pub(crate) fn of<B>(result: &Result<&Response<B>, &Failure>) -> Self {
        match result {
            Ok(response) => Self::Answered(response.status(), grpc_code(response.headers())),
            Err(failure) => failure.progress.map_or(Self::Refused, Self::Broken),
        }
    }
}

fn grpc_code(headers: &HeaderMap) -> Option<u16> {
    headers.get("grpc-status")?.to_str().ok()?.parse().ok()
}

/// Whether the end of a try is worth another.
pub(crate) fn is_retriable(on: &RetryOn, outcome: Outcome) -> bool {
    match outcome {
        Outcome::Answered(status, grpc) => {
            on.statuses.binary_search(&status.as_u16()).is_ok()
                || grpc.is_some_and(|code| on.grpc_codes.binary_search(&code).is_ok())
        }
        Outcome::Refused => false,
        Outcome::Broken(_) if on.reset => true,
        Outcome::Broken(Progress::Connecting) => on.connect_failure || on.reset_before_request,
        Outcome::Broken(Progress::Unsent) => on.reset_before_request,
        Outcome::Broken(Progress::Refused) => on.refused_stream,
        Outcome::Broken(Progress::Sent) => false,
    }
}

/// How long to wait before a retry (0 is the first): a random part (`random` in 0..1) of base × 2ⁿ, at most the maximum.
pub(crate) fn pause(policy: &RetryPolicy, retry: u32, random: f64) -> Duration {
    let factor = 1_u32.checked_shl(retry).unwrap_or(u32::MAX);
    policy
        .base_backoff
        .saturating_mul(factor)
        .min(policy.max_backoff)
        .mul_f64(random.clamp(0.0, 1.0))
}
