//! The listeners with clients of raw bytes and of hyper's, upstreams and applications in memory. No privilege is needed: what
//! a loop does with a connection is a function of any byte stream.

mod bad_http;
mod bytes;
mod classifying;
mod detecting;
mod ending;
mod good_http;
mod inbound;
mod judging;
mod mtls;
mod world;
