//! Words for a terminal.

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// What others wrote (a client's refusal, a name), without anything that a terminal would act on.
pub(super) fn printable(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\n' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// A table as kubectl prints them: no lines, no wrapping, so that `grep` and `awk` can read it.
pub(super) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(head.to_vec());
    for row in rows {
        table.add_row(row.iter().map(|cell| match cell.as_str() {
            "" => "-".to_owned(),
            text => printable(text).replace('\n', " "),
        }));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines = table.lines();
    lines
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// How far off a moment is: `23h`, `-5m` if it is past.
pub(super) fn until(rfc3339: &str, now: OffsetDateTime) -> String {
    let Ok(at) = OffsetDateTime::parse(rfc3339, &Rfc3339) else {
        return rfc3339.to_owned();
    };
    let seconds = (at - now).whole_seconds();
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}{}", length(seconds.unsigned_abs()))
}

/// Two figures at most: `42s`, `12m`, `7h`, `3d`.
pub(super) fn length(seconds: u64) -> String {
    match seconds {
        0..=119 => format!("{seconds}s"),
        120..=7199 => format!("{}m", seconds / 60),
        7200..=172_799 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}
