//! Entering namespaces, and DNS that is redirected.

use std::io::{Read, Write};

use heddle_redirect::{
    Netns, NetnsError, PROXY_MARK,
    socket::{bind_udp, listen, original_destination},
};

use crate::{
    harness::Test,
    world::{DNS, POD, World, accept, any, at, dial, udp},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_thread_comes_back_from_a_namespace", back),
    ("a_thread_comes_back_from_a_panic", back_from_panic),
    ("a_plain_file_is_no_namespace", no_namespace),
    (
        "dns_over_udp_comes_to_the_proxy_and_the_answer_is_the_servers",
        dns_udp,
    ),
    ("dns_over_tcp_comes_to_the_proxy", dns_tcp),
    ("the_proxys_own_questions_reach_the_server", own_questions),
    ("dns_inside_the_pod_is_left_alone", dns_inside),
];

fn back() {
    let home = Netns::current().unwrap();
    let (one, other) = (Netns::create().unwrap(), Netns::create().unwrap());
    let seen = one
        .run(|| {
            let inner = other
                .run(|| Netns::open("/proc/thread-self/ns/net").unwrap().id())
                .unwrap();
            (inner, Netns::open("/proc/thread-self/ns/net").unwrap().id())
        })
        .unwrap();
    assert_eq!(seen, (other.id(), one.id()));
    assert_eq!(Netns::open("/proc/thread-self/ns/net").unwrap(), home);
    assert_ne!(one, other);
}

fn back_from_panic() {
    let home = Netns::current().unwrap();
    let other = Netns::create().unwrap();
    let panicked = std::panic::catch_unwind(|| {
        // Not `panic!`: nothing is to be printed for a panic that is wanted.
        other
            .run(|| std::panic::resume_unwind(Box::new("wanted")))
            .unwrap();
    });
    assert!(panicked.is_err());
    assert_eq!(Netns::open("/proc/thread-self/ns/net").unwrap(), home);
}

fn no_namespace() {
    let file = tempfile::NamedTempFile::new().unwrap();
    assert!(matches!(
        Netns::open(file.path()),
        Err(NetnsError::NotANamespace(_))
    ));
    assert!(matches!(
        Netns::open("/proc/self/ns/gone"),
        Err(NetnsError::Open { .. })
    ));
}

fn loopback(family: usize) -> &'static str {
    ["127.0.0.1", "::1"][family]
}

fn dns_udp() {
    let world = World::captured();
    for family in 0..2 {
        let proxy = bind_udp(&world.pod, at(loopback(family), 15053)).unwrap();
        proxy.set_nonblocking(false).unwrap();
        let client = udp(&world.pod, any(POD[family], 0));
        // A connected socket takes an answer only from the address it asked.
        client.connect(at(DNS[family], 53)).unwrap();
        client.send(b"who?").unwrap();
        let mut buffer = [0; 16];
        let (length, from) = proxy.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"who?");
        proxy.send_to(b"you.", from).unwrap();
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"you.");
    }
}

fn dns_tcp() {
    let world = World::captured();
    for (family, server) in DNS.into_iter().enumerate() {
        let proxy = listen(&world.pod, at(loopback(family), 15053)).unwrap();
        let mut client = dial(&world.pod, at(server, 53)).unwrap();
        let (mut accepted, _) = accept(&proxy);
        assert_eq!(original_destination(&accepted).unwrap(), at(server, 53));
        client.write_all(b"who?").unwrap();
        let mut heard = [0; 4];
        accepted.read_exact(&mut heard).unwrap();
    }
}

fn own_questions() {
    let world = World::captured();
    let server = udp(&world.outside, at(DNS[0], 53));
    let proxy = bind_udp(&world.pod, any(POD[0], 0)).unwrap();
    assert_eq!(socket2::SockRef::from(&proxy).mark().unwrap(), PROXY_MARK);
    proxy.send_to(b"who?", at(DNS[0], 53)).unwrap();
    let mut buffer = [0; 16];
    let (_, from) = server.recv_from(&mut buffer).unwrap();
    assert_eq!(from.ip(), at(POD[0], 0).ip());
}

fn dns_inside() {
    let world = World::captured();
    let server = udp(&world.pod, at("127.0.0.53", 53));
    let client = udp(&world.pod, any(POD[0], 0));
    client.send_to(b"who?", at("127.0.0.53", 53)).unwrap();
    let mut buffer = [0; 16];
    server.recv_from(&mut buffer).unwrap();
}
