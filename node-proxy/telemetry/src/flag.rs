//! Why a connection or a request did not end well.

use std::fmt;

macro_rules! flags {
    ($($(#[doc = $doc:literal])+ $variant:ident = $short:literal,)+) => {
        /// Why a connection or a request did not end well; one word, for logs and metrics.
        ///
        /// The short names are Envoy's where Envoy has the reason (its access log's `%RESPONSE_FLAGS%`); the others are
        /// ours and longer than three letters, except `RBAC`, which Envoy uses in its response code details.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum ResponseFlag {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl ResponseFlag {
            /// All of them, in the order of their declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The short name: `UH`, `RBAC`.
            pub const fn short(self) -> &'static str {
                match self { $(Self::$variant => $short,)+ }
            }

            /// What it means, in a sentence.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

flags! {
    /// The cluster has no endpoint to send to.
    NoHealthyEndpoint = "UH",
    /// No connection to the chosen endpoint could be made.
    ConnectFailure = "UF",
    /// The upstream closed the connection before its answer was complete.
    ConnectionTermination = "UC",
    /// The upstream reset the stream.
    RemoteReset = "UR",
    /// The upstream's bytes are not the protocol that was expected.
    UpstreamProtocolError = "UPE",
    /// A limit on what may be open towards the upstream was reached.
    UpstreamOverflow = "UO",
    /// The request, or one try of it, took longer than its route allows.
    RequestTimeout = "UT",
    /// Every try that the route allows was made and failed.
    RetriesExhausted = "URX",
    /// No route is for this request.
    NoRoute = "NR",
    /// The route's cluster does not exist.
    NoCluster = "NC",
    /// The client closed the connection before it had its answer.
    ClientTermination = "DC",
    /// The client's bytes are not the protocol that was expected, or break its rules.
    ClientProtocolError = "DPE",
    /// Nothing was sent either way for too long.
    IdleTimeout = "SI",
    /// An AuthorizationPolicy does not allow it.
    Authorization = "RBAC",
    /// A NetworkPolicy does not allow it.
    NetworkPolicy = "NETPOL",
    /// Plain text was sent to a pod that takes only mutual TLS.
    PlaintextRefused = "PLAINTEXT",
    /// This proxy has no certificate for the pod on whose behalf it acts.
    IdentityUnavailable = "NOID",
    /// The identity that was proven is not the one that belongs to the peer's address.
    IdentityMismatch = "WRONGID",
    /// The TLS handshake failed.
    TlsFailure = "TLS",
    /// The destination is not an address of the pod that was asked.
    NotThisPod = "NOTHERE",
    /// The destination is one of the proxy's own ports.
    OwnPort = "OWNPORT",
    /// This proxy was told nothing about the pod (yet, or any more).
    NotInMesh = "NOTMESH",
    /// The policy changed, and no longer allows what is already open.
    PolicyChanged = "POLICYCHANGED",
    /// A limit on the connections of this pod was reached.
    ConnectionLimit = "LIMIT",
    /// The proxy is shutting down.
    Draining = "DRAIN",
    /// The proxy could not do its own work (out of file descriptors, a namespace that is gone).
    Internal = "INTERNAL",
}

impl fmt::Display for ResponseFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.short())
    }
}
