//! What Heddle is meant to reach. A bar that is missed is told and makes nothing fail.

use crate::{
    envoy::ENVOY_PATH,
    heddle::{HEDDLE_PATH, READING_PATH},
    memory::Resident,
    report::Row,
    single::HAPROXY_PATH,
    site::{AS_ENVOY, AS_HEDDLE},
};

/// CPU for each unit of work in one row over that in another: what, case and path of both, and the most that is wished for.
type Bar = (&'static str, [&'static str; 2], [&'static str; 2], f64);

const BARS: &[Bar] = &[
    (
        "HTTP/1.1, one proxy, beside Envoy",
        ["h1", HEDDLE_PATH],
        ["h1", ENVOY_PATH],
        0.33,
    ),
    (
        "HTTP/1.1, one proxy, beside haproxy",
        ["h1", HEDDLE_PATH],
        ["h1", HAPROXY_PATH],
        1.2,
    ),
    (
        "HTTP/2 to HTTP/1.1, one proxy, beside Envoy",
        ["h2-h1", HEDDLE_PATH],
        ["h2-h1", ENVOY_PATH],
        0.37,
    ),
    (
        "5,000 routes, beside one route",
        ["routes-5000", HEDDLE_PATH],
        ["h1", HEDDLE_PATH],
        1.1,
    ),
    (
        "5,000 routes, beside Envoy",
        ["routes-5000", HEDDLE_PATH],
        ["routes-5000", ENVOY_PATH],
        0.06,
    ),
    (
        "mesh, HTTP/1.1, beside two Envoys",
        ["mesh-l7", HEDDLE_PATH],
        ["mesh-l7", ENVOY_PATH],
        0.40,
    ),
    (
        "the same, HTTP read twice",
        ["mesh-l7", READING_PATH],
        ["mesh-l7", ENVOY_PATH],
        0.40,
    ),
    (
        "mesh, bytes, beside two Envoys",
        ["mesh-l4", HEDDLE_PATH],
        ["mesh-l4", ENVOY_PATH],
        0.52,
    ),
    (
        "mesh, bytes, new connections, beside two Envoys",
        ["mesh-l4-new-full", HEDDLE_PATH],
        ["mesh-l4-new-full", ENVOY_PATH],
        0.26,
    ),
    (
        "mesh, a stream of bytes, beside two Envoys",
        ["mesh-l4-stream", HEDDLE_PATH],
        ["mesh-l4-stream", ENVOY_PATH],
        0.80,
    ),
];

/// What the proxies add to the 99th percentile of latency at half of their limit: what it is through them less what it is without them at the same rate.
const P99_BAR: (&str, &str, f64) = (
    "mesh, HTTP/1.1, p99 added at half of the limit, beside two Envoys",
    "mesh-l7-at-50",
    0.5,
);

/// What is measured of Heddle's memory, and the most that is wished for, in the unit of its name.
type MemoryBar = (&'static str, fn(&Resident) -> f64, f64);

const MEMORY_BARS: [MemoryBar; 3] = [
    (
        "memory at rest, MB",
        |memory| memory.at_rest_kb / 1000.0,
        20.0,
    ),
    (
        "memory of an idle connection, kB",
        |memory| memory.per_connection_kb,
        10.0,
    ),
    (
        "memory with 5,000 routes, MB",
        |memory| memory.with_routes_kb.unwrap_or(f64::NAN) / 1000.0,
        60.0,
    ),
];

/// The table.
pub(crate) fn markdown(rows: &[Row], memory: &[Resident]) -> String {
    let mut text = "\n| bar | measured | at most | |\n|---|---|---|---|\n".to_owned();
    for (what, ours, theirs, most) in BARS {
        let cpu = |[case, path]: &[&str; 2]| {
            let row = rows.iter().find(|row| row.is_of(case, path));
            Some(row?.cpu_us?.median)
        };
        let measured = cpu(ours).zip(cpu(theirs)).map(|(own, other)| own / other);
        text += &line(what, measured, *most);
    }
    let (what, case, most) = P99_BAR;
    let p99 = |path| Some(rows.iter().find(|row| row.is_of(case, path))?.p99_ms.median);
    let added = |path, control| Some(p99(path)? - p99(control)?);
    let measured = added(HEDDLE_PATH, AS_HEDDLE).zip(added(ENVOY_PATH, AS_ENVOY));
    text += &line(what, measured.and_then(of_added), most);
    let own = memory.iter().find(|memory| memory.path == HEDDLE_PATH);
    for (what, value, most) in MEMORY_BARS {
        text += &line(what, own.map(value).filter(|value| value.is_finite()), most);
    }
    text
}

/// A ratio of what was added; `None` if that of the other one is lost in noise.
fn of_added((own, other): (f64, f64)) -> Option<f64> {
    (other > 0.0).then_some(own.max(0.0) / other)
}

fn line(what: &str, measured: Option<f64>, most: f64) -> String {
    let (measured, verdict) = match measured {
        Some(value) if value <= most => (format!("{value:.2}"), "met"),
        Some(value) => (format!("{value:.2}"), "not met"),
        None => ("-".to_owned(), "not measured"),
    };
    format!("| {what} | {measured} | {most} | {verdict} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_added_is_no_less_than_nothing_and_nothing_beside_nothing_is_no_ratio() {
        assert_eq!(of_added((1.0, 4.0)), Some(0.25));
        assert_eq!(of_added((-0.1, 4.0)), Some(0.0));
        assert_eq!(of_added((1.0, 0.0)), None);
    }

    #[test]
    fn a_bar_is_met_up_to_its_limit_and_missed_beyond_it() {
        assert_eq!(line("a", Some(0.33), 0.33), "| a | 0.33 | 0.33 | met |\n");
        assert_eq!(
            line("a", Some(0.34), 0.33),
            "| a | 0.34 | 0.33 | not met |\n"
        );
        assert_eq!(line("a", None, 0.33), "| a | - | 0.33 | not measured |\n");
    }
}
