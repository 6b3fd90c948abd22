//! Messages that are written are read as the same, however their bytes come.

use std::{
    pin::Pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version, header};
use proptest::prelude::*;
use tokio::io::{AsyncRead, ReadBuf};

use crate::{
    Ahead, Decoder, Encoder, Malformed, Out, Piece, WrongLength, content_length, is_chunked,
    request_head, response_head, write_request, write_response,
};

/// What was put in, as bytes.
fn written(mut out: Out) -> Vec<u8> {
    let mut all = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    assert!(matches!(
        out.poll_write(&mut all, &mut cx),
        Poll::Ready(Ok(()))
    ));
    assert!(out.is_empty());
    all
}

/// Gives its bytes in pieces of this length, and waits in between.
struct Slow {
    bytes: Bytes,
    piece: usize,
    waits: bool,
}

impl AsyncRead for Slow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.waits = !self.waits;
        if self.waits && !self.bytes.is_empty() {
            return Poll::Pending;
        }
        let piece = self.piece;
        let length = piece.min(self.bytes.len()).min(buffer.remaining());
        buffer.put_slice(&self.bytes.split_to(length));
        Poll::Ready(Ok(()))
    }
}

fn slow(bytes: Vec<u8>, piece: usize) -> Slow {
    Slow {
        bytes: bytes.into(),
        piece,
        waits: false,
    }
}

/// The body and its trailers; what was read behind it stays in `ahead`.
fn read(
    decoder: &mut Decoder,
    ahead: &mut Ahead,
    from: &mut Slow,
) -> Result<(Vec<u8>, Option<HeaderMap>), Malformed> {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut body, mut trailers) = (Vec::new(), None);
    loop {
        match decoder.decode(ahead)? {
            Piece::Data(data) => body.extend_from_slice(&data),
            Piece::Trailers(all) => trailers = Some(all),
            Piece::End => return Ok((body, trailers)),
            Piece::Nothing => {
                let expected = decoder.expected();
                if let Poll::Ready(length) = ahead.poll_more(from, &mut cx, expected)
                    && length.expect("readable") == 0
                {
                    assert_eq!(*decoder, Decoder::Close, "the body ended too early");
                    return Ok((body, trailers));
                }
            }
        }
    }
}

fn encoded(encoder: Encoder, pieces: &[Vec<u8>], trailers: Option<&HeaderMap>) -> Vec<u8> {
    let (mut encoder, mut all) = (encoder, Vec::new());
    for piece in pieces {
        let mut out = Out::default();
        encoder
            .data(piece.clone().into(), &mut out)
            .expect("not too long");
        all.extend(written(out));
    }
    let mut out = Out::default();
    encoder.end(trailers, &mut out).expect("not too short");
    all.extend(written(out));
    all
}

fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    // Some below and some above what is copied.
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 2000..2100),
    ];
    prop::collection::vec(piece, 0..5)
}

proptest! {
    #[test]
    fn a_body_is_read_as_it_was_written_whatever_pieces_it_comes_in(
        pieces in pieces(),
        chunked in any::<bool>(),
        piece in 1_usize..3000,
        behind in "[a-z]{0,9}",
    ) {
        let whole = pieces.concat();
        let (encoder, mut decoder) = match chunked {
            true => (Encoder::Chunked, Decoder::CHUNKED),
            false => {
                let length = whole.len() as u64;
                (Encoder::Length(length), Decoder::Length(length))
            }
        };
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("7"));
        let trailers = chunked.then_some(trailers);
        let mut bytes = encoded(encoder, &pieces, trailers.as_ref());
        bytes.extend_from_slice(behind.as_bytes());
        let mut from = slow(bytes, piece);
        let mut ahead = Ahead::default();
        let got = read(&mut decoder, &mut ahead, &mut from).expect("well-formed");
        prop_assert_eq!(got, (whole, trailers));
        let rest = [&ahead.into_bytes()[..], &from.bytes[..]].concat();
        prop_assert_eq!(rest, behind.into_bytes());
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let bytes = Bytes::from(bytes);
        let _ = request_head(&bytes);
        let _ = response_head(&bytes);
        let mut ahead = Ahead::new(bytes);
        let mut decoder = Decoder::CHUNKED;
        while let Ok(Piece::Data(_)) = decoder.decode(&mut ahead) {}
    }

    #[test]
    fn a_cut_head_is_waited_for(cut in 0_usize..58) {
        let whole = b"POST /a?b HTTP/1.1\r\nhost: shop\r\ncontent-length: 3\r\nx: \xe4\r\n\r\n";
        let bytes = Bytes::copy_from_slice(&whole[..cut]);
        prop_assert!(request_head(&bytes).expect("well-formed so far").is_none());
    }
}

#[test]
fn a_request_is_read_as_it_was_written() {
    let mut headers = HeaderMap::new();
    headers.append(header::HOST, HeaderValue::from_static("shop"));
    headers.append("x", HeaderValue::from_static("1"));
    headers.append("x", HeaderValue::from_static("2"));
    let uri = Uri::from_static("http://shop/cart?all");
    let mut out = Out::default();
    write_request(&Method::PUT, &uri, &headers, Encoder::Length(12), &mut out);
    let bytes = Bytes::from(written(out));
    let (head, length) = request_head(&bytes).expect("well-formed").expect("whole");
    assert_eq!(length, bytes.len());
    assert_eq!((head.method, head.version), (Method::PUT, Version::HTTP_11));
    assert_eq!(head.uri, "/cart?all");
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("12"));
    assert_eq!(head.headers, headers);
    assert_eq!(content_length(&head.headers), Ok(Some(12)));
}

#[test]
fn a_response_is_read_as_it_was_written() {
    let mut out = Out::default();
    let reason = Some(&b"Fine"[..]);
    write_response(
        StatusCode::OK,
        reason,
        &HeaderMap::new(),
        Encoder::Chunked,
        &mut out,
    );
    let bytes = Bytes::from(written(out));
    let (head, length) = response_head(&bytes).expect("well-formed").expect("whole");
    assert_eq!(length, bytes.len());
    assert_eq!(head.status, StatusCode::OK);
    assert_eq!(head.reason.as_deref(), reason);
    assert_eq!(is_chunked(&head.headers), Some(true));
}

#[test]
fn a_body_of_another_length_than_its_head_says_is_an_error() {
    let mut out = Out::default();
    let mut encoder = Encoder::Length(2);
    assert_eq!(
        encoder.data(Bytes::from_static(b"abc"), &mut out),
        Err(WrongLength)
    );
    assert_eq!(Encoder::Length(2).end(None, &mut out), Err(WrongLength));
}

#[test]
fn a_piece_without_bytes_does_not_end_a_body_in_chunks() {
    let bytes = encoded(Encoder::Chunked, &[vec![], b"a".to_vec()], None);
    assert_eq!(bytes, b"1\r\na\r\n0\r\n\r\n");
}

#[test]
fn a_length_that_is_no_number_or_not_one_is_malformed() {
    for values in [
        &["1", "2"][..],
        &["+1"],
        &[""],
        &["0x1"],
        &["1 1"],
        &["99999999999999999999"],
    ] {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::CONTENT_LENGTH, HeaderValue::from_static(value));
        }
        assert_eq!(
            content_length(&headers),
            Err(Malformed::Length),
            "{values:?}"
        );
    }
    let mut headers = HeaderMap::new();
    for _ in 0..2 {
        headers.append(header::CONTENT_LENGTH, HeaderValue::from_static("7"));
    }
    assert_eq!(content_length(&headers), Ok(Some(7)));
}

#[test]
fn a_line_without_an_end_is_not_held_for_ever() {
    for start in ["1;", "0\r\nx: "] {
        let endless = [start.as_bytes(), &[b'a'; 20_000]].concat();
        let mut ahead = Ahead::new(endless.into());
        let mut decoder = Decoder::CHUNKED;
        assert!(decoder.decode(&mut ahead).is_err(), "{start:?}");
    }
}

#[test]
fn a_connection_that_says_something_unasked_is_not_quiet() {
    let mut silent = slow(b"x".to_vec(), 1);
    assert!(Ahead::default().is_quiet(&mut silent));
    let mut talking = Slow {
        waits: true,
        ..slow(b"x".to_vec(), 1)
    };
    assert!(!Ahead::default().is_quiet(&mut talking));
    let mut closed = slow(Vec::new(), 1);
    assert!(!Ahead::default().is_quiet(&mut closed));
}

#[test]
fn what_was_read_stays_as_it_was_while_more_is_read() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut read = |index: usize| {
        let bytes = vec![index as u8; 1 + 97 * index];
        let mut ahead = Ahead::default();
        let polled = ahead.poll_more(&mut &bytes[..], &mut cx, 0);
        assert!(matches!(polled, Poll::Ready(Ok(length)) if length == bytes.len()));
        (ahead.into_bytes(), bytes)
    };
    // Of several chunks, small and large; every second one is let go again.
    let held: Vec<_> = (0..60).map(&mut read).step_by(2).collect();
    for (kept, bytes) in held {
        assert_eq!(kept, bytes);
    }
}

#[test]
fn two_messages_that_are_written_at_the_same_time_do_not_meet() {
    let head = |target: &'static str| {
        let mut out = Out::default();
        let (uri, none) = (Uri::from_static(target), HeaderMap::new());
        write_request(&Method::GET, &uri, &none, Encoder::None, &mut out);
        out
    };
    // What one was written from serves the next one.
    for _ in 0..3 {
        let (first, second) = (head("/first"), head("/second"));
        assert_eq!(written(first), b"GET /first HTTP/1.1\r\n\r\n");
        assert_eq!(written(second), b"GET /second HTTP/1.1\r\n\r\n");
    }
}
