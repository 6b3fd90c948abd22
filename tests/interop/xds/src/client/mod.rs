//! A scripted xDS client: says what it is told to, and checks what holds for every response.

mod answer;
mod stream;

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
};

use anyhow::{Context, Result, bail, ensure};
use heddle_proto::google::rpc;
use heddle_snapshot::TypeUrl;
use tonic::transport::{Channel, Endpoint};

pub use answer::Answer;
pub use stream::{Request, Stream, node};

use crate::{
    Variant,
    variant::Streams,
    world::{FENCES, SDS, fence},
};

/// How long a response may take before the rule counts as broken. Generous: only a broken server is ever waited for so long.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// How long a server is watched for what it must not send, beyond the moment when it has answered something later.
const GRACE: std::time::Duration = std::time::Duration::from_millis(60);

/// What a client remembers of one type.
#[derive(Clone, Debug, Default)]
struct Memory {
    /// The whole subscription (state of the world).
    names: Vec<String>,
    /// Of the last response.
    nonce: String,
    /// Of the last response that was accepted (state of the world).
    version: String,
}

/// One client with as many streams as its variant needs.
#[derive(Debug)]
pub struct Client {
    variant: Variant,
    node: String,
    channel: Channel,
    streams: HashMap<TypeUrl, Stream>,
    memory: HashMap<TypeUrl, Memory>,
    fences: usize,
    patience: std::time::Duration,
    /// Client features to announce with the first request.
    pub features: Vec<String>,
}

/// Connects to a server.
pub async fn connect(address: SocketAddr) -> Result<Channel> {
    Endpoint::from_shared(format!("http://{address}"))?
        .connect()
        .await
        .context("the server cannot be reached")
}

impl Client {
    /// A client of this node that has opened nothing yet.
    pub fn new(
        channel: Channel,
        variant: Variant,
        node: &str,
        patience: std::time::Duration,
    ) -> Self {
        Self {
            variant,
            node: node.to_owned(),
            channel,
            streams: HashMap::new(),
            memory: HashMap::new(),
            fences: 0,
            patience,
            features: Vec::new(),
        }
    }

    /// The stream that a type goes over, opened if need be.
    async fn stream(&mut self, type_url: TypeUrl) -> Result<&mut Stream> {
        let key = self.key(type_url);
        if !self.streams.contains_key(key) {
            let path = self.variant.path(type_url);
            let stream = Stream::open(
                self.channel.clone(),
                path,
                self.variant.protocol,
                &self.node,
                &self.features,
            )
            .await?;
            self.streams.insert(key, stream);
        }
        self.streams.get_mut(key).context("just opened")
    }

    fn key(&self, type_url: TypeUrl) -> TypeUrl {
        match self.variant.streams {
            Streams::Aggregated => "",
            Streams::PerType => type_url,
        }
    }

    /// Sends a request as it is.
    pub async fn send(&mut self, type_url: TypeUrl, request: Request) -> Result<()> {
        self.stream(type_url).await?.send(type_url, request).await
    }

    /// A request that only names its type: the legacy wildcard, if it is the first.
    pub async fn ask_without_names(&mut self, type_url: TypeUrl) -> Result<()> {
        let request = self.request(type_url);
        self.send(type_url, request).await
    }

    /// Subscribes to more names.
    pub async fn subscribe(&mut self, type_url: TypeUrl, names: &[&str]) -> Result<()> {
        let request = self.subscription(type_url, names, &[]);
        self.send(type_url, request).await
    }

    /// Subscribes to fewer.
    pub async fn unsubscribe(&mut self, type_url: TypeUrl, names: &[&str]) -> Result<()> {
        let request = self.subscription(type_url, &[], names);
        self.send(type_url, request).await
    }

    /// A request with the last nonce that changes the subscription. A delta client's nonce would be an ACK of its own, so it is left out.
    pub fn subscription(&mut self, type_url: TypeUrl, more: &[&str], less: &[&str]) -> Request {
        let memory = self.memory.entry(type_url).or_default();
        memory.names.retain(|name| !less.contains(&name.as_str()));
        for name in more {
            if !memory.names.iter().any(|known| known == name) {
                memory.names.push((*name).to_owned());
            }
        }
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Request {
            subscribe: owned(more),
            unsubscribe: owned(less),
            ..self.request(type_url)
        }
    }

    fn request(&self, type_url: TypeUrl) -> Request {
        let memory = self.memory.get(type_url).cloned().unwrap_or_default();
        Request {
            names: memory.names,
            version: memory.version,
            nonce: if self.variant.is_delta() {
                String::new()
            } else {
                memory.nonce
            },
            ..Request::default()
        }
    }

    /// The next response of this type. On an aggregated stream nothing else may come before it.
    pub async fn receive(&mut self, type_url: TypeUrl) -> Result<Answer> {
        let patience = self.patience;
        let answer = tokio::time::timeout(patience, self.stream(type_url).await?.receive())
            .await
            .with_context(|| format!("no response of type {} came", short(type_url)))??;
        ensure!(
            answer.type_url == type_url,
            "a response of type {} was expected, {answer:?} came",
            short(type_url)
        );
        let memory = self.memory.entry(type_url).or_default();
        ensure!(
            !answer.nonce.is_empty() && answer.nonce != memory.nonce,
            "the nonce is {:?}, and the one before was {:?}",
            answer.nonce,
            memory.nonce
        );
        memory.nonce.clone_from(&answer.nonce);
        Ok(answer)
    }

    /// The next response of whatever type on an aggregated stream.
    pub async fn receive_any(&mut self) -> Result<Answer> {
        let patience = self.patience;
        let answer = tokio::time::timeout(patience, self.stream(SDS).await?.receive())
            .await
            .context("no response came")??;
        let memory = self.memory.entry(answer.type_url).or_default();
        memory.nonce.clone_from(&answer.nonce);
        Ok(answer)
    }

    /// How the server ended the stream that this type goes over.
    pub async fn ended(&mut self, type_url: TypeUrl) -> Result<tonic::Status> {
        let patience = self.patience;
        let stream = self.stream(type_url).await?;
        tokio::time::timeout(patience, stream.ended())
            .await
            .context("the stream was not ended")
    }

    /// The ACK of a response.
    pub fn acceptance(&mut self, answer: &Answer) -> Request {
        let memory = self.memory.entry(answer.type_url).or_default();
        memory.version.clone_from(&answer.version);
        Request {
            nonce: answer.nonce.clone(),
            ..self.request(answer.type_url)
        }
    }

    /// Accepts a response.
    pub async fn accept(&mut self, answer: &Answer) -> Result<()> {
        let request = self.acceptance(answer);
        self.send(answer.type_url, request).await
    }

    /// Refuses a response.
    pub async fn refuse(&mut self, answer: &Answer, message: &str) -> Result<()> {
        let request = Request {
            nonce: answer.nonce.clone(),
            error: Some(rpc::Status {
                code: 3,
                message: message.to_owned(),
                details: Vec::new(),
            }),
            ..self.request(answer.type_url)
        };
        self.send(answer.type_url, request).await
    }

    /// Receives and accepts.
    pub async fn take(&mut self, type_url: TypeUrl) -> Result<Answer> {
        let answer = self.receive(type_url).await?;
        self.accept(&answer).await?;
        Ok(answer)
    }

    /// Receives and accepts, and expects `"name=word name=word -removed"`, ordered by name.
    pub async fn expect(&mut self, type_url: TypeUrl, expected: &str) -> Result<Answer> {
        let answer = self.take(type_url).await?;
        ensure!(
            answer.told() == expected,
            "{:?} was expected, {:?} came",
            expected,
            answer.told()
        );
        Ok(answer)
    }

    /// Receives and accepts until this resource has this word; what else comes is of no interest.
    pub async fn until(&mut self, type_url: TypeUrl, name: &str, word: &str) -> Result<()> {
        loop {
            let answer = self.take(type_url).await?;
            if answer.words.get(name).is_some_and(|known| known == word) {
                return Ok(());
            }
        }
    }

    /// Nothing is on its way. On an aggregated stream something else is asked for first, and its answer has to be the next.
    pub async fn quiet(&mut self) -> Result<()> {
        if self.variant.is_aggregated() {
            ensure!(self.fences < FENCES, "the suite has too few fences");
            let name = fence(self.fences);
            self.fences += 1;
            self.subscribe(SDS, &[&name]).await?;
            self.until_fence(&name).await?;
        }
        for stream in self.streams.values_mut() {
            if let Ok(answer) = tokio::time::timeout(GRACE, stream.receive()).await {
                bail!("nothing should come, but this did: {answer:?}");
            }
        }
        Ok(())
    }

    /// Nothing is on its way on an aggregated stream, but for responses of this type that have nothing in them.
    pub async fn quiet_but_for_empty(&mut self, type_url: TypeUrl) -> Result<()> {
        let name = fence(self.fences);
        self.fences += 1;
        self.subscribe(SDS, &[&name]).await?;
        loop {
            let answer = self.receive_any().await?;
            self.accept(&answer).await?;
            if answer.words.contains_key(&name) {
                return Ok(());
            }
            ensure!(
                answer.type_url == type_url && answer.told().is_empty(),
                "nothing should come, but this did: {answer:?}"
            );
        }
    }

    async fn until_fence(&mut self, name: &str) -> Result<()> {
        let answer = self
            .take(SDS)
            .await
            .context("nothing should come before the answer to a later question")?;
        ensure!(
            answer.words.contains_key(name),
            "{name} was asked for, {answer:?} came"
        );
        Ok(())
    }

    /// Breaks all streams off and forgets nonces and subscriptions, as a client that connects again.
    pub fn reconnect(&mut self) {
        self.streams.clear();
        self.memory.clear();
        self.fences = 0;
    }

    /// Versions of resources, by name, from an answer: what a client tells when it comes back.
    pub fn known(answer: &Answer) -> BTreeMap<String, String> {
        answer.versions.clone()
    }
}

/// The last word of a type URL.
pub fn short(type_url: &str) -> &str {
    type_url.rsplit('.').next().unwrap_or(type_url)
}
