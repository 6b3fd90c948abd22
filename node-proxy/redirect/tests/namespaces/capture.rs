//! TCP comes to the proxy, and the proxy knows from where and whither.

use std::{io, net::SocketAddr};

use heddle_redirect::{
    Netns,
    capture::{self, CaptureRules},
    socket::{connect_socket, listen, original_destination},
};

use crate::{
    harness::Test,
    world::{
        NODE, PEER, POD, SERVICE, World, accept, any, application, at, dial, dial_from, is_empty,
        rules, run, talk,
    },
};

pub(crate) const TESTS: &[Test] = &[
    (
        "what_a_pod_sends_comes_to_the_proxy_with_its_destination",
        outbound,
    ),
    (
        "what_a_pod_receives_comes_to_the_proxy_with_its_destination",
        inbound,
    ),
    ("the_last_leg_keeps_the_clients_address", last_leg),
    (
        "the_last_leg_works_with_a_strict_reverse_path_filter",
        strict_reverse_path,
    ),
    (
        "the_proxys_own_connections_are_not_captured",
        own_connections,
    ),
    ("connections_from_the_node_are_not_captured", from_the_node),
    ("a_pod_that_talks_to_itself_is_not_captured", to_itself),
    ("the_port_of_mutual_tls_is_not_redirected", hbone),
    ("without_a_proxy_captured_connections_are_refused", no_proxy),
    ("connections_that_were_open_before_go_on", open_before),
    (
        "a_pod_cannot_speak_to_the_capture_ports_directly",
        no_direct_way,
    ),
    ("rules_may_be_installed_again_and_changed", again),
    ("remove_leaves_the_namespace_as_it_was", remove),
    (
        "a_released_pod_is_captured_no_more_and_what_is_open_goes_on_until_the_rules_are_removed",
        release,
    ),
    (
        "routes_are_those_that_the_systems_tool_sets",
        as_the_tool_does,
    ),
    ("a_missing_part_of_the_routes_is_noticed", missing_part),
    ("several_workers_share_a_port", share),
];

fn outbound() {
    let world = World::captured();
    for family in 0..2 {
        let proxy = listen(&world.pod, any(POD[family], 15001)).unwrap();
        let wanted = at(SERVICE[family], 80);
        let mut client = dial(&world.pod, wanted).unwrap();
        let (mut server, peer) = accept(&proxy);
        assert_eq!(original_destination(&server).unwrap(), wanted);
        assert_eq!(peer.ip(), client.local_addr().unwrap().ip());
        talk(&mut client, &mut server);
    }
}

fn inbound() {
    let world = World::captured();
    for family in 0..2 {
        let proxy = listen(&world.pod, any(POD[family], 15006)).unwrap();
        let application = application(&world.pod, any(POD[family], 8080));
        let wanted = at(POD[family], 8080);
        let mut client = dial_from(&world.outside, PEER[family], wanted).unwrap();
        let (mut server, peer) = accept(&proxy);
        assert_eq!(original_destination(&server).unwrap(), wanted);
        assert_eq!(peer, client.local_addr().unwrap());
        talk(&mut client, &mut server);
        assert!(is_empty(&application));
    }
}

/// The proxy, in the pod, connects to the application with the client's address.
fn connect_as(
    netns: &Netns,
    client: SocketAddr,
    to: SocketAddr,
) -> io::Result<std::net::TcpStream> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stream = connect_socket(netns, to, Some(client))?.connect(to).await?;
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        Ok(stream)
    })
}

fn last_leg() {
    let world = World::captured();
    for family in 0..2 {
        let application = application(&world.pod, any(POD[family], 8080));
        let to = at(POD[family], 8080);
        for source in [at(PEER[family], 0), at(PEER[family], 40001)] {
            let mut proxy = connect_as(&world.pod, source, to).unwrap();
            let (mut server, peer) = accept(&application);
            assert_eq!(peer.ip(), source.ip());
            assert!(source.port() == 0 || peer.port() == source.port());
            talk(&mut proxy, &mut server);
        }
    }
}

fn strict_reverse_path() {
    let world = World::captured();
    world
        .pod
        .run(|| {
            for name in ["all", "default", "lo", "eth0"] {
                let file = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
                std::fs::write(file, "1").unwrap();
            }
        })
        .unwrap();
    let proxy = listen(&world.pod, any(POD[0], 15006)).unwrap();
    let application = application(&world.pod, any(POD[0], 8080));
    let mut client = dial_from(&world.outside, PEER[0], at(POD[0], 8080)).unwrap();
    let (mut inbound, peer) = accept(&proxy);
    talk(&mut client, &mut inbound);
    let mut last = connect_as(&world.pod, SocketAddr::new(peer.ip(), 0), at(POD[0], 8080)).unwrap();
    let (mut server, seen) = accept(&application);
    assert_eq!(seen.ip(), peer.ip());
    talk(&mut last, &mut server);
}

fn own_connections() {
    let world = World::captured();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    for family in 0..2 {
        let server = application(&world.outside, any(PEER[family], 9000));
        let proxy = listen(&world.pod, any(POD[family], 15001)).unwrap();
        let to = at(PEER[family], 9000);
        let connection = runtime.block_on(async {
            connect_socket(&world.pod, to, None)
                .unwrap()
                .connect(to)
                .await
                .unwrap()
        });
        let (_, peer) = accept(&server);
        assert_eq!(peer, connection.local_addr().unwrap());
        assert_eq!(peer.ip(), at(POD[family], 0).ip());
        assert!(is_empty(&proxy));
    }
}

fn from_the_node() {
    let world = World::captured();
    for family in 0..2 {
        let proxy = listen(&world.pod, any(POD[family], 15006)).unwrap();
        let application = application(&world.pod, any(POD[family], 8080));
        let mut probe = dial_from(&world.outside, NODE[family], at(POD[family], 8080)).unwrap();
        let (mut server, _) = accept(&application);
        talk(&mut probe, &mut server);
        assert!(is_empty(&proxy));
    }
}

fn to_itself() {
    let world = World::captured();
    let proxies = [15001, 15006].map(|port| listen(&world.pod, any(POD[0], port)).unwrap());
    let application = application(&world.pod, any(POD[0], 8080));
    for address in ["127.0.0.1", POD[0]] {
        let mut client = dial(&world.pod, at(address, 8080)).unwrap();
        let (mut server, _) = accept(&application);
        talk(&mut client, &mut server);
    }
    assert!(proxies.iter().all(is_empty));
}

fn hbone() {
    let world = World::captured();
    for family in 0..2 {
        let tls = listen(&world.pod, any(POD[family], 15008)).unwrap();
        let to = at(POD[family], 15008);
        let mut client = dial_from(&world.outside, PEER[family], to).unwrap();
        let (mut server, peer) = accept(&tls);
        assert_eq!(peer, client.local_addr().unwrap());
        assert_eq!(original_destination(&server).unwrap(), to);
        talk(&mut client, &mut server);
    }
}

fn no_proxy() {
    let world = World::captured();
    let _there = application(&world.outside, any(PEER[0], 9000));
    let _here = application(&world.pod, any(POD[0], 8080));
    for refused in [
        dial(&world.pod, at(PEER[0], 9000)),
        dial_from(&world.outside, PEER[0], at(POD[0], 8080)),
    ] {
        assert_eq!(
            refused.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
    }
}

fn open_before() {
    let world = World::new();
    let outside = application(&world.outside, any(PEER[0], 9000));
    let inside = application(&world.pod, any(POD[0], 8080));
    let mut sent = dial(&world.pod, at(PEER[0], 9000)).unwrap();
    let mut received = dial_from(&world.outside, PEER[0], at(POD[0], 8080)).unwrap();
    let (mut sent_to, _) = accept(&outside);
    let (mut received_by, _) = accept(&inside);
    capture::install(&world.pod, &rules()).unwrap();
    talk(&mut sent, &mut sent_to);
    talk(&mut received, &mut received_by);
    capture::remove(&world.pod).unwrap();
    talk(&mut received_by, &mut received);
}

fn no_direct_way() {
    let world = World::captured();
    let proxies = [15001, 15006].map(|port| listen(&world.pod, any(POD[0], port)).unwrap());
    for address in ["127.0.0.1", POD[0]] {
        for port in [15001, 15006] {
            let refused = dial(&world.pod, at(address, port)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        }
    }
    assert!(proxies.iter().all(is_empty));
}

fn again() {
    let world = World::captured();
    let once = world.state_of_the_pod();
    capture::install(&world.pod, &rules()).unwrap();
    assert_eq!(world.state_of_the_pod(), once);
    assert!(capture::is_installed(&world.pod).unwrap());

    let nobody = CaptureRules::default();
    capture::install(&world.pod, &nobody).unwrap();
    let proxy = listen(&world.pod, any(POD[0], 15006)).unwrap();
    let _client = dial_from(&world.outside, NODE[0], at(POD[0], 8080)).unwrap();
    accept(&proxy);

    // Whoever breaks a part of it is noticed.
    let (done, said) = run(&world.pod, "ip", &["route", "flush", "table", "100"], "");
    assert!(done, "{said}");
    assert!(!capture::is_installed(&world.pod).unwrap());
    capture::install(&world.pod, &rules()).unwrap();
    assert_eq!(world.state_of_the_pod(), once);
}

fn remove() {
    let world = World::new();
    let before = world.state_of_the_pod();
    assert!(!capture::is_installed(&world.pod).unwrap());
    capture::install(&world.pod, &rules()).unwrap();
    assert_ne!(world.state_of_the_pod(), before);
    for _ in 0..2 {
        capture::remove(&world.pod).unwrap();
        assert_eq!(world.state_of_the_pod(), before);
        assert!(!capture::is_installed(&world.pod).unwrap());
    }
}

fn release() {
    let world = World::new();
    capture::install(&world.pod, &rules()).unwrap();
    for family in 0..2 {
        let inbound = listen(&world.pod, any(POD[family], 15006)).unwrap();
        let outbound = listen(&world.pod, any(POD[family], 15001)).unwrap();
        let application = application(&world.pod, any(POD[family], 8080));
        let to = at(POD[family], 8080);
        // A connection that the pod receives, with its last leg, and one that it makes.
        let mut client = dial_from(&world.outside, PEER[family], to).unwrap();
        let (mut accepted, peer) = accept(&inbound);
        let mut leg = connect_as(&world.pod, at(PEER[family], 0), to).unwrap();
        let (mut received, _) = accept(&application);
        assert_eq!(peer.ip(), at(PEER[family], 0).ip());
        let mut sent = dial(&world.pod, at(SERVICE[family], 80)).unwrap();
        let (mut taken, _) = accept(&outbound);
        capture::release(&world.pod).unwrap();
        talk(&mut client, &mut accepted);
        talk(&mut leg, &mut received);
        talk(&mut sent, &mut taken);
        // What is new goes its own way.
        let mut direct = dial_from(&world.outside, PEER[family], to).unwrap();
        let (mut received, _) = accept(&application);
        talk(&mut direct, &mut received);
        assert!(is_empty(&inbound));
        capture::install(&world.pod, &rules()).unwrap();
    }
    capture::release(&world.pod).unwrap();
    capture::remove(&world.pod).unwrap();
    assert!(!capture::is_installed(&world.pod).unwrap());
    let (_, left) = run(&world.pod, "nft", &["list", "ruleset"], "");
    assert_eq!(left, "");
}

/// The rules and routes that `ip` adds and deletes with these words.
fn ip(world: &World, family: usize, commands: &str) {
    let (done, said) = run(
        &world.pod,
        "ip",
        &[["-4", "-6"][family], "-batch", "-"],
        commands,
    );
    assert!(done, "{said}");
}

fn as_the_tool_does() {
    let world = World::captured();
    let ours = world.state_of_the_pod();
    for (family, everything) in ["0.0.0.0/0", "::/0"].iter().enumerate() {
        ip(
            &world,
            family,
            &format!(
                "rule del pref 32764
                 rule add fwmark 0x111/0xfff pref 32764 lookup 100
                 route del local {everything} dev lo table 100
                 route add local {everything} dev lo table 100"
            ),
        );
    }
    assert_eq!(world.state_of_the_pod(), ours);
    assert!(capture::is_installed(&world.pod).unwrap());
    // What the tool has set is not set twice, and is removed.
    capture::install(&world.pod, &rules()).unwrap();
    assert_eq!(world.state_of_the_pod(), ours);
    capture::remove(&world.pod).unwrap();
    assert_eq!(world.state_of_the_pod(), World::new().state_of_the_pod());
}

fn missing_part() {
    let world = World::captured();
    let whole = world.state_of_the_pod();
    for (family, everything) in ["0.0.0.0/0", "::/0"].iter().enumerate() {
        let no_rule = "rule del pref 32764";
        let no_route = format!("route del local {everything} dev lo table 100");
        // What breaks it, and what takes away what that has left.
        for (broken, tidy) in [
            (no_rule.to_owned(), String::new()),
            (no_route.clone(), String::new()),
            // Another mask is another rule, and a route of another kind is another route.
            (
                format!("{no_rule}\nrule add fwmark 0x111 pref 32764 lookup 100"),
                no_rule.to_owned(),
            ),
            (
                format!("{no_route}\nroute add unreachable {everything} table 100"),
                format!("route del unreachable {everything} table 100"),
            ),
        ] {
            ip(&world, family, &broken);
            assert!(!capture::is_installed(&world.pod).unwrap(), "{broken}");
            ip(&world, family, &tidy);
            capture::install(&world.pod, &rules()).unwrap();
            assert_eq!(world.state_of_the_pod(), whole, "{broken}");
        }
    }
}

fn share() {
    let world = World::captured();
    let address = any(POD[0], 15001);
    let first = listen(&world.pod, address).unwrap();
    let _second = listen(&world.pod, address).unwrap();
    // The same port in another namespace is another port.
    listen(&world.outside, address).unwrap();
    drop(first);
    dial(&world.pod, at(SERVICE[0], 80)).unwrap();
}
