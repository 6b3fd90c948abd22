//! Messages of HTTP/1.1 as the node proxy reads them.

use std::task::{Context, Waker};

use bytes::Bytes;
use heddle_http1::{
    Ahead, Decoder, Encoder, Malformed, Out, Piece, content_length, is_chunked, request_head,
    response_head, write_request, write_response,
};
use http::HeaderMap;

/// Bytes from which a limit may be reached, so that how they are cut can matter.
const LARGE: usize = 8 * 1024;

/// A client's request: what was read and is written is read as the same again.
pub fn http1_request(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(Some((head, length))) = request_head(&bytes) else {
        return;
    };
    assert!(length <= bytes.len());
    let mut out = Out::default();
    write_request(
        &head.method,
        &head.uri,
        &head.headers,
        Encoder::None,
        &mut out,
    );
    let again = request_head(&written(out)).expect("well formed");
    let (again, _) = again.expect("whole");
    assert_eq!(again.method, head.method);
    assert_eq!(again.headers, head.headers);
    if head.uri.authority().is_none() {
        assert_eq!(again.uri, head.uri);
    }
}

/// A server's response, body included: it does not matter how the connection cuts it.
pub fn http1_response(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let Ok(Some((head, length))) = response_head(&bytes) else {
        return;
    };
    assert!(length <= bytes.len());
    let mut out = Out::default();
    let reason = head.reason.as_deref();
    write_response(head.status, reason, &head.headers, Encoder::None, &mut out);
    let again = response_head(&written(out)).expect("well formed");
    let (again, _) = again.expect("whole");
    assert_eq!(
        (again.status, again.headers),
        (head.status, head.headers.clone())
    );
    let decoder = match (is_chunked(&head.headers), content_length(&head.headers)) {
        (Some(true), _) => Decoder::CHUNKED,
        (None, Ok(Some(length))) => Decoder::Length(length),
        _ => Decoder::Close,
    };
    let rest = bytes.slice(length..);
    if rest.len() < LARGE {
        let size = 1 + rest.len() % 7;
        assert_eq!(body(decoder, rest.chunks(size)), body(decoder, [&rest[..]]));
    }
}

fn written(mut out: Out) -> Bytes {
    let mut bytes: Vec<u8> = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    let written = out.poll_write(&mut bytes, &mut cx);
    assert!(written.is_ready());
    bytes.into()
}

/// The bytes of a body, its trailers, and whether it ended.
type Read = (Vec<u8>, Option<HeaderMap>, Result<bool, Malformed>);

fn body<'a>(mut decoder: Decoder, pieces: impl IntoIterator<Item = &'a [u8]>) -> Read {
    let (mut ahead, mut data, mut trailers) = (Ahead::default(), Vec::new(), None);
    let mut cx = Context::from_waker(Waker::noop());
    for mut piece in pieces {
        // A read ends at the end of its buffer.
        while !piece.is_empty() {
            let more = ahead.poll_more(&mut piece, &mut cx, decoder.expected());
            assert!(more.is_ready());
        }
        loop {
            match decoder.decode(&mut ahead) {
                Ok(Piece::Data(more)) => data.extend_from_slice(&more),
                Ok(Piece::Trailers(more)) => trailers = Some(more),
                Ok(Piece::End) => return (data, trailers, Ok(true)),
                Ok(Piece::Nothing) => break,
                Err(malformed) => return (data, trailers, Err(malformed)),
            }
        }
    }
    (data, trailers, Ok(decoder.is_done()))
}
