//! `heddle grpc-bootstrap`: what a program with a gRPC library of its own needs to be in the mesh without a proxy (`docs/grpc.md`).
//!
//! ```text
//! token ─▶ certificate service ─▶ certificate, key, roots (folder) ◀─ read again and again ─ gRPC ─ shows them ─▶ control plane, peers
//! ```

mod document;
mod folder;

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, bail};
use heddle_cert_client::{GrpcIssuer, PemCertificate, Roots, Token};
use heddle_identity::SpiffeId;
use http::uri::Authority;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use self::{
    document::{Document, Pod},
    folder::{Content, Folder},
};

/// For whom, by whom, and where it is put.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The control plane, `host:15012`. Its certificate must have this host's name: gRPC checks it.
    #[arg(long, value_parser = control_plane)]
    control_plane: Authority,
    /// File with the roots that the control plane and peers are trusted by, PEM.
    #[arg(long)]
    roots: PathBuf,
    /// File with the token that proves who the program is; read anew for each use.
    #[arg(long)]
    token_file: PathBuf,
    /// Who the program is: `spiffe://cluster.local/ns/shop/sa/cart`.
    #[arg(long)]
    identity: SpiffeId,
    /// Its pod, `shop/cart-7d4`: only servers need it, to ask for their own listener.
    #[arg(long)]
    pod: Option<Pod>,
    /// Folder for bootstrap.json, certificate.pem, key.pem and roots.pem; made if absent.
    #[arg(long)]
    folder: PathBuf,
    /// Stay, and renew the certificate at half its life and the roots when their file changes.
    #[arg(long)]
    watch: bool,
    /// Lifetime of the certificate to ask for, in seconds, 60 to 86400.
    #[arg(long, default_value_t = 24 * 3600, value_parser = clap::value_parser!(u64).range(60..=86_400))]
    validity: u64,
    /// How often gRPC looks at the files, in seconds.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    refresh: u64,
    /// Calls to a Service that is removed go on as before, to the endpoints that it had last (gRFC A53); without it they fail.
    #[arg(long)]
    ignore_resource_deletion: bool,
}

/// How often the roots are looked at.
const LOOK: Duration = Duration::from_secs(5);

fn control_plane(text: &str) -> Result<Authority, String> {
    let text = text.strip_prefix("https://").unwrap_or(text);
    let authority = text.parse::<Authority>().map_err(|error| error.to_string());
    match authority {
        Ok(authority) if authority.port().is_some() && !text.contains('@') => Ok(authority),
        _ => Err("expected host:port, as in heddle-control-plane.heddle-system.svc:15012".into()),
    }
}

pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let mut keeper = Keeper::new(arguments)?;
    if !keeper.arguments.watch {
        let until = keeper.renew().await?;
        println!("{}", until.told(&keeper.folder));
        return Ok(());
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        ended = keeper.keep() => ended,
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// What was written.
struct Written {
    /// When to write again.
    renew_at: std::time::SystemTime,
    not_after: time::OffsetDateTime,
}

impl Written {
    fn told(&self, folder: &Folder) -> String {
        let (path, until) = (folder.path().display(), self.not_after);
        format!("{path}: written; the certificate counts until {until}")
    }
}

struct Keeper {
    arguments: Arguments,
    issuer: GrpcIssuer,
    folder: Folder,
    /// As they were last read.
    roots: String,
}

impl Keeper {
    fn new(arguments: Arguments) -> anyhow::Result<Self> {
        let host = arguments.control_plane.host();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let issuer = GrpcIssuer::new(
            format!("https://{}", arguments.control_plane),
            Roots::File(arguments.roots.clone()),
            name,
            Token::File(arguments.token_file.clone()),
        );
        let folder = Folder::open(&arguments.folder)?;
        Ok(Self {
            arguments,
            issuer,
            folder,
            roots: String::new(),
        })
    }

    /// Renews for ever. What was written last stays while the control plane does not answer.
    async fn keep(&mut self) -> anyhow::Result<()> {
        let mut failures = 0;
        loop {
            match self.renew().await {
                Ok(written) => {
                    failures = 0;
                    println!("{}", written.told(&self.folder));
                    self.wait_for(written.renew_at).await;
                }
                Err(error) => {
                    failures += 1;
                    let pause = PemCertificate::pause_after(failures);
                    eprintln!("heddle grpc-bootstrap: {error:#}; again in {pause:.1?}");
                    sleep(pause).await;
                }
            }
        }
    }

    /// Until then, or until the roots are others. A file that cannot be read changes nothing.
    async fn wait_for(&self, then: std::time::SystemTime) {
        loop {
            // The calendar may jump and machines may sleep: never in one go.
            let left = then.duration_since(std::time::SystemTime::now());
            match left {
                Ok(left) if !left.is_zero() => sleep(left.min(LOOK)).await,
                _ => return,
            }
            match std::fs::read_to_string(&self.arguments.roots) {
                Ok(roots) if roots != self.roots => return,
                _ => {}
            }
        }
    }

    /// Asks for a certificate and writes all files.
    async fn renew(&mut self) -> anyhow::Result<Written> {
        let path = &self.arguments.roots;
        let roots = std::fs::read_to_string(path);
        let roots = roots.with_context(|| format!("the roots {}", path.display()))?;
        if !roots.contains("-----BEGIN CERTIFICATE-----") {
            bail!("the roots {}: no PEM certificate in it", path.display());
        }
        let identity = &self.arguments.identity;
        let validity = Duration::from_secs(self.arguments.validity);
        let certificate = PemCertificate::request(&self.issuer, identity, validity).await;
        let certificate = certificate.with_context(|| {
            let from = &self.arguments.control_plane;
            format!("no certificate for {identity} from {from}")
        })?;
        self.folder.write(&Content {
            certificate: &certificate.chain,
            key: &certificate.key,
            roots: &roots,
        })?;
        // Last: whoever waits for it finds all the others.
        self.folder.write_bootstrap(&self.document().json())?;
        self.roots = roots;
        Ok(Written {
            renew_at: certificate.renew_at,
            not_after: certificate.not_after.into(),
        })
    }

    fn document(&self) -> Document<'_> {
        Document {
            control_plane: self.arguments.control_plane.as_str(),
            identity: &self.arguments.identity,
            pod: self.arguments.pod.as_ref(),
            folder: self.folder.path(),
            refresh: self.arguments.refresh,
            ignore_resource_deletion: self.arguments.ignore_resource_deletion,
        }
    }
}
