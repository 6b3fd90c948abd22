//! Durations of the Gateway API (GEP-2257).

use std::time::Duration;

/// Reads `1h30m`, `10s`, `500ms`, `0s`: one to four parts, each of one to five digits and a unit of `h`, `m`, `s`, `ms`.
pub(crate) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    let mut parts = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=5).contains(&digits) || parts == 4 {
            return None;
        }
        let (number, unit) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        // `ms` before `m`: `5ms` are not five minutes.
        let (milliseconds, length) = if unit.starts_with("ms") {
            (1, 2)
        } else if unit.starts_with('h') {
            (3_600_000, 1)
        } else if unit.starts_with('m') {
            (60_000, 1)
        } else if unit.starts_with('s') {
            (1_000, 1)
        } else {
            return None;
        };
        total += Duration::from_millis(number * milliseconds);
        rest = &unit[length..];
        parts += 1;
    }
    (parts > 0).then_some(total)
}

#[cfg(test)]
mod tests;
