//! A response, once it has passed what holds for all of them.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use heddle_proto::{
    Message,
    envoy::service::discovery::v3::{
        DeltaDiscoveryResponse, DiscoveryResponse, Resource, ResourceError,
    },
    google::protobuf::Any,
    type_url::PUSH_ORDER,
};
use heddle_snapshot::TypeUrl;

use crate::world;

/// Type of a resource in its wrapper, in a state-of-the-world response.
const WRAPPED: &str = "type.googleapis.com/envoy.service.discovery.v3.Resource";

/// What a server said.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The type of all its resources.
    pub type_url: TypeUrl,
    /// What an ACK refers to.
    pub nonce: String,
    /// Of the whole response (state of the world).
    pub version: String,
    /// The words that its resources hold, by name.
    pub words: BTreeMap<String, String>,
    /// The versions of its resources, by name (delta).
    pub versions: BTreeMap<String, String>,
    /// Names that are gone or never were (delta).
    pub removed: Vec<String>,
    /// Names of resources that came without a body: heartbeats.
    pub heartbeats: Vec<String>,
    /// Times to live, by name.
    pub ttls: BTreeMap<String, Duration>,
    /// Names that the server tells an error of.
    pub errors: Vec<String>,
}

impl Answer {
    fn new(type_url: &str, nonce: String, version: String) -> Result<Self> {
        let known = PUSH_ORDER.iter().find(|known| **known == type_url);
        Ok(Self {
            type_url: known.with_context(|| format!("a response of the type {type_url:?}"))?,
            nonce,
            version,
            words: BTreeMap::new(),
            versions: BTreeMap::new(),
            removed: Vec::new(),
            heartbeats: Vec::new(),
            ttls: BTreeMap::new(),
            errors: Vec::new(),
        })
    }

    pub(super) fn of_world(response: DiscoveryResponse) -> Result<Self> {
        let mut answer = Self::new(&response.type_url, response.nonce, response.version_info)?;
        for any in response.resources {
            if any.type_url == WRAPPED {
                answer.add(Resource::decode(&any.value[..])?)?;
            } else {
                answer.add_body(&any, None)?;
            }
        }
        answer.add_errors(response.resource_errors)
    }

    pub(super) fn of_delta(response: DeltaDiscoveryResponse) -> Result<Self> {
        let version = response.system_version_info;
        let mut answer = Self::new(&response.type_url, response.nonce, version)?;
        for resource in response.resources {
            ensure!(
                !resource.version.is_empty(),
                "{} has no version",
                resource.name
            );
            answer
                .versions
                .insert(resource.name.clone(), resource.version.clone());
            answer.add(resource)?;
        }
        answer.removed = response.removed_resources;
        answer.removed.sort();
        for name in &answer.removed {
            ensure!(
                !answer.words.contains_key(name),
                "{name} is both there and removed"
            );
        }
        answer.add_errors(response.resource_errors)
    }

    fn add(&mut self, resource: Resource) -> Result<()> {
        if let Some(ttl) = resource.ttl {
            let (seconds, nanos) = (u64::try_from(ttl.seconds)?, u32::try_from(ttl.nanos)?);
            let ttl = Duration::new(seconds, nanos);
            self.ttls.insert(resource.name.clone(), ttl);
        }
        match resource.resource {
            Some(any) => self.add_body(&any, Some(&resource.name)),
            None => {
                self.heartbeats.push(resource.name);
                Ok(())
            }
        }
    }

    fn add_body(&mut self, any: &Any, wrapped_as: Option<&str>) -> Result<()> {
        ensure!(
            any.type_url == self.type_url,
            "a {} in a response of type {}",
            any.type_url,
            self.type_url
        );
        let (name, word) = world::decode(any)?;
        ensure!(
            wrapped_as.is_none_or(|wrapper| wrapper == name),
            "{name} comes under the name {wrapped_as:?}"
        );
        ensure!(
            self.words.insert(name.clone(), word).is_none(),
            "{name} is in one response twice"
        );
        Ok(())
    }

    fn add_errors(mut self, errors: Vec<ResourceError>) -> Result<Self> {
        for error in errors {
            let name = error.resource_name.context("an error without a name")?.name;
            ensure!(
                !self.words.contains_key(&name),
                "{name} is both there and in error"
            );
            self.errors.push(name);
        }
        Ok(self)
    }

    /// `"name=word name=word -removed"`.
    pub fn told(&self) -> String {
        let there = self
            .words
            .iter()
            .map(|(name, word)| format!("{name}={word}"));
        let gone = self.removed.iter().map(|name| format!("-{name}"));
        there.chain(gone).collect::<Vec<_>>().join(" ")
    }
}
