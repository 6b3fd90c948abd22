//! Whether to try again, and when. Pure.

use std::time::Duration;

use heddle_routing::RetryPolicy;
use heddle_telemetry::ResponseFlag;
use http::StatusCode;

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With a response.
    Status(StatusCode),
    /// Without one.
    Failed(ResponseFlag),
}

/// Whether the policy wants a further try after such an end.
///
/// A route with a retry policy is tried again after every failure of the connection and after a try's time limit, too
/// (Gateway API, HTTPRouteRetry.codes: "implementations should retry on connection errors"); a refusal stays a refusal.
pub(crate) fn is_retriable(policy: &RetryPolicy, outcome: Outcome) -> bool {
    use ResponseFlag as F;
    match outcome {
        Outcome::Status(status) => policy.on_status.binary_search(&status.as_u16()).is_ok(),
        Outcome::Failed(flag) => matches!(
            flag,
            F::ConnectFailure | F::ConnectionTermination | F::RemoteReset | F::RequestTimeout
        ),
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
