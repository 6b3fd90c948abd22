use std::{
    net::{TcpStream, UdpSocket},
    thread,
};

use super::*;

const HERE: NetnsId = NetnsId { dev: 4, ino: 17 };

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

/// What arrives at the other end.
fn passed(sockets: &[Passed]) -> io::Result<Vec<Passed>> {
    let (ours, theirs) = UnixStream::pair().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || send(&ours, sockets).unwrap());
        receive(&theirs)
    })
}

#[test]
fn who_waits_in_the_queue_is_served_by_the_next_owner() {
    let former = listener();
    let mut client = TcpStream::connect(former.local_addr().unwrap()).unwrap();
    let mut got = passed(&[Passed::listener(HERE, &former).unwrap()]).unwrap();
    drop(former);
    let next = got.remove(0).into_listener().unwrap();
    let (mut server, _) = next.accept().unwrap();
    server.write_all(b"hello").unwrap();
    drop(server);
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

#[test]
fn a_datagram_that_nobody_has_read_is_read_by_the_next_owner() {
    let former = UdpSocket::bind("127.0.0.1:0").unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client
        .send_to(b"query", former.local_addr().unwrap())
        .unwrap();
    let mut got = passed(&[Passed::udp(HERE, &former).unwrap()]).unwrap();
    drop(former);
    let next = got.remove(0).into_udp().unwrap();
    let mut query = [0; 8];
    let (length, _) = next.recv_from(&mut query).unwrap();
    assert_eq!(&query[..length], b"query");
}

#[test]
fn any_number_of_sockets_arrives_in_order_each_with_its_place() {
    for count in [0, 1, AT_ONCE, AT_ONCE + 1, 2 * AT_ONCE + 7] {
        let sockets: Vec<_> = (0..count)
            .map(|index| {
                let netns = NetnsId {
                    dev: 4,
                    ino: index as u64,
                };
                Passed::listener(netns, &listener()).unwrap()
            })
            .collect();
        let places = |all: &[Passed]| all.iter().map(|one| one.place).collect::<Vec<_>>();
        assert_eq!(places(&passed(&sockets).unwrap()), places(&sockets));
    }
}

#[test]
fn a_socket_that_is_elsewhere_than_its_sender_says_is_refused() {
    let mut wrong = Passed::listener(HERE, &listener()).unwrap();
    wrong.place.address.set_port(1);
    let (ours, theirs) = UnixStream::pair().unwrap();
    send(&ours, &[wrong]).unwrap();
    assert_eq!(
        receive(&theirs).unwrap_err().kind(),
        io::ErrorKind::InvalidData
    );
}

#[test]
fn an_end_in_the_middle_and_nonsense_are_errors() {
    for bytes in [
        b"".as_slice(),
        &[0, 0],
        &[0, 0, 0, 9, b'x'],
        &[255, 0, 0, 0],
        b"\0\0\0\x04a b\n",
    ] {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(bytes).unwrap();
        drop(ours);
        assert!(receive(&theirs).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_place_reads_as_it_is_written() {
    for text in ["4 17 tcp 0.0.0.0:15001", "4 17 udp [::1]:15053"] {
        let place: Place = text.parse().unwrap();
        assert_eq!(place.to_string(), text);
    }
    for wrong in [
        "",
        "4 17 tcp",
        "4 17 sctp 0.0.0.0:1",
        "4 17 tcp 0.0.0.0:1 x",
        "a 17 tcp 0.0.0.0:1",
    ] {
        assert_eq!(wrong.parse::<Place>(), Err(InvalidPlace), "{wrong}");
    }
}
