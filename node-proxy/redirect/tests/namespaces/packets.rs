//! NetworkPolicy for UDP, with packets.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};

use heddle_redirect::{
    Netns, capture,
    packets::{self, PacketPolicy, Refused, ServiceAddress},
    socket::bind_udp,
};
use heddle_routing::policy::{
    AddressSets, Permission, Policy, Principal, Protocol, Rbac, RbacAction, Subject,
};

use crate::{
    harness::Test,
    world::{
        DNS, NODE, PEER, POD, World, accept, any, application, at, dial, eventually, ip, run, udp,
    },
};

pub(crate) const TESTS: &[Test] = &[
    ("ingress_lets_through_what_the_rules_allow", ingress),
    ("egress_lets_through_what_the_rules_allow", egress),
    ("replies_get_through", replies),
    ("a_changed_policy_ends_flows_that_are_under_way", change),
    ("the_node_may_always_send", node),
    ("a_pod_may_always_send_to_itself", itself),
    ("tcp_and_icmp_are_left_alone", others),
    ("a_redirected_question_is_judged_by_where_it_was_to_go", dns),
    ("the_proxys_own_packets_are_not_judged", own_packets),
    ("remove_leaves_no_table", remove),
    ("rules_and_kernel_agree_on_random_policies", random),
];

fn rule(permission: Permission, principal: Principal) -> Rbac {
    Rbac {
        action: RbacAction::Allow,
        policies: vec![Policy {
            name: "NetworkPolicy shop/cart rule 0".into(),
            permissions: vec![permission],
            principals: vec![principal],
        }],
    }
}

fn nothing() -> Rbac {
    Rbac {
        action: RbacAction::Allow,
        policies: Vec::new(),
    }
}

fn port(port: u16) -> Permission {
    Permission::All(vec![
        Permission::Protocol(Protocol::Udp),
        Permission::DestinationPorts(port, port),
    ])
}

fn install(world: &World, ingress: Option<&Rbac>, egress: Option<&Rbac>, sets: &AddressSets) {
    install_with(world, ingress, egress, sets, &[]);
}

fn install_with(
    world: &World,
    ingress: Option<&Rbac>,
    egress: Option<&Rbac>,
    sets: &AddressSets,
    services: &[ServiceAddress],
) {
    let rules = packets::compile(&PacketPolicy {
        pod_addresses: &POD.map(ip),
        node_addresses: &NODE.map(ip),
        ingress,
        egress,
        sets,
        services,
    });
    assert!(rules.problems().is_empty());
    packets::install(&world.pod, &rules).unwrap();
}

fn peers(addresses: &[&str]) -> AddressSets {
    let set: BTreeSet<_> = addresses.iter().map(|text| ip(text)).collect();
    AddressSets([("peers".into(), Arc::new(set))].into())
}

/// Sends a datagram and tells whether it arrived: it does, or the pod counts it as refused.
fn arrives(world: &World, from: (&Netns, &str), to: (&Netns, SocketAddr)) -> bool {
    let receiver = udp(to.0, to.1);
    let sender = udp(from.0, at(from.1, 0));
    receiver.set_nonblocking(true).unwrap();
    let before = refused(world);
    // A packet that is dropped on its way out is an error to who sends it.
    let _ = sender.send_to(b"x", to.1);
    eventually(|| {
        if receiver.recv(&mut [0; 8]).is_ok() {
            return Some(true);
        }
        (refused(world) != before).then_some(false)
    })
}

fn refused(world: &World) -> Refused {
    packets::refused(&world.pod).unwrap()
}

fn ingress() {
    let world = World::new();
    let sets = peers(&PEER);
    let rbac = rule(port(5000), Principal::SourceSet("peers".into()));
    install(&world, Some(&rbac), None, &sets);
    for family in 0..2 {
        let from = (&world.outside, PEER[family]);
        assert!(arrives(&world, from, (&world.pod, at(POD[family], 5000))));
        assert!(!arrives(&world, from, (&world.pod, at(POD[family], 5001))));
        let stranger = (&world.outside, DNS[family]);
        assert!(!arrives(
            &world,
            stranger,
            (&world.pod, at(POD[family], 5000))
        ));
    }
    assert_eq!(
        refused(&world),
        Refused {
            ingress: 4,
            egress: 0
        }
    );
}

fn egress() {
    let world = World::new();
    let sets = peers(&PEER);
    let to_peers = Permission::All(vec![Permission::DestinationSet("peers".into()), port(5000)]);
    install(&world, None, Some(&rule(to_peers, Principal::Any)), &sets);
    for family in 0..2 {
        let from = (&world.pod, POD[family]);
        assert!(arrives(
            &world,
            from,
            (&world.outside, at(PEER[family], 5000))
        ));
        assert!(!arrives(
            &world,
            from,
            (&world.outside, at(PEER[family], 5001))
        ));
        assert!(!arrives(
            &world,
            from,
            (&world.outside, at(DNS[family], 5000))
        ));
    }
    assert_eq!(
        refused(&world),
        Refused {
            ingress: 0,
            egress: 4
        }
    );
}

fn replies() {
    let world = World::new();
    let sets = peers(&PEER);
    // It may be asked and may ask nobody; it must still be able to answer. And the other way round.
    for asked in [true, false] {
        let (open, closed) = (rule(Permission::Any, Principal::Any), nothing());
        let (ingress, egress) = if asked {
            (&open, &closed)
        } else {
            (&closed, &open)
        };
        install(&world, Some(ingress), Some(egress), &sets);
        let pod = udp(&world.pod, at(POD[0], 0));
        let peer = udp(&world.outside, at(PEER[0], 0));
        let (client, server) = if asked { (&peer, &pod) } else { (&pod, &peer) };
        client.send_to(b"?", server.local_addr().unwrap()).unwrap();
        let (_, from) = server.recv_from(&mut [0; 8]).unwrap();
        server.send_to(b"!", from).unwrap();
        client.recv_from(&mut [0; 8]).unwrap();
    }
}

fn change() {
    let world = World::new();
    let sets = peers(&PEER);
    install(
        &world,
        Some(&rule(Permission::Any, Principal::Any)),
        None,
        &sets,
    );
    let pod = udp(&world.pod, at(POD[0], 5000));
    let peer = udp(&world.outside, at(PEER[0], 5000));
    peer.send_to(b"1", at(POD[0], 5000)).unwrap();
    pod.recv(&mut [0; 8]).unwrap();
    pod.send_to(b"2", at(PEER[0], 5000)).unwrap();
    peer.recv(&mut [0; 8]).unwrap();
    install(&world, Some(&nothing()), None, &sets);
    peer.send_to(b"3", at(POD[0], 5000)).unwrap();
    eventually(|| (refused(&world).ingress == 1).then_some(()));
    pod.set_nonblocking(true).unwrap();
    assert!(pod.recv(&mut [0; 8]).is_err());
}

fn node() {
    let world = World::new();
    install(&world, Some(&nothing()), None, &AddressSets::default());
    for family in 0..2 {
        let to = (&world.pod, at(POD[family], 5000));
        assert!(arrives(&world, (&world.outside, NODE[family]), to));
        assert!(!arrives(&world, (&world.outside, PEER[family]), to));
    }
}

fn itself() {
    let world = World::new();
    install(
        &world,
        Some(&nothing()),
        Some(&nothing()),
        &AddressSets::default(),
    );
    for address in ["127.0.0.1", POD[0], "::1", POD[1]] {
        let to = (&world.pod, at(address, 5000));
        assert!(arrives(&world, (&world.pod, address), to));
    }
}

fn others() {
    let world = World::new();
    install(
        &world,
        Some(&nothing()),
        Some(&nothing()),
        &AddressSets::default(),
    );
    let server = application(&world.outside, any(PEER[0], 80));
    dial(&world.pod, at(PEER[0], 80)).unwrap();
    accept(&server);
    let server = application(&world.pod, any(POD[0], 80));
    dial(&world.outside, at(POD[0], 80)).unwrap();
    accept(&server);
    // The kernel says that nobody is at a port by ICMP; the pod must be told, isolated or not.
    install(&world, Some(&nothing()), None, &AddressSets::default());
    let client = udp(&world.pod, at(POD[0], 0));
    client.connect(at(PEER[0], 9)).unwrap();
    client.send(b"x").unwrap();
    let told = client.recv(&mut [0; 8]).unwrap_err();
    assert_eq!(told.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(refused(&world), Refused::default());
}

fn dns() {
    let world = World::captured();
    let sets = peers(&["10.244.1.77"]);
    let resolver = Permission::All(vec![Permission::DestinationSet("peers".into()), port(53)]);
    let rbac = rule(resolver, Principal::Any);
    let service = |endpoint: &str| ServiceAddress {
        address: ip(DNS[0]),
        port: 53,
        protocol: Protocol::Udp,
        endpoints: vec![at(endpoint, 53)],
    };
    let proxy = bind_udp(&world.pod, at("127.0.0.1", 15053)).unwrap();
    let asks = |server: &str| {
        let client = udp(&world.pod, any(POD[0], 0));
        let before = refused(&world);
        let _ = client.send_to(b"who?", at(server, 53));
        eventually(|| {
            if proxy.recv(&mut [0; 8]).is_ok() {
                return Some(true);
            }
            (refused(&world) != before).then_some(false)
        })
    };
    install_with(&world, None, Some(&rbac), &sets, &[service("10.244.1.77")]);
    assert!(asks(DNS[0]));
    assert!(asks("10.244.1.77"));
    assert!(!asks("10.244.1.78"));
    install_with(&world, None, Some(&rbac), &sets, &[service("10.244.1.78")]);
    assert!(!asks(DNS[0]));
    // Over TCP too: nobody listens on the proxy's port, so what is let through is refused at once and the rest is counted.
    let before = refused(&world).egress;
    let client = std::thread::scope(|scope| {
        let dialled = scope.spawn(|| dial(&world.pod, at("10.244.1.78", 53)));
        eventually(|| (refused(&world).egress > before).then_some(()));
        packets::remove(&world.pod).unwrap();
        dialled.join().unwrap()
    });
    assert!(client.is_err());
    assert!(capture::is_installed(&world.pod).unwrap());
}

fn own_packets() {
    let world = World::new();
    install(&world, None, Some(&nothing()), &AddressSets::default());
    let server = udp(&world.outside, at(DNS[0], 53));
    let proxy = bind_udp(&world.pod, any(POD[0], 0)).unwrap();
    proxy.send_to(b"who?", at(DNS[0], 53)).unwrap();
    server.recv(&mut [0; 8]).unwrap();
}

fn remove() {
    let world = World::new();
    let before = world.state_of_the_pod();
    install(
        &world,
        Some(&nothing()),
        Some(&nothing()),
        &AddressSets::default(),
    );
    assert_ne!(world.state_of_the_pod(), before);
    for _ in 0..2 {
        packets::remove(&world.pod).unwrap();
        assert_eq!(world.state_of_the_pod(), before);
    }
    install(&world, Some(&nothing()), None, &AddressSets::default());
    install(&world, None, None, &AddressSets::default());
    assert_eq!(world.state_of_the_pod(), before);
    assert_eq!(refused(&world), Refused::default());
}

/// A small generator of its own: the same policies in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }

    fn permission(&mut self, depth: u32) -> Permission {
        let many = |dice: &mut Self| {
            (0..dice.below(4))
                .map(|_| dice.permission(depth - 1))
                .collect()
        };
        match self.below(if depth == 0 { 5 } else { 8 }) {
            0 => Permission::Any,
            1 => Permission::DestinationBlock(self.block()),
            2 => Permission::DestinationSet("peers".into()),
            3 => {
                let first = 5000 + self.below(3) as u16;
                Permission::DestinationPorts(first, first + self.below(2) as u16)
            }
            4 => Permission::Protocol([Protocol::Tcp, Protocol::Udp][self.below(2) as usize]),
            5 => Permission::All(many(self)),
            6 => Permission::OneOf(many(self)),
            _ => Permission::Not(Box::new(self.permission(depth - 1))),
        }
    }

    fn principal(&mut self, depth: u32) -> Principal {
        let many = |dice: &mut Self| {
            (0..dice.below(4))
                .map(|_| dice.principal(depth - 1))
                .collect()
        };
        match self.below(if depth == 0 { 3 } else { 6 }) {
            0 => Principal::Any,
            1 => Principal::SourceBlock(self.block()),
            2 => Principal::SourceSet("peers".into()),
            3 => Principal::All(many(self)),
            4 => Principal::OneOf(many(self)),
            _ => Principal::Not(Box::new(self.principal(depth - 1))),
        }
    }

    fn block(&mut self) -> ipnet::IpNet {
        let blocks = [
            "0.0.0.0/0",
            "10.244.0.0/16",
            "10.244.2.0/24",
            "10.244.2.9/32",
            "10.96.0.0/12",
            "::/0",
            "fd00:2::/32",
        ];
        blocks[self.below(blocks.len() as u64) as usize]
            .parse()
            .unwrap()
    }

    fn rbac(&mut self) -> Rbac {
        let policy = |dice: &mut Self, number| Policy {
            name: format!("rule {number}").into(),
            permissions: (0..1 + dice.below(2)).map(|_| dice.permission(3)).collect(),
            principals: (0..1 + dice.below(2)).map(|_| dice.principal(3)).collect(),
        };
        Rbac {
            action: [RbacAction::Allow, RbacAction::Allow, RbacAction::Deny]
                [self.below(3) as usize],
            policies: (0..1 + self.below(2))
                .map(|number| policy(self, number))
                .collect(),
        }
    }
}

fn random() {
    let world = World::new();
    let mut dice = Dice(1);
    let (mut allowed, mut refused) = (0, 0);
    let sets = peers(&PEER);
    for round in 0..100 {
        let rbac = dice.rbac();
        install(&world, Some(&rbac), None, &sets);
        for (source, family) in [(PEER[0], 0), (DNS[0], 0), (PEER[1], 1), (DNS[1], 1)] {
            let destination = at(POD[family], 5000 + dice.below(4) as u16);
            let subject = Subject {
                protocol: Protocol::Udp,
                source: ip(source),
                destination: destination.ip(),
                port: destination.port(),
                identity: None,
                request: None,
            };
            let wanted = rbac.decide(&subject, &sets).is_allowed();
            let found = arrives(&world, (&world.outside, source), (&world.pod, destination));
            assert_eq!(
                found, wanted,
                "round {round}: {source} to {destination}: {rbac:#?}"
            );
            *(if found { &mut allowed } else { &mut refused }) += 1;
        }
    }
    assert!(
        allowed > 50 && refused > 50,
        "{allowed} allowed, {refused} refused"
    );
    let (_, rules) = run(
        &world.pod,
        "nft",
        &["list", "table", "inet", "heddle_policy"],
        "",
    );
    assert!(rules.contains("chain ingress"));
}
