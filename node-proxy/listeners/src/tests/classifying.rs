use proptest::prelude::*;

use crate::classify::{Start, classify};

#[test]
fn requests_are_told_from_other_protocols_by_their_first_bytes() {
    for (bytes, start) in [
        (&b"GET / HTTP/1.1\r\n"[..], Some(Start::Http1)),
        (b"GET /", Some(Start::Http1)),
        (b"OPTIONS * HTTP/1.1", Some(Start::Http1)),
        (b"GET http://x/ HTTP/1.1", Some(Start::Http1)),
        (b"VERSION-CONTROL /", Some(Start::Http1)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(Start::Http2)),
        (b"PRI * HTTP/2.0\r\n\r\nXX", Some(Start::Http1)),
        (b"", None),
        (b"GE", None),
        (b"GET ", None),
        (b"PRI * HTTP/2.0\r\n", None),
        (b"\x16\x03\x01", Some(Start::Other)),
        (b"PING\r\n", Some(Start::Other)),
        (b"SET key value\r\n", Some(Start::Other)),
        (b"*1\r\n$4\r\nPING\r\n", Some(Start::Other)),
        (b" /", Some(Start::Other)),
        (b"get / HTTP/1.1", Some(Start::Other)),
        (b"AAAAAAAAAAAAAAAAAAAAAAAA", Some(Start::Other)),
    ] {
        assert_eq!(classify(bytes), start, "{}", String::from_utf8_lossy(bytes));
    }
}

proptest! {
    #[test]
    fn twenty_four_bytes_always_suffice(bytes in proptest::collection::vec(any::<u8>(), 24..64)) {
        prop_assert!(classify(&bytes).is_some());
    }

    #[test]
    fn more_bytes_never_change_a_verdict(bytes in "[A-Z]{0,5}[ /*a-z]{0,20}") {
        let bytes = bytes.as_bytes();
        let verdicts: Vec<_> = (0..=bytes.len()).filter_map(|end| classify(&bytes[..end])).collect();
        prop_assert!(verdicts.windows(2).all(|pair| pair[0] == pair[1]));
    }
}
