//! What is measured.

use anyhow::bail;

use crate::wire::{self, Exchange};

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Short, for the command line and the JSON.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// Where it goes in; a path that has not got it is not measured.
    pub(crate) door: Door,
    /// What is sent and answered.
    pub(crate) exchange: Exchange,
    /// Path of the requests, and bytes of the body that is answered.
    pub(crate) path: &'static str,
    pub(crate) body: usize,
    /// Open at once.
    pub(crate) connections: usize,
    /// Requests on their way at once on each connection.
    pub(crate) streams: usize,
    /// Whether a connection serves more than one exchange.
    pub(crate) reuse: Connections,
    /// Exchanges a second over all clients; `None`: each client sends the next as soon as it has the answer.
    pub(crate) rate: Option<Rate>,
    /// Whether the path without proxies, where there is one, is measured too. At full speed it is bound by client and server, which tells nothing.
    pub(crate) with_control: bool,
}

/// Exchanges a second over all clients.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// The same for all paths.
    Fixed(f64),
    /// So much of what the path (a control: the one that it is the control of) reached in this round in the case of that name, which has no rate.
    Share { of: &'static str, share: f64 },
}

impl Case {
    /// The case that tells the limit of which this one has a share.
    pub(crate) fn base(&self) -> Option<&'static str> {
        match self.rate {
            Some(Rate::Share { of, .. }) => Some(of),
            _ => None,
        }
    }

    /// The same load at a share of its limit.
    const fn at(self, share: f64, name: &'static str, title: &'static str) -> Self {
        Self {
            rate: Some(Rate::Share {
                of: self.name,
                share,
            }),
            name,
            title,
            with_control: true,
            ..self
        }
    }
}

/// A way into a proxy, with what it leads through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Door {
    /// Two proxies with mutual TLS between them, HTTP.
    MeshHttp,
    /// The same, bytes that nobody reads.
    MeshBytes,
    /// One proxy; HTTP/1.1 to HTTP/1.1, one route.
    Plain,
    /// The same with 100 routes, of which the last one matches.
    Routes100,
    /// The same with 5,000, in a process of its own, because its memory is looked at.
    Routes5000,
    /// The same with a route that is split 90/10.
    Split,
    /// HTTP/2 to HTTP/1.1, one route.
    Http2ToHttp1,
    /// HTTP/2 to HTTP/2, one route.
    Http2,
    /// Two proxies with mutual TLS between them, HTTP, and a policy of 100 rules at the server.
    MeshPolicy,
    /// Client and server on one node with one proxy, HTTP, and a policy of one rule.
    SameNode,
    /// One proxy that ends TLS; HTTP/1.1 to HTTP/1.1, one route.
    Tls,
}

impl Door {
    /// Whether it leads from pod to pod.
    pub(crate) fn is_mesh(self) -> bool {
        self.crosses_nodes() || self == Self::SameNode
    }

    /// Whether it leads through two proxies, on two nodes.
    pub(crate) fn crosses_nodes(self) -> bool {
        matches!(self, Self::MeshHttp | Self::MeshBytes | Self::MeshPolicy)
    }

    /// Whether a policy on requests stands in it.
    pub(crate) fn has_policy(self) -> bool {
        matches!(self, Self::MeshPolicy | Self::SameNode)
    }
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// It serves the next one.
    Kept,
    /// The client closes it, and opens another for the next one.
    New,
}

/// One proxy, HTTP/1.1, 100 bytes, 64 connections, full speed: what the others are variants of.
const SINGLE: Case = Case {
    name: "h1",
    title: "HTTP/1.1 to HTTP/1.1, 100 B, 64 connections",
    door: Door::Plain,
    exchange: Exchange::Http,
    path: "/bench",
    body: wire::LENGTH,
    connections: 64,
    streams: 1,
    reuse: Connections::Kept,
    rate: None,
    with_control: false,
};

/// One proxy, HTTP/2 from the client: as many requests at once as 256 connections of HTTP/1.1 have.
const HTTP2: Case = Case {
    name: "h2-h1",
    title: "HTTP/2 to HTTP/1.1, 100 B, 16 connections, 16 streams on each",
    door: Door::Http2ToHttp1,
    exchange: Exchange::Http2,
    connections: 16,
    streams: 16,
    ..SINGLE
};

/// One proxy that ends TLS, the same as [`SINGLE`].
const TLS: Case = Case {
    name: "tls",
    title: "HTTP/1.1 over TLS 1.3 to HTTP/1.1, 100 B, 64 connections",
    door: Door::Tls,
    exchange: Exchange::Https,
    ..SINGLE
};

/// Two proxies, the same as [`SINGLE`].
const MESH: Case = Case {
    name: "mesh-l7",
    title: "mesh, HTTP/1.1, full speed",
    door: Door::MeshHttp,
    connections: 16,
    ..SINGLE
};

const CASES: &[Case] = &[
    SINGLE,
    Case {
        name: "h1-1",
        title: "the same, 1 connection",
        connections: 1,
        ..SINGLE
    },
    Case {
        name: "h1-1000",
        title: "the same, 1,000 connections",
        connections: 1000,
        ..SINGLE
    },
    Case {
        name: "h1-10kB",
        title: "the same, 10 kB",
        path: "/bench/size/10000",
        body: 10_000,
        ..SINGLE
    },
    Case {
        name: "h1-1MB",
        title: "the same, 1 MB",
        path: "/bench/size/1000000",
        body: 1_000_000,
        ..SINGLE
    },
    Case {
        name: "h1-new",
        title: "the same, a new connection for each request",
        reuse: Connections::New,
        ..SINGLE
    },
    Case {
        name: "routes-100",
        title: "the same, 100 prefix routes, the last one matched",
        door: Door::Routes100,
        ..SINGLE
    },
    Case {
        name: "routes-5000",
        title: "the same, 5,000 prefix routes, the last one matched",
        door: Door::Routes5000,
        ..SINGLE
    },
    Case {
        name: "split",
        title: "the same, split 90/10",
        door: Door::Split,
        ..SINGLE
    },
    TLS,
    Case {
        name: "tls-new",
        title: "the same, a new connection with a whole handshake for each request",
        reuse: Connections::New,
        ..TLS
    },
    SINGLE.at(0.1, "h1-at-10", "HTTP/1.1 at 10 % of the limit"),
    SINGLE.at(0.5, "h1-at-50", "HTTP/1.1 at 50 % of the limit"),
    SINGLE.at(0.8, "h1-at-80", "HTTP/1.1 at 80 % of the limit"),
    HTTP2,
    Case {
        name: "h2-h2",
        title: "HTTP/2 to HTTP/2, the same",
        door: Door::Http2,
        ..HTTP2
    },
    Case {
        name: "grpc-unary",
        title: "gRPC, unary calls, the same",
        door: Door::Http2,
        exchange: Exchange::GrpcUnary,
        path: "/bench.Echo/Unary",
        ..HTTP2
    },
    Case {
        name: "grpc-stream",
        title: "gRPC, messages of calls that go on, the same",
        door: Door::Http2,
        exchange: Exchange::GrpcStream,
        path: "/bench.Echo/Stream",
        ..HTTP2
    },
    MESH,
    Case {
        name: "mesh-l7-64",
        title: "mesh, HTTP/1.1, 64 connections",
        connections: 64,
        ..MESH
    },
    Case {
        name: "mesh-l7-paced",
        title: "mesh, HTTP/1.1, 2,000 requests/s",
        rate: Some(Rate::Fixed(2000.0)),
        with_control: true,
        ..MESH
    },
    MESH.at(0.1, "mesh-l7-at-10", "mesh, HTTP/1.1 at 10 % of the limit"),
    MESH.at(0.5, "mesh-l7-at-50", "mesh, HTTP/1.1 at 50 % of the limit"),
    MESH.at(0.8, "mesh-l7-at-80", "mesh, HTTP/1.1 at 80 % of the limit"),
    Case {
        name: "mesh-l7-new-full",
        title: "mesh, HTTP/1.1, a new connection for each request, full speed",
        reuse: Connections::New,
        ..MESH
    },
    Case {
        name: "mesh-l7-new",
        title: "mesh, HTTP/1.1, 500 new connections/s",
        reuse: Connections::New,
        rate: Some(Rate::Fixed(500.0)),
        with_control: true,
        ..MESH
    },
    Case {
        name: "mesh-policy",
        title: "mesh, HTTP/1.1, policy of 100 rules, the last one allows",
        door: Door::MeshPolicy,
        ..MESH
    },
    Case {
        name: "same-node",
        title: "client and server on one node, HTTP/1.1, policy of one rule",
        door: Door::SameNode,
        ..MESH
    },
    MESH_BYTES,
    Case {
        name: "mesh-l4-stream",
        title: "mesh, a stream of bytes in one direction, 1 MB of it, 1 connection",
        exchange: Exchange::Upload,
        body: 1_000_000,
        connections: 1,
        // Enough on its way that nobody waits for an acknowledgement.
        streams: 8,
        ..MESH_BYTES
    },
    Case {
        name: "mesh-l4-bulk",
        title: "mesh, 1 MB there and back, 1 connection",
        body: 1_000_000,
        connections: 1,
        ..MESH_BYTES
    },
    Case {
        name: "mesh-l4-64",
        title: "mesh, bytes, 64 connections",
        connections: 64,
        ..MESH_BYTES
    },
    Case {
        name: "mesh-l4-paced",
        title: "mesh, bytes, 2,000 exchanges/s",
        rate: Some(Rate::Fixed(2000.0)),
        with_control: true,
        ..MESH_BYTES
    },
    Case {
        name: "mesh-l4-new-full",
        title: "mesh, bytes, a new connection for each exchange, full speed",
        reuse: Connections::New,
        ..MESH_BYTES
    },
    Case {
        name: "mesh-l4-new",
        title: "mesh, bytes, 500 new connections/s",
        reuse: Connections::New,
        rate: Some(Rate::Fixed(500.0)),
        with_control: true,
        ..MESH_BYTES
    },
];

const MESH_BYTES: Case = Case {
    name: "mesh-l4",
    title: "mesh, bytes, full speed",
    door: Door::MeshBytes,
    exchange: Exchange::Bytes,
    ..MESH
};

/// The cases with the given names, and those that tell their limits; where there is none of a name, those that begin with it; all, if no name is given.
pub(crate) fn chosen(names: &[String]) -> anyhow::Result<Vec<Case>> {
    let is_whole = |name: &str| CASES.iter().any(|case| case.name == name);
    let fits = |case: &Case, name: &str| {
        case.name == name || (!is_whole(name) && case.name.starts_with(name))
    };
    let wanted = |case: &&Case| names.is_empty() || names.iter().any(|name| fits(case, name));
    let bases: Vec<_> = CASES.iter().filter(wanted).filter_map(Case::base).collect();
    let wanted = |case: &&Case| wanted(case) || bases.contains(&case.name);
    let cases: Vec<_> = CASES.iter().filter(wanted).copied().collect();
    if cases.is_empty() {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        bail!("no such case; there are: {}", names.join(", "));
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_name_or_by_the_beginning_of_it() {
        let names = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|&text| text.to_owned()).collect();
            let cases = chosen(&names).unwrap();
            cases.iter().map(|case| case.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]).len(), CASES.len());
        assert_eq!(names(&["h1"]), ["h1"]);
        assert_eq!(names(&["h1-10"]), ["h1-1000", "h1-10kB"]);
        assert_eq!(names(&["mesh-l4-p"]), ["mesh-l4-paced"]);
        assert_eq!(
            names(&["mesh-l4", "mesh-l7-n"]),
            ["mesh-l7-new-full", "mesh-l7-new", "mesh-l4"]
        );
        assert_eq!(names(&["h1-at-5"]), ["h1", "h1-at-50"], "its limit first");
        assert!(chosen(&["quic".to_owned()]).is_err());
    }

    #[test]
    fn no_two_cases_have_one_name() {
        let names: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), CASES.len());
    }
}
