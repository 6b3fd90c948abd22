//! Listening sockets of two processes at one address.

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    process::Command,
};

use heddle_redirect::{
    Netns,
    socket::{hand_over, listen},
};

use crate::harness::Test;

pub(crate) const TESTS: &[Test] = &[
    (
        "what_is_handed_over_goes_to_the_successor_and_nothing_is_lost_when_the_predecessor_closes",
        handed_over,
    ),
    (
        "without_a_successor_a_socket_that_was_handed_over_goes_on",
        no_successor,
    ),
];

const ADDRESS: &str = "127.0.0.1:15999";
const SOCKETS: usize = 3;
const CONNECTIONS: usize = 60;

fn generation() -> Vec<TcpListener> {
    let netns = Netns::current().unwrap();
    let address: SocketAddr = ADDRESS.parse().unwrap();
    (0..SOCKETS)
        .map(|_| listen(&netns, address).unwrap())
        .collect()
}

fn connect(count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| TcpStream::connect(ADDRESS).unwrap())
        .collect()
}

/// How many connections wait at these sockets.
fn waiting(sockets: &[TcpListener]) -> usize {
    let mut count = 0;
    for socket in sockets {
        loop {
            match socket.accept() {
                Ok(_) => count += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    count
}

fn loopback_up() {
    let up = Command::new("ip")
        .args(["link", "set", "lo", "up"])
        .status();
    assert!(up.unwrap().success());
}

fn handed_over() {
    loopback_up();
    let old = generation();
    let before = connect(CONNECTIONS);
    assert_eq!(waiting(&old), CONNECTIONS);
    let new = generation();
    for socket in &old {
        hand_over(socket, SOCKETS as u32).unwrap();
    }
    let after = connect(CONNECTIONS);
    assert_eq!((waiting(&old), waiting(&new)), (0, CONNECTIONS));
    drop(old);
    let later = connect(CONNECTIONS);
    assert_eq!(waiting(&new), CONNECTIONS);
    // And once more: the successor has become a predecessor.
    let newest = generation();
    for socket in &new {
        hand_over(socket, SOCKETS as u32).unwrap();
    }
    let last = connect(CONNECTIONS);
    assert_eq!((waiting(&new), waiting(&newest)), (0, CONNECTIONS));
    drop((before, after, later, last));
}

fn no_successor() {
    loopback_up();
    let only = generation();
    for socket in &only {
        hand_over(socket, SOCKETS as u32).unwrap();
    }
    let connections = connect(CONNECTIONS);
    assert_eq!(waiting(&only), CONNECTIONS);
    drop(connections);
}
