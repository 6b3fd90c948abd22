use super::*;

fn here() -> Netns {
    Netns::current().unwrap()
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn inode(socket: &impl std::os::fd::AsRawFd) -> String {
    let link = format!("/proc/self/fd/{}", socket.as_raw_fd());
    std::fs::read_link(link).unwrap().display().to_string()
}

#[test]
fn what_was_inherited_is_used_before_anything_is_opened_and_more_than_there_are_workers_is_served_too()
 {
    let (first, second) = (listener(), listener());
    let mut kept = Kept::default();
    kept.listeners(&here(), &[first, second]).unwrap();
    // Two sockets of one place, as two workers have them.
    let mut passed = kept.again().unwrap();
    passed[1].place = passed[0].place;
    let address = passed[0].place.address;
    let known: Vec<_> = passed
        .iter()
        .map(|one| inode(&one.again().unwrap().into_listener().unwrap()))
        .collect();
    let mut sockets = Sockets::inherited(passed);
    let listeners = sockets.listen(&here(), address, 1).unwrap();
    assert_eq!(listeners.iter().map(inode).collect::<Vec<_>>(), known);
}

#[test]
fn a_socket_of_another_namespace_or_kind_is_not_taken() {
    let listener = listener();
    let place = Passed::listener(here().id(), &listener).unwrap().place;
    let mut elsewhere = Passed::listener(here().id(), &listener).unwrap();
    elsewhere.place.netns.ino += 1;
    let mut sockets = Sockets::inherited(vec![elsewhere]);
    assert_eq!(sockets.take(&here(), Kind::Tcp, place.address).count(), 0);
    let same = Passed::listener(here().id(), &listener).unwrap();
    let mut sockets = Sockets::inherited(vec![same]);
    assert_eq!(sockets.take(&here(), Kind::Udp, place.address).count(), 0);
    assert_eq!(sockets.take(&here(), Kind::Tcp, place.address).count(), 1);
}

#[test]
fn what_nobody_wants_is_closed_after_a_while() {
    let listener = listener();
    let mut sockets = Sockets::inherited(vec![Passed::listener(here().id(), &listener).unwrap()]);
    sockets.forget_unwanted();
    assert_eq!(sockets.inherited.len(), 1);
    sockets.until = Instant::now().checked_sub(Duration::from_secs(1));
    sockets.forget_unwanted();
    assert!(sockets.inherited.is_empty());
}
