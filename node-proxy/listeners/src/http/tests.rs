use proptest::prelude::*;

use super::framing::{Framing, Offence};

/// Follows bytes in pieces of the given sizes; gives the offence and where it ended.
fn follow(bytes: &[u8], pieces: impl IntoIterator<Item = usize>) -> Option<(Offence, usize)> {
    let mut framing = Framing::new(64 * 1024);
    let mut at = 0;
    for piece in pieces {
        let end = (at + piece).min(bytes.len());
        if let Err((offence, used)) = framing.follow(&bytes[at..end]) {
            return Some((offence, at + used));
        }
        at = end;
    }
    None
}

fn offence(text: &str) -> Option<Offence> {
    follow(text.as_bytes(), [usize::MAX / 2]).map(|(offence, _)| offence)
}

const GOOD: [&str; 7] = [
    "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n",
    "POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\n\r x\r",
    "POST / HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 4\r\n\r\nabcd",
    "POST / HTTP/1.1\r\nTransfer-Encoding:  Chunked\r\n\r\n5;a=\"b\"\r\n\r\n\r\n\r\r\n0\r\nx: y\r\n\r\n",
    "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1A\r\nabcdefghijklmnopqrstuvwxyz\r\n0\r\n\r\n",
    "GET / HTTP/1.1\nhost: a\n\n",
];

#[test]
fn good_requests_in_any_order_have_no_offence() {
    for first in GOOD {
        for second in GOOD {
            assert_eq!(
                offence(&format!("{first}{second}{first}")),
                None,
                "{first}{second}"
            );
        }
    }
}

#[test]
fn each_offence_is_found_behind_any_good_request() {
    for (bad, found) in [
        (
            "POST / HTTP/1.1\r\ncontent-length: 4\r\nTRANSFER-encoding: chunked\r\n",
            Offence::LengthAndEncoding,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n",
            Offence::LengthAndEncoding,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: identity\r\n",
            Offence::OtherEncoding,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n",
            Offence::OtherEncoding,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            Offence::OtherEncoding,
        ),
        (
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: x\r\n",
            Offence::OtherEncoding,
        ),
        (
            "POST / HTTP/1.1\r\ncontent-length: 4\r\ncontent-length: 5\r\n",
            Offence::SeveralLengths,
        ),
        ("GET / HTTP/1.1\r\nx: a\rb\r\n", Offence::BareCarriageReturn),
        ("GET /\r HTTP/1.1\r\n", Offence::BareCarriageReturn),
        ("GET /a#b HTTP/1.1\r\n", Offence::Fragment),
        ("GET / HTTP/1.1\r\nx: a\r\n\tb\r\n", Offence::FoldedLine),
        ("GET / HTTP/1.1\r\n x: a\r\n", Offence::FoldedLine),
        (
            "GET / HTTP/1.1\r\ncontent-length : 4\r\n",
            Offence::SpaceBeforeColon,
        ),
    ] {
        assert_eq!(offence(bad), Some(found), "{bad}");
        for good in GOOD {
            assert_eq!(offence(&format!("{good}{bad}")), Some(found), "{good}{bad}");
        }
    }
}

#[test]
fn nothing_is_looked_for_in_http2_or_after_an_upgrade() {
    assert_eq!(
        offence("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n x\r\n a\rb\r\n"),
        None
    );
    let mut framing = Framing::new(1024);
    framing.follow(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    framing.stop();
    framing.follow(b"x\r\n y\rz\r\n").unwrap();
    assert!(!framing.is_in_head());
}

#[test]
fn a_head_is_open_from_its_first_byte_to_its_empty_line() {
    let mut framing = Framing::new(1024);
    assert!(!framing.is_in_head());
    for piece in ["G", "ET / HTTP/1.1\r\n", "a: b\r\n", "\r"] {
        framing.follow(piece.as_bytes()).unwrap();
        assert!(framing.is_in_head(), "{piece}");
    }
    framing.follow(b"\n").unwrap();
    assert!(!framing.is_in_head());
    framing
        .follow(b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc")
        .unwrap();
    assert!(!framing.is_in_head());
}

proptest! {
    #[test]
    fn it_does_not_matter_how_the_bytes_are_cut(
        requests in proptest::collection::vec(0..GOOD.len(), 0..4),
        bad in proptest::bool::ANY,
        pieces in proptest::collection::vec(1_usize..20, 200),
    ) {
        let mut text: String = requests.into_iter().map(|index| GOOD[index]).collect();
        if bad {
            text.push_str("POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n");
        }
        let whole = follow(text.as_bytes(), [text.len()]);
        let cut = follow(text.as_bytes(), pieces.into_iter().cycle().take(text.len() + 1));
        prop_assert_eq!(cut, whole);
        prop_assert_eq!(whole.is_some(), bad);
    }

    #[test]
    fn any_bytes_are_followed_without_a_panic(
        bytes in proptest::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b':'), Just(b'0'), any::<u8>()], 0..300),
        head in proptest::bool::ANY,
    ) {
        let mut all = Vec::new();
        if head {
            all.extend_from_slice(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
        }
        all.extend(bytes);
        let whole = follow(&all, [all.len()]);
        let single = follow(&all, std::iter::repeat_n(1, all.len()));
        prop_assert_eq!(whole, single);
    }
}
