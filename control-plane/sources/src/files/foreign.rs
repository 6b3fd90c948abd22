//! Documents of kinds that Heddle does not read.

use heddle_resources::Kind;

use crate::Severity;

/// How much it matters that a kind is not read, and what to say about it.
pub(super) fn judge(api_version: &str, kind: &str) -> (Severity, String) {
    let message = format!("{kind} ({api_version}) is not read by Heddle");
    if let Some(meant) = meant(kind) {
        let (kind, api_version) = (meant.as_str(), meant.api_version());
        return (
            Severity::Warning,
            format!("{message}: did you mean {kind} of {api_version}?"),
        );
    }
    // Somebody expects these to direct or forbid traffic.
    let group = api_version.split('/').next().unwrap_or_default();
    let about_traffic = group.ends_with("networking.k8s.io") || group.ends_with("heddle.dev");
    if about_traffic {
        (Severity::Warning, format!("{message}: it has no effect"))
    } else {
        (Severity::Info, message)
    }
}

/// The kind that a misspelt one, or one of another version, is likely to be.
fn meant(kind: &str) -> Option<Kind> {
    let mut kinds = Kind::ALL.iter();
    kinds
        .find(|known| known.as_str().eq_ignore_ascii_case(kind))
        .copied()
}
