//! How large the futures are that every open connection holds. A value that lives across an `.await` by mistake shows here, long before it shows in
//! the memory of a node with many connections.
//!
//! The sizes are the compiler's, without optimisation and of this toolchain. Whoever makes one smaller lowers its bound; whoever has to raise one says why.

use std::{future::Ready, sync::Arc};

use bytes::BytesMut;
use heddle_cert_client::Certificates;
use heddle_config::PodConfig;
use heddle_filters::{Body, Outbound, UpstreamForward};
use heddle_hbone::{CopyCounts, CopyLimits, copy_bidirectional};
use heddle_upstream::BoxedIo;
use http::{Request, Response};
use tokio::{net::TcpStream, sync::Semaphore};

use crate::{
    ConnectionInfo, DataPath, PodContext,
    accept::Drain,
    application::PodLeg,
    bound,
    http::{HttpServer, Version},
    inbound,
    live::LiveConnection,
    mtls, outbound,
    record::TcpRecord,
    relay,
};

/// Bytes of the future that a function makes, which is never called.
fn size_of_future<A, F: Future>(_: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}

fn never(_: &Arc<PodConfig>) -> UpstreamForward {
    unreachable!("no connection is taken")
}

type Answers = fn(Request<Body>) -> Ready<Response<Body>>;
type Of<'a> = (&'a PodContext, &'a DataPath, &'a Drain);

/// The future of a function: what it is, how many bytes it has, and how many it may have.
struct Size {
    what: &'static str,
    bytes: usize,
    most: usize,
}

fn taking() -> [Size; 4] {
    type Taken<'a> = (TcpStream, ConnectionInfo, Of<'a>);
    let outbound = |(io, info, (pod, path, drain)): Taken<'static>| {
        outbound::take(io, info, pod, path, drain, never)
    };
    let inbound = |((io, info, (pod, path, drain)), leg): (Taken<'static>, PodLeg)| {
        inbound::take(io, info, pod, path, drain, leg)
    };
    type Proven = (Taken<'static>, PodLeg, &'static Certificates);
    let mtls = |((io, info, (pod, path, drain)), leg, certificates): Proven| {
        mtls::take(io, info, pod, path, certificates, drain, leg)
    };
    type Bound = (
        Taken<'static>,
        &'static Arc<str>,
        &'static Semaphore,
        UpstreamForward,
    );
    let bound = |((io, info, (_, path, drain)), listener, handshakes, forward): Bound| {
        bound::take(io, info, listener, path, drain, handshakes, forward)
    };
    [
        Size {
            what: "outbound::take",
            bytes: size_of_future(outbound),
            most: 2_500,
        },
        Size {
            what: "inbound::take",
            bytes: size_of_future(inbound),
            most: 2_700,
        },
        Size {
            what: "mtls::take",
            bytes: size_of_future(mtls),
            most: 1_550,
        },
        Size {
            what: "bound::take",
            bytes: size_of_future(bound),
            most: 3_500,
        },
    ]
}

fn carrying() -> [Size; 4] {
    type Served = (
        &'static HttpServer<'static>,
        TcpStream,
        (Version, BytesMut),
        Answers,
    );
    let http = |(server, io, start, service): Served| server.serve(io, start, service);
    type Relayed = (
        TcpStream,
        BoxedIo,
        &'static DataPath,
        &'static Drain,
        TcpRecord,
    );
    let bytes = |((client, server, path, drain, record), live): (
        Relayed,
        Option<&'static LiveConnection>,
    )| relay::relay(client, server, path, drain, live, record);
    type Copied = (
        &'static mut TcpStream,
        &'static mut BoxedIo,
        &'static CopyCounts,
    );
    let copy = |(client, server, counts): Copied| {
        copy_bidirectional(client, server, CopyLimits::default(), counts)
    };
    type Asked = (&'static Outbound<UpstreamForward>, Request<Body>);
    let request = |(context, request): Asked| heddle_filters::outbound(context, request);
    [
        Size {
            what: "HttpServer::serve",
            bytes: size_of_future(http),
            most: 370,
        },
        Size {
            what: "relay",
            bytes: size_of_future(bytes),
            most: 1_500,
        },
        Size {
            what: "heddle_hbone::copy_bidirectional",
            bytes: size_of_future(copy),
            // For each direction, what was taken and the memory for more.
            most: 384,
        },
        Size {
            what: "heddle_filters::outbound (of a request)",
            bytes: size_of_future(request),
            most: 1_950,
        },
    ]
}

#[test]
fn no_future_of_a_connection_has_grown() {
    let sizes = taking().into_iter().chain(carrying());
    let grown: Vec<_> = sizes
        .inspect(|size| println!("{}: {} bytes", size.what, size.bytes))
        .filter(|size| size.bytes > size.most)
        .map(|size| format!("{}: {} bytes, at most {}", size.what, size.bytes, size.most))
        .collect();
    assert!(grown.is_empty(), "{grown:#?}");
}
