//! Generated requests, and how to make one smaller.
//!
//! What is generated must have one meaning: an answer that depends on which of two things comes first would differ by chance.

use std::fmt::Write;

use rand::{Rng, rngs::StdRng, seq::IndexedRandom};

use crate::routes::{HOSTS, TABLES};

/// How a request's body is framed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    /// With a content-length.
    Sized(usize),
    /// In chunks (in HTTP/2: as many DATA frames).
    Chunked(Vec<usize>, Trailers),
}

/// What stands behind a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trailers {
    None,
    /// Without a word in the head.
    Unannounced,
    /// Named in the head's `trailer`.
    Announced,
}

/// How a request is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http10,
    Http1,
    Http2,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Case {
    /// To which listener.
    pub(crate) table: usize,
    pub(crate) protocol: Protocol,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    /// Host lines: mostly one.
    pub(crate) hosts: Vec<String>,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// A header line, or more, that no correct client sends.
    pub(crate) flaw: &'static str,
    pub(crate) body: Body,
    /// In the middle of the body the client sends nothing for longer than some routes' limits.
    pub(crate) pauses: bool,
}

const METHODS: [&str; 11] = [
    "GET", "GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "PURGE",
];
const SEGMENTS: [&str; 26] = [
    "/a",
    "/a/b",
    "/a%2Fb",
    "/a%2fb",
    "/a/b/",
    "/%61",
    "/%zz",
    "/a\"b",
    "/a|b",
    "/~a*b",
    "/",
    "/a",
    "/b",
    "/ab",
    "/c",
    "/caf%C3%A9",
    "/caf%c3%a9",
    "/x.y",
    "/A",
    "//",
    "/.",
    "/..",
    "/%2e",
    "/%2F",
    "/a;p=1",
    "/%20",
];
const QUERIES: [&str; 10] = [
    "", "", "", "?q=1", "?q=2", "?x&q=1", "?q=%31", "?", "?q=1&q=2", "?a=/b?c",
];
const HEADERS: [(&str, &str); 35] = [
    ("x-match", "a"),
    ("x-match", "AB"),
    ("upgrade", "websocket"),
    ("connection", "upgrade"),
    ("connection", "close"),
    ("connection", "keep-alive, x-match"),
    ("expect", "100-continue"),
    ("content-type", "application/grpc"),
    ("x-request-id", "mine"),
    ("x-envoy-retry-on", "5xx"),
    ("x-envoy-upstream-rq-timeout-ms", "1"),
    ("x-under_score", "1"),
    ("te", "gzip, trailers"),
    ("x-match", "a"),
    ("x-match", "b"),
    ("x-match", "a,b"),
    ("x-match", ""),
    ("X-Match", "ab"),
    ("x-removed", "1"),
    ("x-added", "own"),
    ("x-host-added", "own"),
    ("cookie", "a=1"),
    ("cookie", "b=2"),
    ("te", "trailers"),
    ("connection", "x-removed"),
    ("keep-alive", "timeout=5"),
    ("accept", "*/*"),
    ("x-forwarded-host", "f.test"),
    ("via", "1.1 other"),
    ("x-tab", "a\tb"),
    ("accept-encoding", "gzip"),
    ("max-forwards", "3"),
    ("x-forwarded-for", "192.0.2.1"),
    ("x-forwarded-proto", "https"),
    ("proxy-connection", "close"),
];
const ASKS: [&str; 45] = [
    "201",
    "204",
    "304",
    "404",
    "404/1",
    "409",
    "409/1",
    "500",
    "500/1",
    "502/3",
    "503/1",
    "503/2",
    "reset",
    "reset/1",
    "reset/2",
    "hang",
    "hang/1",
    "hang/2",
    "stall",
    "stall-head",
    "slow",
    "refuse",
    "refuse/1",
    "grpc1/1",
    "grpc14",
    "grpc14/1",
    "grpc-trailers",
    "silent-trailers",
    "many-trailers",
    "trailers-alone",
    "wait",
    "hints",
    "100",
    "early",
    "cut",
    "cutchunk",
    "close",
    "http10",
    "trailers",
    "chunked",
    "hop",
    "cookies",
    "garbage",
    "two-lengths",
    "upgrade",
];
const FLAWS: [&str; 14] = [
    "transfer-encoding: gzip\r\n",
    "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
    "content-length: 0\r\ncontent-length: 0\r\n",
    "content-length: 0\r\ncontent-length: 1\r\n",
    "content-length: -1\r\n",
    "content-length: +0\r\n",
    "x-folded: a\r\n b\r\n",
    "x-space : a\r\n",
    "x-bare: a\rb\r\n",
    "x-null: a\0b\r\n",
    "no colon\r\n",
    ": no name\r\n",
    "x(bad): 1\r\n",
    "x-lf: 1\n",
];

fn pick<T: Copy>(random: &mut StdRng, all: &[T], first: T) -> T {
    all.choose(random).copied().unwrap_or(first)
}

fn host(random: &mut StdRng) -> String {
    let index = random.random_range(0..HOSTS);
    let mut host = match index % 3 {
        0 => format!("h{index}.test"),
        1 => format!("x.w{index}.test"),
        _ => format!("p{index}.org"),
    };
    match random.random_range(0..24) {
        0 | 1 => host += ":8080",
        2 => host += ":80",
        3 => host = host.to_ascii_uppercase(),
        4 => host = "unknown.test".to_owned(),
        5 => host.insert_str(0, "y."),
        6 => host += ".",
        7 => host += ":",
        8 => host = "[::1]:80".to_owned(),
        _ => {}
    }
    host
}

fn hosts(random: &mut StdRng) -> Vec<String> {
    match random.random_range(0..100) {
        0 => Vec::new(),
        1 => vec![host(random), host(random)],
        2 => vec![String::new()],
        3 => vec!["user@h0.test".to_owned()],
        4 => vec!["h0.test:x".to_owned()],
        _ => vec![host(random)],
    }
}

fn body(random: &mut StdRng) -> Body {
    match random.random_range(0..8) {
        0 => Body::Sized(random.random_range(0..20_000)),
        1 => Body::Chunked(
            (0..random.random_range(0..4))
                .map(|_| random.random_range(1..5000))
                .collect(),
            pick(
                random,
                &[Trailers::None, Trailers::Unannounced, Trailers::Announced],
                Trailers::None,
            ),
        ),
        _ => Body::None,
    }
}

impl Case {
    /// The next one.
    pub(crate) fn generate(random: &mut StdRng) -> Self {
        let count = random.random_range(1..4);
        let mut target: String = (0..count).map(|_| pick(random, &SEGMENTS, "/")).collect();
        target += pick(random, &QUERIES, "");
        let mut headers: Vec<_> = (0..random.random_range(0..4))
            .map(|_| pick(random, &HEADERS, HEADERS[0]))
            .collect();
        let ask = random.random_bool(0.35).then(|| pick(random, &ASKS, "200"));
        if ask == Some("upgrade") {
            headers.extend([("upgrade", "websocket"), ("connection", "upgrade")]);
        }
        headers.extend(ask.map(|ask| ("x-ask", ask)));
        let mut case = Self {
            table: random.random_range(0..TABLES),
            protocol: Protocol::Http1,
            method: pick(random, &METHODS, "GET"),
            target,
            hosts: hosts(random),
            headers,
            flaw: "",
            body: body(random),
            pauses: false,
        };
        match random.random_range(0..100) {
            0..15 => case.over_http2(random),
            15..17 => {
                case.protocol = Protocol::Http10;
                case.hosts = vec![host(random)];
            }
            17..20 => case.flaw = pick(random, &FLAWS, ""),
            20..23 => {
                let host = host(random);
                case.target.insert_str(0, &format!("http://{host}"));
            }
            23 => {
                let odd = [
                    "*",
                    "a",
                    "",
                    "/a#b",
                    "/a b",
                    "http:///a",
                    "//",
                    "ftp://h0.test/a",
                ];
                case.target = pick(random, &odd, "*").to_owned();
            }
            24 => {
                case.body = Body::Sized(1000);
                case.pauses = random.random_bool(0.3);
            }
            _ => {}
        }
        case
    }

    /// Whether somebody may be silent until a time limit ends it.
    pub(crate) fn is_silent(&self) -> bool {
        let asks =
            |what| move |(name, value): &(&str, &str)| *name == "x-ask" && value.starts_with(what);
        self.pauses
            || self.headers.iter().any(asks("hang"))
            || self.headers.iter().any(asks("stall"))
    }

    /// Makes it one that can be said in HTTP/2.
    fn over_http2(&mut self, random: &mut StdRng) {
        self.protocol = Protocol::Http2;
        self.hosts = vec![host(random).trim_end_matches(':').to_owned()];
        let of_connection = [
            "connection",
            "keep-alive",
            "proxy-connection",
            "upgrade",
            "te",
            "expect",
        ];
        self.headers
            .retain(|(name, _)| !of_connection.contains(name));
        for name in &mut self.headers {
            if name.0 == "X-Match" {
                name.0 = "x-match";
            }
        }
        self.target = self.target.replace(['"', '|'], "");
    }

    /// The bytes; `id` is how the backends know it again.
    pub(crate) fn render(&self, id: &str) -> Vec<u8> {
        let version = match self.protocol {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http1 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2",
        };
        let mut text = format!("{} {} {version}\r\n", self.method, self.target);
        // A String takes everything.
        for host in &self.hosts {
            let _ = write!(text, "host: {host}\r\n");
        }
        let _ = write!(text, "x-case: {id}\r\n{}", self.flaw);
        for (name, value) in &self.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        match &self.body {
            Body::None => text += "\r\n",
            Body::Sized(length) => {
                let _ = write!(
                    text,
                    "content-length: {length}\r\n\r\n{}",
                    "b".repeat(*length)
                );
            }
            Body::Chunked(sizes, trailers) => {
                if *trailers == Trailers::Announced {
                    text += "trailer: x-trailer\r\n";
                }
                text += "transfer-encoding: chunked\r\n\r\n";
                for size in sizes {
                    let _ = write!(text, "{size:x}\r\n{}\r\n", "c".repeat(*size));
                }
                text += match trailers {
                    Trailers::None => "0\r\n\r\n",
                    Trailers::Unannounced | Trailers::Announced => "0\r\nx-trailer: t\r\n\r\n",
                };
            }
        }
        text.into_bytes()
    }

    /// Requests that are a little simpler, one step each.
    pub(crate) fn smaller(&self) -> Vec<Self> {
        let mut all = Vec::new();
        for index in 0..self.headers.len() {
            let mut less = self.clone();
            less.headers.remove(index);
            all.push(less);
        }
        let simpler = match &self.body {
            Body::None => None,
            Body::Chunked(sizes, trailers) if !sizes.is_empty() => {
                Some(Body::Chunked(Vec::new(), *trailers))
            }
            Body::Chunked(..) | Body::Sized(0) => Some(Body::None),
            Body::Sized(_) => Some(Body::Sized(0)),
        };
        all.extend(simpler.map(|body| Self {
            body,
            ..self.clone()
        }));
        if self.pauses {
            all.push(Self {
                pauses: false,
                ..self.clone()
            });
        }
        if self.protocol == Protocol::Http2 {
            all.push(Self {
                protocol: Protocol::Http1,
                ..self.clone()
            });
        }
        if !self.flaw.is_empty() {
            all.push(Self {
                flaw: "",
                ..self.clone()
            });
        }
        if let [host] = self.hosts.as_slice()
            && !host.starts_with('[')
            && let Some((host, _)) = host.split_once(':')
        {
            all.push(Self {
                hosts: vec![host.to_owned()],
                ..self.clone()
            });
        }
        if self.method != "GET" {
            all.push(Self {
                method: "GET",
                ..self.clone()
            });
        }
        if let Some((path, _)) = self.target.split_once('?') {
            all.push(Self {
                target: path.to_owned(),
                ..self.clone()
            });
        }
        let last = self.target.rfind('/').filter(|at| *at > 0);
        all.extend(last.map(|at| Self {
            target: self.target[..at].to_owned(),
            ..self.clone()
        }));
        all
    }
}
