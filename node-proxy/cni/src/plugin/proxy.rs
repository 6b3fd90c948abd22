//! One question to the node proxy.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use crate::protocol::{Answer, LONGEST_MESSAGE, Request};

/// For answers that need no waiting.
pub(super) const PROMPT: Duration = Duration::from_secs(5);

/// Asks, and waits for the answer no longer than `patience`.
///
/// # Errors
/// Nobody listens, or whoever does went away, or does not speak as agreed.
pub(super) fn ask(socket: &Path, request: &Request, patience: Duration) -> io::Result<Answer> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text)?;
    stream.shutdown(Shutdown::Write)?;
    let mut line = String::new();
    BufReader::new(stream.take(LONGEST_MESSAGE)).read_line(&mut line)?;
    if line.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_str(&line)?)
}
