//! Waiting until a pod may start.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use super::{Failure, Settings, proxy};
use crate::protocol::{Answer, Attachment, Request};

/// How long a pod that the node needs waits for the node proxy, and for word of it.
const CRITICAL_PATIENCE: Duration = Duration::from_secs(2);
/// Between two attempts: a node proxy that is being replaced is back within moments.
const PAUSE: Duration = Duration::from_millis(50);
/// The node proxy's answer may come this much after the limit that it was given.
const GRACE: Duration = Duration::from_secs(2);

/// Tells of the sandbox and returns when the pod may start.
pub(super) fn enrol(settings: &Settings, attachment: Attachment) -> Result<(), Failure> {
    let begun = Instant::now();
    let mut patience = settings.limit();
    let critical = settings.is_host_critical(&attachment.namespace);
    if critical {
        patience = patience.min(CRITICAL_PATIENCE);
    }
    let pod = format!("{}/{}", attachment.namespace, attachment.pod);
    let mut in_mesh = false;
    loop {
        let left = patience.saturating_sub(begun.elapsed());
        let request = Request::Add {
            attachment: attachment.clone(),
            limit_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
        };
        let answer = proxy::ask(&settings.socket, &request, left + GRACE);
        let over = left.is_zero() || begun.elapsed() >= patience;
        match answer {
            Ok(Answer::Captured | Answer::Outside) => return Ok(()),
            Ok(Answer::Refused { why }) => return Err(Failure::refused(why)),
            Ok(Answer::Waiting { why }) => {
                // Known to be in the mesh: from here on it waits like any other, and never passes.
                (in_mesh, patience) = (true, settings.limit());
                if begun.elapsed() >= patience {
                    return Err(Failure::again(&format!("{pod} is not captured yet"), why));
                }
            }
            Ok(Answer::Unknown | Answer::Done) if over => {
                return unknown(settings, critical && !in_mesh, &pod);
            }
            Err(error) if over => return unreachable(settings, &attachment, in_mesh, &error),
            // Nobody is there, and nobody needs to be: it waits no longer than for one that is being replaced.
            Err(_) if !in_mesh && settings.is_known_outside(&attachment.namespace) => {
                patience = patience.min(CRITICAL_PATIENCE);
            }
            Ok(Answer::Unknown | Answer::Done) | Err(_) => {}
        }
        thread::sleep(PAUSE);
    }
}

fn unknown(settings: &Settings, passes: bool, pod: &str) -> Result<(), Failure> {
    if passes {
        return Ok(());
    }
    let why = format!(
        "the control plane told nothing of it within {} s",
        settings.time_limit_seconds
    );
    Err(Failure::again(&format!("nothing is known of {pod}"), why))
}

fn unreachable(
    settings: &Settings,
    attachment: &Attachment,
    in_mesh: bool,
    error: &io::Error,
) -> Result<(), Failure> {
    if settings.passes(&attachment.namespace) && !in_mesh {
        return Ok(());
    }
    Err(Failure::unreachable(&settings.socket, error))
}
