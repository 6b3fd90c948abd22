//! Redirection and packet rules with real namespaces, real nftables and real sockets.
//!
//! The binary runs itself again inside fresh namespaces (as root, or in a user namespace of its own), so that no rule, link or
//! socket of a test is ever outside, and none outlives it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod capture;
mod harness;
mod names;
mod packets;
mod sockets;
mod world;

use harness::Test;

fn main() {
    harness::enter_namespaces();
    let tests: Vec<Test> = [capture::TESTS, names::TESTS, packets::TESTS, sockets::TESTS].concat();
    harness::run(&tests);
}
