//! The server of all paths: a thread for each connection.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    thread,
};

use anyhow::Context;
use heddle_redirect::Netns;

use crate::wire::{self, Exchange};

/// Where requests come in.
pub(crate) const HTTP: u16 = 8080;
/// Where bytes come in.
pub(crate) const BYTES: u16 = 9000;

/// Serves both ports in a pod's namespace for as long as this process lives.
pub(crate) fn start(netns: &Netns) -> anyhow::Result<()> {
    for (port, exchange) in [(HTTP, Exchange::Http), (BYTES, Exchange::Bytes)] {
        let listener = netns.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
        let listener = listener.with_context(|| format!("cannot listen on port {port}"))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away in the middle is counted by the client.
                thread::spawn(move || serve(stream, exchange));
            }
        });
    }
    Ok(())
}

fn serve(mut stream: TcpStream, exchange: Exchange) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = [0; 4096];
    match exchange {
        Exchange::Bytes => loop {
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => stream.write_all(&buffer[..read])?,
            }
        },
        Exchange::Http => {
            let answer = wire::answer();
            let mut filled = 0;
            loop {
                match stream.read(&mut buffer[filled..])? {
                    0 => return Ok(()),
                    read => filled += read,
                }
                // Nobody sends the next request before the answer to this one, and none has a body.
                if buffer[..filled].ends_with(b"\r\n\r\n") {
                    stream.write_all(&answer)?;
                    filled = 0;
                }
            }
        }
    }
}
