//! gRPC's framing of messages (PROTOCOL-HTTP2.md, Length-Prefixed-Message): a byte for compression, four for the length, the message.

use bytes::{BufMut, Bytes, BytesMut};

/// Before each message.
const PREFIX: usize = 5;

/// One message without compression.
pub(super) fn message(length: u32) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(length);
    framed.put_bytes(b'x', length as usize);
    framed.freeze()
}

/// Takes a whole message, with its prefix, from the beginning; `None` while it is not there.
pub(super) fn take(buffer: &mut BytesMut) -> Option<Bytes> {
    let length = buffer.get(1..PREFIX)?.try_into().ok()?;
    let whole = PREFIX + u32::from_be_bytes(length) as usize;
    (buffer.len() >= whole).then(|| buffer.split_to(whole).freeze())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_taken_when_it_is_whole_and_no_sooner() {
        let one = message(100);
        let mut buffer = BytesMut::new();
        for byte in &one[..one.len() - 1] {
            buffer.put_u8(*byte);
            assert_eq!(take(&mut buffer), None);
        }
        buffer.extend_from_slice(b"x");
        buffer.extend_from_slice(&message(7));
        assert_eq!(take(&mut buffer), Some(one));
        assert_eq!(take(&mut buffer), Some(message(7)));
        assert!(buffer.is_empty());
    }
}
