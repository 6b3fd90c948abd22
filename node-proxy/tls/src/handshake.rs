//! The handshake: rustls says what is to be sent and when it wants more; this does it.

use std::io;

use bytes::{Buf, BytesMut};
use rustls::{
    CommonState, Error, ExtractedSecrets,
    client::{ClientConnectionData, UnbufferedClientConnection},
    pki_types::CertificateDer,
    server::{ServerConnectionData, UnbufferedServerConnection},
    unbuffered::{ConnectionState, EncodeError, EncodeTlsData, UnbufferedStatus},
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::{
    Established, TlsStream, failed,
    keys::{Keys, Schedule},
    reader::Reader,
    writer::Writer,
};

/// More than any flight of a handshake: its messages have at most 64 kB each.
const MOST_UNREAD: usize = 256 << 10;

/// One end's handshake.
pub(crate) trait Handshake {
    /// Which end.
    type Data;
    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
    fn state(&self) -> &CommonState;
    fn finish(self) -> Result<(ExtractedSecrets, Schedule), Error>;
}

/// rustls has the same methods for both ends, of types that have no trait in common.
macro_rules! end {
    ($connection:ty, $data:ty, $schedule:path) => {
        impl Handshake for $connection {
            type Data = $data;

            fn process<'c, 'i>(
                &'c mut self,
                incoming: &'i mut [u8],
            ) -> UnbufferedStatus<'c, 'i, Self::Data> {
                self.process_tls_records(incoming)
            }

            fn state(&self) -> &CommonState {
                self
            }

            fn finish(self) -> Result<(ExtractedSecrets, Schedule), Error> {
                let (secrets, connection) = self.dangerous_into_kernel_connection()?;
                Ok((secrets, $schedule(connection)))
            }
        }
    };
}

end!(
    UnbufferedClientConnection,
    ClientConnectionData,
    Schedule::Client
);
end!(
    UnbufferedServerConnection,
    ServerConnectionData,
    Schedule::Server
);

/// What is on its way during a handshake.
#[derive(Default)]
struct Flight {
    /// Read, not yet looked at.
    incoming: BytesMut,
    /// To be sent.
    outgoing: Vec<u8>,
    /// Data that came right behind the handshake, decrypted.
    early: Vec<u8>,
}

/// What rustls wants next.
enum Next {
    Send,
    Receive,
    Done,
}

/// Makes the handshake.
pub(crate) async fn make<H, I>(mut connection: H, mut io: I) -> io::Result<Established<I>>
where
    H: Handshake,
    I: AsyncRead + AsyncWrite + Unpin,
{
    let mut flight = Flight::default();
    loop {
        match flight.advance(&mut connection) {
            Ok(Next::Send) => flight.send(&mut io).await?,
            Ok(Next::Receive) => flight.receive(&mut io).await?,
            Ok(Next::Done) => break,
            Err(error) => {
                flight.complain(&mut connection);
                // What matters is the error, also if nobody hears it.
                let _ = flight.send(&mut io).await;
                return Err(failed(error));
            }
        }
    }
    let peer = connection.state().peer_certificates();
    let peer = peer.unwrap_or_default().iter();
    let peer = peer.cloned().map(CertificateDer::into_owned).collect();
    let stream = flight.establish(connection, io).map_err(failed)?;
    Ok(Established { stream, peer })
}

impl Flight {
    /// Goes on until rustls wants something of the connection.
    fn advance<H: Handshake>(&mut self, connection: &mut H) -> Result<Next, Error> {
        loop {
            let UnbufferedStatus {
                mut discard, state, ..
            } = connection.process(&mut self.incoming);
            let state = match state {
                Ok(state) => state,
                Err(error) => {
                    self.incoming.advance(discard);
                    return Err(error);
                }
            };
            let mut may_send = false;
            let next = match state {
                ConnectionState::EncodeTlsData(mut data) => {
                    encode(&mut data, &mut self.outgoing)?;
                    None
                }
                ConnectionState::TransmitTlsData(data) => {
                    data.done();
                    Some(Next::Send)
                }
                ConnectionState::BlockedHandshake => Some(Next::Receive),
                ConnectionState::WriteTraffic(_) => {
                    may_send = true;
                    None
                }
                ConnectionState::ReadTraffic(mut traffic) => {
                    while let Some(record) = traffic.next_record() {
                        let record = record?;
                        self.early.extend_from_slice(record.payload);
                        discard += record.discard;
                    }
                    None
                }
                other => {
                    return Err(Error::General(format!(
                        "the handshake ended early: {other:?}"
                    )));
                }
            };
            self.incoming.advance(discard);
            if may_send {
                // A server may be allowed to send before it knows the client.
                return Ok(match connection.state().is_handshaking() {
                    true => Next::Receive,
                    false => Next::Done,
                });
            }
            if let Some(next) = next {
                return Ok(next);
            }
        }
    }

    /// After an error: the alert that tells the peer why.
    fn complain<H: Handshake>(&mut self, connection: &mut H) {
        let status = connection.process(&mut self.incoming);
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) = status.state {
            let _ = encode(&mut alert, &mut self.outgoing);
        }
    }

    async fn send<I: AsyncWrite + Unpin>(&mut self, io: &mut I) -> io::Result<()> {
        io.write_all(&self.outgoing).await?;
        self.outgoing.clear();
        io.flush().await
    }

    async fn receive<I: AsyncRead + Unpin>(&mut self, io: &mut I) -> io::Result<()> {
        if self.incoming.len() >= MOST_UNREAD {
            return Err(failed(Error::PeerSentOversizedRecord));
        }
        match io.read_buf(&mut self.incoming).await? {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the peer closed the connection during the TLS handshake",
            )),
            _ => Ok(()),
        }
    }

    fn establish<H: Handshake, I>(self, connection: H, io: I) -> Result<TlsStream<I>, Error> {
        let (secrets, schedule) = connection.finish()?;
        let keys = Keys::new(schedule)?;
        let reader = Reader::new(keys.opener(secrets.rx)?, &self.early, &self.incoming);
        let writer = Writer::new(keys.sealer(secrets.tx)?);
        Ok(TlsStream::new(io, keys, reader, writer))
    }
}

/// Appends what rustls has to send; it must be given enough room first.
fn encode<D>(data: &mut EncodeTlsData<'_, D>, outgoing: &mut Vec<u8>) -> Result<(), Error> {
    let begin = outgoing.len();
    loop {
        match data.encode(&mut outgoing[begin..]) {
            Ok(written) => {
                outgoing.truncate(begin + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) => {
                outgoing.resize(begin + size.required_size, 0);
            }
            Err(error) => return Err(Error::General(error.to_string())),
        }
    }
}
