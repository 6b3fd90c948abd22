//! HTTP/1.1 messages on a connection (RFC 9112): heads and bodies, read and written.
//!
//! [`Ahead`] holds what was read and is not used yet, [`Out`] what is to be written; [`request_head`], [`response_head`] and [`Decoder`] turn the
//! one into messages, [`write_request`], [`write_response`] and [`Encoder`] messages into the other. What comes from a peer is copied once, into
//! memory that all its header values share, and a connection that waits has no buffer at all.
//!
//! Decides nothing about a message: which bodies there are, which connection is kept, what a route says are the callers'
//! (`heddle-upstream` for requests out and responses in, `heddle-listeners` for the other way). Knows no time limits and starts no task.

mod ahead;
mod decode;
mod encode;
mod head;
mod out;

pub use ahead::Ahead;
pub use decode::{Decoder, Piece};
pub use encode::{Encoder, WrongLength, write_request, write_response};
pub use head::{
    MOST_LINES, Malformed, RequestHead, ResponseHead, content_length, is_chunked, request_head,
    response_head,
};
pub use out::Out;

#[cfg(test)]
mod tests;
