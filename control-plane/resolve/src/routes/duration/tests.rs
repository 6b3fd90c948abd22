use std::time::Duration;

use super::parse;

#[test]
fn durations_add_their_parts() {
    let cases = [
        ("0s", 0),
        ("500ms", 500),
        ("10s", 10_000),
        ("1m", 60_000),
        ("5ms", 5),
        ("1h30m", 5_400_000),
        ("1h1m1s1ms", 3_661_001),
        ("10s10s", 20_000),
        ("99999h", 359_996_400_000),
    ];
    for (text, milliseconds) in cases {
        assert_eq!(
            parse(text),
            Some(Duration::from_millis(milliseconds)),
            "{text}"
        );
    }
}

#[test]
fn what_gep_2257_does_not_allow_is_no_duration() {
    for text in [
        "",
        "10",
        "s",
        "1d",
        "1.5s",
        "-1s",
        "100000s",
        "1s1s1s1s1s",
        " 1s",
        "1 s",
        "1S",
        "1é",
        "1m1",
    ] {
        assert_eq!(parse(text), None, "{text:?}");
    }
}
