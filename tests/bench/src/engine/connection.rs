//! A connection that is ready now and then.

use std::{
    io::{self, Read, Write},
    net::TcpStream,
    os::fd::OwnedFd,
};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustls::ClientConnection;

use super::Talk;

/// As much is read at once.
pub(super) const CHUNK: usize = 256 << 10;

/// A connection, what is spoken on it, and what waits in both directions.
pub(super) struct Connection {
    stream: TcpStream,
    /// A client's, if it speaks TLS.
    tls: Option<Box<ClientConnection>>,
    pub(super) talk: Box<dyn Talk>,
    /// What `talk` could not use yet.
    input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Of `output`.
    sent: usize,
    /// Whether epoll tells when it can be written to.
    waits_to_write: bool,
}

impl Connection {
    /// Registers a connected stream under a number.
    pub(super) fn new(
        epoll: &OwnedFd,
        stream: TcpStream,
        number: usize,
        tls: Option<ClientConnection>,
        talk: Box<dyn Talk>,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        epoll::add(
            epoll,
            &stream,
            EventData::new_u64(number as u64),
            EventFlags::IN,
        )?;
        Ok(Self {
            stream,
            tls: tls.map(Box::new),
            talk,
            input: Vec::new(),
            output: Vec::new(),
            sent: 0,
            waits_to_write: false,
        })
    }

    /// Reads what is there, once, and lets `talk` hear it. The other side's end is an error of kind `UnexpectedEof`.
    pub(super) fn read(&mut self, chunk: &mut [u8], answered: &mut Vec<usize>) -> io::Result<()> {
        let received = match &mut self.tls {
            Some(tls) => receive(&mut self.stream, tls, chunk),
            None => self.stream.read(chunk),
        };
        let read = match received {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.input.is_empty() {
            let used = self.talk.hear(&chunk[..read], &mut self.output, answered)?;
            self.input.extend_from_slice(&chunk[used..read]);
        } else {
            self.input.extend_from_slice(&chunk[..read]);
            let used = self.talk.hear(&self.input, &mut self.output, answered)?;
            self.input.drain(..used);
        }
        Ok(())
    }

    /// Sends what waits, as far as it goes now; epoll tells when it goes on.
    pub(super) fn flush(&mut self, epoll: &OwnedFd, number: usize) -> io::Result<()> {
        loop {
            if let Some(tls) = &mut self.tls {
                // It takes what it has room for, and keeps it while the handshake goes on.
                self.sent += tls.writer().write(&self.output[self.sent..])?;
                if !tls.wants_write() {
                    break;
                }
            } else if self.sent == self.output.len() {
                break;
            }
            let sent = match &mut self.tls {
                Some(tls) => tls.write_tls(&mut self.stream).map(|sent| (sent, 0)),
                None => self
                    .stream
                    .write(&self.output[self.sent..])
                    .map(|sent| (sent, sent)),
            };
            match sent {
                Ok((0, _)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok((_, sent)) => self.sent += sent,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.watch_writing(epoll, number, true);
                }
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.sent = 0;
        self.watch_writing(epoll, number, false)
    }

    fn watch_writing(&mut self, epoll: &OwnedFd, number: usize, wanted: bool) -> io::Result<()> {
        if self.waits_to_write != wanted {
            let mut flags = EventFlags::IN;
            flags.set(EventFlags::OUT, wanted);
            epoll::modify(
                epoll,
                &self.stream,
                EventData::new_u64(number as u64),
                flags,
            )?;
            self.waits_to_write = wanted;
        }
        Ok(())
    }
}

/// Reads what is there, once, and tells how much of it is for the other end of TLS; as if nothing had come while the handshake goes on.
fn receive(
    stream: &mut TcpStream,
    tls: &mut ClientConnection,
    chunk: &mut [u8],
) -> io::Result<usize> {
    if tls.read_tls(stream)? == 0 {
        return Ok(0);
    }
    tls.process_new_packets().map_err(io::Error::other)?;
    // One reading is less than `chunk` holds, so that nothing is left of it.
    tls.reader().read(chunk)
}
