//! The servers: a thread for each port, which does all of its connections.

use std::{io, net::TcpListener, os::fd::OwnedFd, thread};

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::{
    Talk,
    connection::{CHUNK, Connection},
    echo::BytesServer,
    h1::{Answers, H1Server},
};

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    /// HTTP/1.1.
    H1,
    /// What comes goes back, or is acknowledged.
    Bytes,
}

impl Serves {
    fn talk(self, answers: &Answers) -> Box<dyn Talk> {
        match self {
            Self::H1 => Box::new(H1Server::new(Answers::clone(answers))),
            Self::Bytes => Box::<BytesServer>::default(),
        }
    }
}

/// The listener's number; connections have those below.
const LISTENER: u64 = u64::MAX;

/// Serves for as long as this process lives.
pub(crate) fn serve(listener: TcpListener, serves: Serves) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let data = EventData::new_u64(LISTENER);
    epoll::add(&epoll, &listener, data, EventFlags::IN)?;
    thread::spawn(move || {
        let mut server = Server {
            listener,
            epoll,
            serves,
            answers: Answers::default(),
            connections: Vec::new(),
            free: Vec::new(),
        };
        // It can only fail for want of memory or file descriptors; what is measured then fails too, and tells.
        if let Err(error) = server.run() {
            eprintln!("a server of the bench ended: {error}");
        }
    });
    Ok(())
}

struct Server {
    listener: TcpListener,
    epoll: OwnedFd,
    serves: Serves,
    answers: Answers,
    connections: Vec<Option<Connection>>,
    /// Places in `connections`.
    free: Vec<usize>,
}

impl Server {
    fn run(&mut self) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        let mut events = Vec::with_capacity(256);
        loop {
            events.clear();
            match epoll::wait(
                &self.epoll,
                rustix::buffer::spare_capacity(&mut events),
                None,
            ) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    number => {
                        self.exchange(usize::try_from(number).unwrap_or(usize::MAX), &mut chunk)
                    }
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // It was taken back before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            let place = self.free.pop().unwrap_or_else(|| {
                self.connections.push(None);
                self.connections.len() - 1
            });
            let talk = self.serves.talk(&self.answers);
            self.connections[place] =
                Some(Connection::new(&self.epoll, stream, place, None, talk)?);
        }
    }

    fn exchange(&mut self, place: usize, chunk: &mut [u8]) {
        let Some(Some(connection)) = self.connections.get_mut(place) else {
            return;
        };
        let read = connection.read(chunk, &mut Vec::new());
        if read
            .and_then(|()| connection.flush(&self.epoll, place))
            .is_err()
        {
            // A client that goes away in the middle is counted by the client.
            self.connections[place] = None;
            self.free.push(place);
        }
    }
}
