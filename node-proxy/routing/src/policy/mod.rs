//! Policy: may this connection, this request?
//!
//! Rules are trees of conditions as in envoy.config.rbac.v3. One function decides, whoever feeds it: a captured
//! connection, a tunnelled one, an HTTP request, or the compiler of packet rules for what the proxy does not carry.
//!
//! What cannot be known never widens access: see [`Rbac::decide`], and for paths the module `path`.

mod decide;
mod path;
mod sets;
mod truth;

use std::{net::IpAddr, sync::Arc};

use heddle_identity::SpiffeId;
use ipnet::IpNet;

use crate::{HeaderMatcher, PathMatcher, StringMatcher};

pub use sets::AddressSets;

/// Transport protocol of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// What is known about a connection or a request when it is judged.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Address of the one who connects: the pod's own, also when it came through a tunnel.
    pub source: IpAddr,
    /// Address of the one connected to: the real endpoint, never a Service's.
    pub destination: IpAddr,
    /// The real port there, never the tunnel's.
    pub port: u16,
    /// Who connects, proven by mutual TLS; `None`: unproven.
    pub identity: Option<&'a SpiffeId>,
    /// The request, where the bytes are read as HTTP.
    pub request: Option<&'a http::request::Parts>,
}

/// An RBAC filter's rules. With action `Allow`: allowed if a policy matches. With `Deny`: refused if one matches.
#[derive(Clone, Debug)]
pub struct Rbac {
    /// What a match means.
    pub action: RbacAction,
    /// Sorted by name.
    pub policies: Vec<Policy>,
}

/// What a match means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RbacAction {
    /// Only what matches is allowed.
    Allow,
    /// What matches is refused.
    Deny,
}

/// Matches if any permission and any principal does.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The user's object and rule: `NetworkPolicy shop/cart rule 0`.
    pub name: Arc<str>,
    /// What is done.
    pub permissions: Vec<Permission>,
    /// Who does it.
    pub principals: Vec<Principal>,
}

/// A condition on what is done.
#[derive(Clone, Debug)]
pub enum Permission {
    /// Always holds.
    Any,
    /// All hold.
    All(Vec<Self>),
    /// At least one holds.
    OneOf(Vec<Self>),
    /// Does not hold.
    Not(Box<Self>),
    /// The destination's address.
    DestinationBlock(IpNet),
    /// The destination's address is in the set. Never holds while the set is missing, negated or not.
    DestinationSet(Arc<str>),
    /// The destination's port, first to last.
    DestinationPorts(u16, u16),
    /// The transport protocol.
    Protocol(Protocol),
    /// A request header. Never holds for what is not HTTP, negated or not.
    Header(HeaderMatcher),
    /// The request's path without the query, in every reading that a server could give it. Never holds for what is not
    /// HTTP, negated or not.
    Path(PathMatcher),
}

/// A condition on who does it.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Always holds.
    Any,
    /// All hold.
    All(Vec<Self>),
    /// At least one holds.
    OneOf(Vec<Self>),
    /// Does not hold.
    Not(Box<Self>),
    /// The source's address.
    SourceBlock(IpNet),
    /// The source's address is in the set. Never holds while the set is missing, negated or not.
    SourceSet(Arc<str>),
    /// Proven by mutual TLS; `None`: any identity.
    Authenticated(Option<StringMatcher>),
}

/// What the rules say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, by this policy (with action `Deny`: because none matched).
    Allow {
        /// Name of the policy that matched.
        policy: Option<Arc<str>>,
    },
    /// Refused, by this policy (with action `Allow`: because none matched).
    Deny {
        /// Name of the policy that matched.
        policy: Option<Arc<str>>,
    },
}
