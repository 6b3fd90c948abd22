//! The seam between outbound connections and whatever connects them.

use heddle_filters::{Failure, Forward, UpstreamForward};
use heddle_upstream::{Connected, Destination};

/// Connects on behalf of one origin, and sends its requests.
pub(crate) trait Dial: Forward + Clone + 'static {
    /// Connects; endpoints that fail have been replaced by others already.
    fn dial(&self, to: Destination) -> impl Future<Output = Result<Connected, Failure>>;
}

impl Dial for UpstreamForward {
    async fn dial(&self, to: Destination) -> Result<Connected, Failure> {
        Ok(self.upstream.connect(&self.origin, to).await?)
    }
}
