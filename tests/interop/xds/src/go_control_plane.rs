//! go-control-plane, in a process of its own.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures::future::BoxFuture;
use heddle_proto::{Message, google::protobuf::Any};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    process::{Child, Command},
};

use crate::{
    Variant, World,
    run::Deviation,
    server::Server,
    variant::{DELTA_ADS, DELTA_PER_TYPE, WORLD_ADS, WORLD_PER_TYPE},
};

/// Names the server's program, built from `tests/interop/go`.
pub const PROGRAM: &str = "HEDDLE_GO_CONTROL_PLANE";

/// Where go-control-plane 0.14.0 with its snapshot cache is known to keep to other rules. The table in README.md tells the same.
pub const KNOWN: &[Deviation] = &[
    certain("an_asterisk_asks_for_everything", WORLD, ASTERISK),
    certain(
        "a_wildcard_and_names_may_be_mixed_and_dropping_it_keeps_the_names",
        WORLD,
        ASTERISK,
    ),
    certain("no_resource_is_in_a_response_twice", WORLD, ASTERISK),
    certain(
        "an_empty_list_after_names_means_nothing",
        &[WORLD_ADS],
        "state of the world: after an empty list the next change brings everything, as the cache looks at the request's names alone",
    ),
    certain("what_was_refused_is_not_sent_again", WORLD, VERSION),
    certain("a_version_does_not_make_a_nack", WORLD, VERSION),
    by_chance(
        "a_nack_of_one_type_leaves_the_others_alone",
        &[WORLD_ADS],
        VERSION,
    ),
    certain(
        "a_name_that_does_not_exist_is_told_as_removed_at_once",
        DELTA,
        "delta: only names that were sent before are told as removed",
    ),
    certain(
        "a_name_that_is_subscribed_again_is_answered_again",
        DELTA,
        AGAIN,
    ),
    certain(
        "a_wildcard_and_names_may_be_mixed_and_dropping_it_keeps_the_names",
        DELTA,
        AGAIN,
    ),
    certain(
        "no_time_to_live_without_the_features_for_it",
        WORLD,
        "state of the world: the wrapper is sent whatever the client announces",
    ),
    certain(
        "a_heartbeat_has_no_body",
        DELTA,
        "delta: the snapshot cache gives no resource a time to live",
    ),
    by_chance("a_change_goes_from_clusters_to_routes", ADS, ORDER),
    certain("a_route_waits_until_its_cluster_is_accepted", ADS, ORDER),
    certain(
        "a_cluster_goes_only_after_the_route_without_it_is_accepted",
        ADS,
        ORDER,
    ),
    certain(
        "endpoints_follow_each_update_of_their_cluster",
        ADS,
        "types know nothing of each other; Envoy's own cache of endpoints makes up for it",
    ),
];

const ADS: &[Variant] = &[WORLD_ADS, DELTA_ADS];
const WORLD: &[Variant] = &[WORLD_ADS, WORLD_PER_TYPE];
const DELTA: &[Variant] = &[DELTA_ADS, DELTA_PER_TYPE];

const ASTERISK: &str = "state of the world: `*` is looked up as a name, so that it brings nothing";
const VERSION: &str = "state of the world: whoever does not tell the newest version is sent it, at once and again, also after a NACK";
const AGAIN: &str = "delta: what was sent on the stream at this version is not sent again when it is asked for again";
const ORDER: &str = "the snapshot cache sends all types at once, in no order; its flag for ADS would order them, but leave requests \
                     unanswered that do not name every resource there is, and waits for no ACK either";

const fn certain(
    rule: &'static str,
    variants: &'static [Variant],
    reason: &'static str,
) -> Deviation {
    Deviation {
        rule,
        variants,
        reason,
        certain: true,
    }
}

const fn by_chance(
    rule: &'static str,
    variants: &'static [Variant],
    reason: &'static str,
) -> Deviation {
    Deviation {
        certain: false,
        ..certain(rule, variants, reason)
    }
}

/// The version of each type, by type URL.
pub type Versions = BTreeMap<String, String>;

/// What a client said to a response.
#[derive(Clone, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The response's type.
    pub type_url: String,
    /// The response's version of that type.
    pub version: String,
    /// The text of a NACK; empty for an ACK.
    pub error: String,
}

fn resource(any: &Any, ttl: Option<Duration>) -> serde_json::Value {
    serde_json::json!({
        "any": any.encode_to_vec(),
        "ttlMilliseconds": ttl.map(|ttl| ttl.as_millis()),
    })
}

/// A running server. It is killed when dropped.
#[derive(Debug)]
pub struct GoControlPlane {
    xds: SocketAddr,
    control: SocketAddr,
    tls: SocketAddr,
    process: Child,
}

/// How often resources with a time to live are told again.
const HEARTBEATS: Duration = Duration::from_millis(200);

impl GoControlPlane {
    /// Starts the program that [`PROGRAM`] names on 127.0.0.1, serving what a new world has.
    pub async fn start() -> Result<Self> {
        Self::start_at(Ipv4Addr::LOCALHOST.into()).await
    }

    /// As [`start`](Self::start), on this address of the machine.
    pub async fn start_at(ip: IpAddr) -> Result<Self> {
        let program = std::env::var(PROGRAM).with_context(|| {
            format!(
                "{PROGRAM} must name the Go server; scripts/interop.sh xds builds it and sets that"
            )
        })?;
        let mut process = Command::new(program)
            .arg(HEARTBEATS.as_millis().to_string())
            .arg(ip.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the Go server cannot be started")?;
        // `xds 127.0.0.1:1` and `control 127.0.0.1:2`, one a line.
        let output = process.stdout.take().context("it has an output")?;
        let mut lines = BufReader::new(output).lines();
        let mut address = async |name: &str| -> Result<SocketAddr> {
            let line = lines.next_line().await?.context("it ended at once")?;
            let address = line.strip_prefix(name).map(str::trim);
            Ok(address.context("it tells its addresses")?.parse()?)
        };
        let server = Self {
            xds: address("xds").await?,
            control: address("control").await?,
            tls: address("tls").await?,
            process,
        };
        server.put(&World::default()).await?;
        Ok(server)
    }

    async fn put(&self, world: &World) -> Result<()> {
        let resources = world
            .resources()
            .map(|(_, _, any, content)| resource(&any, content.ttl));
        self.put_world(resources.collect()).await?;
        Ok(())
    }

    async fn put_world(&self, resources: Vec<serde_json::Value>) -> Result<Versions> {
        let body = serde_json::to_vec(&resources)?;
        let answer = self.ask("PUT", "/world", &body).await?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// Serves these resources and no others from now on; says the version that each type has now.
    pub async fn serve(&self, resources: &[Any]) -> Result<Versions> {
        let resources = resources.iter().map(|any| resource(any, None));
        self.put_world(resources.collect()).await
    }

    /// What clients have said to responses so far, oldest first.
    pub async fn answers(&self) -> Result<Vec<Answer>> {
        Ok(serde_json::from_str(
            &self.ask("GET", "/answers", b"").await?,
        )?)
    }

    /// What a client has to trust at [`tls`](Self::tls), PEM.
    pub async fn roots(&self) -> Result<String> {
        self.ask("GET", "/roots", b"").await
    }

    /// Where the server speaks TLS, as `localhost`.
    pub fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// The server's process; `None` if it has ended.
    pub fn process(&self) -> Option<u32> {
        self.process.id()
    }

    async fn ask(&self, method: &str, path: &str, body: &[u8]) -> Result<String> {
        let mut connection = TcpStream::connect(self.control).await?;
        // HTTP/1.0: the answer is what comes until the end.
        let head = format!(
            "{method} {path} HTTP/1.0\r\nhost: control\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(head.as_bytes()).await?;
        connection.write_all(body).await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        let (head, body) = answer
            .split_once("\r\n\r\n")
            .context("it answers no HTTP")?;
        ensure!(head.starts_with("HTTP/1.0 200"), "it answers {answer:?}");
        Ok(body.to_owned())
    }
}

impl Server for GoControlPlane {
    fn address(&self) -> SocketAddr {
        self.xds
    }

    fn set<'a>(&'a self, world: &'a World) -> BoxFuture<'a, Result<()>> {
        Box::pin(self.put(world))
    }

    fn heartbeats(&self) -> Option<Duration> {
        Some(HEARTBEATS)
    }
}
