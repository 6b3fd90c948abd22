//! The listeners with clients of raw bytes and of hyper's, upstreams and applications in memory. What a loop does
//! with a connection is a function of any byte stream, so no privilege is needed; except in `wired`, where all loops stand on
//! real sockets (CAP_NET_ADMIN, for the proxy's mark).

mod bad_http;
mod bytes;
mod classifying;
mod detecting;
mod ending;
mod good_http;
mod inbound;
mod judging;
mod mtls;
mod sizes;
mod usual_http;
mod wired;
mod world;
