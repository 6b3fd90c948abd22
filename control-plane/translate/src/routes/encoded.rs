//! RouteConfigurations put together from routes that were encoded before.
//!
//! A message's bytes are those of its fields one after the other, and a field that is a message is its length and its bytes. So of thousands of routes only
//! the changed one is encoded: the others are known by the address of their rule, and copied. Both editions share them.
//!
//! Source: protobuf.dev, "Encoding", "Submessages" and "Repeated elements".

use std::{collections::HashMap, sync::Arc};

use heddle_model::RouteRule;
use heddle_proto::{
    Message,
    envoy::config::route::v3::{Route, RouteConfiguration, VirtualHost},
    type_url, varint,
};
use heddle_snapshot::{Resource, Scope};

use super::route::route;

/// Tag of `RouteConfiguration.virtual_hosts`: field 2, with a length.
const VIRTUAL_HOSTS: u8 = 2 << 3 | 2;
/// Tag of `VirtualHost.routes`: field 3, with a length.
const ROUTES: u8 = 3 << 3 | 2;

/// What was made of a rule.
#[derive(Debug)]
struct Encoded {
    /// Keeps its address from being another's.
    rule: Arc<RouteRule>,
    /// The route as a field of a virtual host.
    field: Vec<u8>,
    /// The object that it comes from.
    origin: Arc<str>,
}

/// What was made of each rule, by its address.
#[derive(Debug, Default)]
pub(crate) struct EncodedRoutes {
    known: HashMap<usize, Encoded>,
    /// How many were ever encoded.
    encoded: u64,
}

/// A virtual host that is to be put together.
pub(crate) struct Host<'a> {
    /// Everything but its routes.
    pub(crate) head: VirtualHost,
    /// Its routes.
    pub(crate) routes: Routes<'a>,
}

/// Routes, encoded or not.
pub(crate) enum Routes<'a> {
    /// Of these rules.
    Of(&'a [Arc<RouteRule>]),
    /// This one alone, from that object.
    One(Box<Route>, Arc<str>),
}

impl EncodedRoutes {
    /// Puts a resource together. `frame`: everything but its virtual hosts. Besides the objects that routes come from, it comes from `origin`.
    pub(crate) fn resource(
        &mut self,
        frame: &RouteConfiguration,
        hosts: &[Host<'_>],
        scope: Scope,
        mut origin: Vec<Arc<str>>,
    ) -> Resource {
        for rule in hosts.iter().flat_map(|host| host.routes.rules()) {
            self.encode(rule);
        }
        // Fields stand in the order of their numbers, as if the message had been encoded at once.
        let name = RouteConfiguration {
            name: frame.name.clone(),
            ..RouteConfiguration::default()
        };
        let rest = RouteConfiguration {
            name: String::new(),
            ..frame.clone()
        };
        let (name, rest) = (name.encode_to_vec(), rest.encode_to_vec());
        let hosts: Vec<_> = hosts
            .iter()
            .map(|host| self.host(host, &mut origin))
            .collect();
        let mut pieces = vec![&name[..]];
        for (head, routes) in &hosts {
            pieces.push(head);
            pieces.extend(routes.iter().map(Piece::bytes));
        }
        pieces.push(&rest);
        origin.sort_unstable();
        origin.dedup();
        Resource::of_pieces(
            type_url::ROUTE_CONFIGURATION,
            frame.name.as_str(),
            scope,
            origin,
            &pieces,
        )
    }

    /// Forgets the rules that nobody else has any more.
    pub(crate) fn forget(&mut self) {
        self.known
            .retain(|_, encoded| Arc::strong_count(&encoded.rule) > 1);
    }

    fn encode(&mut self, rule: &Arc<RouteRule>) {
        self.known.entry(address(rule)).or_insert_with(|| {
            self.encoded += 1;
            Encoded {
                rule: Arc::clone(rule),
                field: field(ROUTES, &route(rule)),
                origin: rule.origin.route.to_string().into(),
            }
        });
    }

    /// The beginning of a virtual host with its length, and its routes.
    fn host<'a>(
        &'a self,
        host: &Host<'_>,
        origin: &mut Vec<Arc<str>>,
    ) -> (Vec<u8>, Vec<Piece<'a>>) {
        let routes: Vec<Piece<'a>> = match &host.routes {
            Routes::Of(rules) => rules
                .iter()
                .filter_map(|rule| self.known.get(&address(rule)))
                .map(|encoded| {
                    origin.push(Arc::clone(&encoded.origin));
                    Piece::Known(&encoded.field)
                })
                .collect(),
            Routes::One(route, from) => {
                origin.push(Arc::clone(from));
                vec![Piece::New(field(ROUTES, &**route))]
            }
        };
        let inside: usize = routes.iter().map(|piece| piece.bytes().len()).sum();
        let head = host.head.encode_to_vec();
        let mut begin = vec![VIRTUAL_HOSTS];
        varint::put(head.len() + inside, &mut begin);
        begin.extend(head);
        (begin, routes)
    }
}

impl Routes<'_> {
    fn rules(&self) -> &[Arc<RouteRule>] {
        match self {
            Self::Of(rules) => rules,
            Self::One(..) => &[],
        }
    }
}

enum Piece<'a> {
    Known(&'a [u8]),
    New(Vec<u8>),
}

impl Piece<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Known(bytes) => bytes,
            Self::New(bytes) => bytes,
        }
    }
}

fn address(rule: &Arc<RouteRule>) -> usize {
    Arc::as_ptr(rule).addr()
}

/// A message as a field of another.
fn field(tag: u8, message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![tag];
    varint::put(message.encoded_len(), &mut bytes);
    bytes.extend(message.encode_to_vec());
    bytes
}

#[cfg(test)]
impl EncodedRoutes {
    /// How many rules are known, and how many were ever encoded.
    pub(crate) fn counts(&self) -> (usize, u64) {
        (self.known.len(), self.encoded)
    }
}
