//! The one that was here before us.

use std::{os::unix::net::UnixStream as StdStream, path::Path};

use heddle_redirect::handover::{self, Passed};
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::UnixStream,
};

use super::{ASK, PATIENCE};

/// A node proxy that serves this node, and that we shall replace.
pub(crate) struct Predecessor(UnixStream);

/// What it left. As long as this is held it knows that we live.
#[derive(Default)]
pub(crate) struct Inheritance {
    /// Its listening sockets.
    pub(crate) sockets: Vec<Passed>,
    /// The connection to it.
    pub(crate) tie: Option<StdStream>,
}

impl Predecessor {
    /// The one that is there, if any.
    pub(crate) async fn find(path: &Path) -> Option<Self> {
        // No file, or nobody behind it: there is none.
        UnixStream::connect(path).await.ok().map(Self)
    }

    /// Returns when it is told to end (and hands its sockets over by itself), or is gone.
    pub(crate) async fn ends(&self) {
        // Whatever it says before it is asked is that; an error too.
        let _ = self.0.ready(Interest::READABLE).await;
    }

    /// Takes its sockets; from now on the node is ours. One that cannot give them leaves nothing.
    pub(crate) async fn take_over(mut self) -> Inheritance {
        // One that is ending does not listen any more, but has sent all.
        let _ = self.0.write_all(&[ASK]).await;
        let received = match self.0.into_std() {
            Ok(stream) => tokio::task::spawn_blocking(|| receive(stream)).await,
            Err(error) => Ok(Err(error)),
        };
        match received {
            Ok(Ok(inheritance)) => inheritance,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the former node proxy handed no sockets over; new ones are opened beside them");
                Inheritance::default()
            }
            // A panic was told by itself.
            Err(_) => Inheritance::default(),
        }
    }
}

fn receive(stream: StdStream) -> std::io::Result<Inheritance> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let sockets = handover::receive(&stream)?;
    tracing::info!(
        sockets = sockets.len(),
        "taken over from the former node proxy"
    );
    Ok(Inheritance {
        sockets,
        tie: Some(stream),
    })
}
