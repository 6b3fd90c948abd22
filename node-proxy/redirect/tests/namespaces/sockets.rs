//! Listening sockets that go from one process to the next.

use std::{
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    thread,
};

use heddle_redirect::{
    Netns,
    handover::{Passed, receive, send},
    socket::{listen, original_destination},
};

use crate::{
    harness::Test,
    world::{POD, SERVICE, World, any, at, dial, talk},
};

pub(crate) const TESTS: &[Test] = &[(
    "who_waits_at_a_predecessors_sockets_is_served_by_the_successor_with_its_destination",
    handed_over,
)];

const WORKERS: usize = 3;
const CONNECTIONS: usize = 60;

/// What a successor gets.
fn hand_over(netns: &Netns, sockets: &[TcpListener]) -> Vec<TcpListener> {
    let passed: Vec<_> = sockets
        .iter()
        .map(|socket| Passed::listener(netns.id(), socket).unwrap())
        .collect();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let received = thread::scope(|scope| {
        scope.spawn(|| send(&ours, &passed).unwrap());
        receive(&theirs).unwrap()
    });
    assert!(received.iter().all(|one| one.place.netns == netns.id()));
    let listeners = received.into_iter().filter_map(Passed::into_listener);
    listeners.collect()
}

/// Serves all connections that wait at these sockets, and says how many there were.
fn serve(sockets: &[TcpListener], clients: &mut Vec<TcpStream>) -> usize {
    let mut served = 0;
    for socket in sockets {
        while let Ok((mut server, peer)) = socket.accept() {
            server.set_nonblocking(false).unwrap();
            let wanted = original_destination(&server).unwrap();
            assert_eq!(wanted, at(SERVICE[0], 80));
            let index = clients
                .iter()
                .position(|client| client.local_addr().unwrap() == peer)
                .unwrap();
            talk(&mut clients.swap_remove(index), &mut server);
            served += 1;
        }
    }
    served
}

fn handed_over() {
    let world = World::captured();
    let address = any(POD[0], 15001);
    let connect = || {
        let connect = |_| dial(&world.pod, at(SERVICE[0], 80)).unwrap();
        (0..CONNECTIONS).map(connect).collect::<Vec<_>>()
    };
    let mut owned: Vec<_> = (0..WORKERS)
        .map(|_| listen(&world.pod, address).unwrap())
        .collect();
    for _ in 0..3 {
        let mut before = connect();
        let next = hand_over(&world.pod, &owned);
        let mut between = connect();
        // The one that was there closes what it has.
        owned = next;
        let mut after = connect();
        let mut clients = Vec::new();
        clients.append(&mut before);
        clients.append(&mut between);
        clients.append(&mut after);
        assert_eq!(serve(&owned, &mut clients), 3 * CONNECTIONS);
    }
}
