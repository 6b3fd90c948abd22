//! Gateway API durations (GEP-2257): `1h30m`, `10s`, `1s500ms`.

use std::time::Duration;

/// Reads a duration whose form the schema has already checked; `None` if it has none.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: u32 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        total = total.checked_add(one(&rest[..unit])?.checked_mul(amount)?)?;
        rest = &rest[unit..];
    }
    Some(total)
}

fn one(unit: &str) -> Option<Duration> {
    match unit {
        "h" => Some(Duration::from_secs(3600)),
        "m" => Some(Duration::from_secs(60)),
        "s" => Some(Duration::from_secs(1)),
        "ms" => Some(Duration::from_millis(1)),
        _ => None,
    }
}
