//! Lengths on the wire, for those who put messages together from encoded parts.
//!
//! Source: protobuf.dev, "Encoding", "Base 128 Varints".

use prost::encoding::{encode_varint, encoded_len_varint};

/// How many bytes a length takes: 1 to 10.
pub fn length(of: usize) -> usize {
    encoded_len_varint(of as u64)
}

/// Writes a length.
pub fn put(length: usize, to: &mut Vec<u8>) {
    encode_varint(length as u64, to);
}
