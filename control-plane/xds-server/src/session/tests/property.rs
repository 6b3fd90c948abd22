//! Whatever happens in between, a client that answers ends up with what its snapshot says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use heddle_proto::envoy::service::discovery::v3::DeltaDiscoveryRequest;
use heddle_snapshot::{Role, Scope, Snapshot, TypeUrl, View};
use proptest::prelude::*;

use super::support::*;
use crate::{
    Shared,
    session::{Limits, Response, Session, Variant},
};

const TYPES: [TypeUrl; 4] = [CDS, EDS, LDS, RDS];
const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// What a client holds, by type and name: the version.
type Holdings = BTreeMap<(TypeUrl, Arc<str>), String>;

#[derive(Clone, Debug)]
enum Act {
    /// For each type and name a content, 0 = absent.
    Push(Vec<u8>),
    /// Answers the oldest unanswered response.
    Ack,
    /// Lets time pass.
    Wait,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let push = prop::collection::vec(0_u8..4, TYPES.len() * NAMES.len()).prop_map(Act::Push);
    prop::collection::vec(
        prop_oneof![2 => push, 5 => Just(Act::Ack), 1 => Just(Act::Wait)],
        1..40,
    )
}

fn build(contents: &[u8]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::default();
    for (type_url, contents) in TYPES.iter().zip(contents.chunks(NAMES.len())) {
        let resources = NAMES
            .iter()
            .zip(contents)
            .filter(|(_, content)| **content > 0)
            .map(|(name, content)| {
                let resource = resource(type_url, name, &content.to_string(), Scope::Nodes);
                (Arc::clone(&resource.name), resource)
            });
        snapshot
            .types
            .insert(type_url, Arc::new(resources.collect()));
    }
    Arc::new(snapshot)
}

struct Client {
    session: Session,
    variant: Variant,
    now: Instant,
    holds: Holdings,
    unanswered: Vec<Response>,
}

impl Client {
    fn new(variant: Variant) -> Self {
        let view = View {
            role: Role::Node,
            node: "node-a".into(),
            gateway: None,
        };
        let limits = Limits {
            response_bytes: 200,
            burst: 100_000,
            ..Limits::default()
        };
        let session = Session::new(
            variant,
            view,
            Arc::default(),
            Arc::new(Shared::default()),
            limits,
        );
        let mut client = Self {
            session,
            variant,
            now: Instant::now(),
            holds: Holdings::new(),
            unanswered: Vec::new(),
        };
        for type_url in TYPES {
            client.request(type_url, "");
        }
        client
    }

    fn request(&mut self, type_url: TypeUrl, nonce: &str) {
        match self.variant {
            Variant::Delta => {
                let request = DeltaDiscoveryRequest {
                    type_url: type_url.to_owned(),
                    response_nonce: nonce.to_owned(),
                    ..Default::default()
                };
                self.session.delta(&request, self.now).unwrap();
            }
            Variant::StateOfTheWorld => {
                self.session
                    .state_of_the_world(&wanted(type_url, &[], nonce), self.now)
                    .unwrap();
            }
        }
    }

    fn receive(&mut self) {
        for response in self.session.poll(self.now) {
            let names: BTreeSet<_> = response
                .resources
                .iter()
                .map(|resource| &resource.name)
                .collect();
            assert_eq!(names.len(), response.resources.len(), "a name twice");
            let of_type = self
                .unanswered
                .iter()
                .filter(|other| other.type_url == response.type_url);
            assert_eq!(of_type.count(), 0, "two unanswered responses of one type");
            self.take(&response);
            self.unanswered.push(response);
        }
    }

    fn take(&mut self, response: &Response) {
        let of_type = response.type_url;
        if self.variant == Variant::StateOfTheWorld && [CDS, LDS].contains(&of_type) {
            self.holds.retain(|(type_url, _), _| *type_url != of_type);
        }
        for resource in &response.resources {
            self.holds.insert(
                (of_type, Arc::clone(&resource.name)),
                resource.version.as_str().to_owned(),
            );
        }
        for name in &response.removed {
            self.holds.remove(&(of_type, Arc::clone(name)));
        }
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Push(contents) => self.session.snapshot(build(contents)),
            Act::Ack if self.unanswered.is_empty() => {}
            Act::Ack => {
                let response = self.unanswered.remove(0);
                self.request(response.type_url, &response.nonce);
            }
            Act::Wait => self.now += Duration::from_secs(6),
        }
        self.receive();
    }
}

fn contents_of(snapshot: &Snapshot) -> Holdings {
    let all = snapshot
        .types
        .iter()
        .flat_map(|(type_url, all)| all.iter().map(move |(name, one)| (type_url, name, one)));
    all.map(|(type_url, name, one)| {
        (
            (*type_url, Arc::clone(name)),
            one.version.as_str().to_owned(),
        )
    })
    .collect()
}

proptest! {
    #[test]
    fn a_client_that_answers_ends_up_with_its_snapshot(acts in acts(), delta: bool) {
        let variant = if delta { Variant::Delta } else { Variant::StateOfTheWorld };
        let mut client = Client::new(variant);
        client.receive();
        let mut newest = Arc::new(Snapshot::default());
        for act in &acts {
            if let Act::Push(contents) = act {
                newest = build(contents);
            }
            client.act(act);
        }
        while !client.unanswered.is_empty() {
            client.act(&Act::Ack);
        }
        let mut holds = client.holds.clone();
        if variant == Variant::StateOfTheWorld {
            // Other types cannot express a deletion.
            let wanted = contents_of(&newest);
            holds.retain(|key, _| [CDS, LDS].contains(&key.0) || wanted.contains_key(key));
        }
        prop_assert_eq!(holds, contents_of(&newest));
        prop_assert_eq!(client.session.deadline(client.now), None);
    }
}
