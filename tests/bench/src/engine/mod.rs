//! Clients and servers of the bench: one thread each, many connections, sockets that are asked when they are ready (epoll).
//!
//! Both do as little as possible for each exchange, so that what bounds a measurement is the proxy: two system calls, and a look at the
//! answer that tells whether it is the expected one.

mod connection;
mod echo;
mod grpc;
mod h1;
mod h2_load;
mod h2_server;
mod load;
mod schedule;
mod server;

use std::io;

pub(crate) use echo::{EchoClient, UploadClient};
pub(crate) use h1::H1Client;
pub(crate) use h2_load::{H2Load, once_h2, run_h2};
pub(crate) use h2_server::serve_h2;
pub(crate) use load::{Load, Observed, Pace, run};
pub(crate) use server::{Serves, serve};

/// One end of a protocol on one connection, without the connection.
pub(crate) trait Talk {
    /// Appends the next request to `output`. Its answer is reported by this number, which is free.
    fn ask(&mut self, _number: usize, _output: &mut Vec<u8>) {}

    /// Takes what it can use from the beginning of `input` and tells how much that was; what is to be sent is appended to `output`, and
    /// the numbers of requests whose answers are complete to `answered`. An error if it is not what was to come.
    fn hear(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        answered: &mut Vec<usize>,
    ) -> io::Result<usize>;
}
