//! Bytes there and back.

use std::io;

use super::Talk;

/// A client that sends some bytes and wants them back.
pub(crate) struct EchoClient {
    request: Vec<u8>,
    asked: Option<usize>,
    /// Of those that are to come back.
    heard: usize,
}

impl EchoClient {
    pub(crate) fn new(request: Vec<u8>) -> Self {
        Self {
            request,
            asked: None,
            heard: 0,
        }
    }
}

impl Talk for EchoClient {
    fn ask(&mut self, number: usize, output: &mut Vec<u8>) {
        (self.asked, self.heard) = (Some(number), 0);
        output.extend_from_slice(&self.request);
    }

    fn hear(
        &mut self,
        input: &[u8],
        _output: &mut Vec<u8>,
        answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        let wanted = &self.request[self.heard..];
        if input.len() > wanted.len() || !wanted.starts_with(input) {
            return Err(io::Error::other("other bytes came back"));
        }
        self.heard += input.len();
        if self.heard == self.request.len() {
            answered.extend(self.asked.take());
        }
        Ok(input.len())
    }
}

/// A server that sends back what comes.
pub(super) struct EchoServer;

impl Talk for EchoServer {
    fn hear(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        _answered: &mut Vec<usize>,
    ) -> io::Result<usize> {
        output.extend_from_slice(input);
        Ok(input.len())
    }
}
