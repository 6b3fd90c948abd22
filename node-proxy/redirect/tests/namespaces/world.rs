//! A pod and the world outside it: two namespaces with a cable between them.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::{AsFd, AsRawFd},
    process::Command,
    time::{Duration, Instant},
};

use heddle_redirect::{
    Netns,
    capture::{self, CaptureRules},
};

/// The pod's addresses.
pub(crate) const POD: [&str; 2] = ["10.244.1.5", "fd00:1::5"];
/// The node's, which is the pod's gateway.
pub(crate) const NODE: [&str; 2] = ["10.244.1.1", "fd00:1::1"];
/// Another pod's.
pub(crate) const PEER: [&str; 2] = ["10.244.2.9", "fd00:2::9"];
/// A Service's: nobody has it.
pub(crate) const SERVICE: [&str; 2] = ["10.96.0.20", "fd00:96::20"];
/// The name server's.
pub(crate) const DNS: [&str; 2] = ["10.96.0.10", "fd00:96::10"];

/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct World {
    pub(crate) pod: Netns,
    pub(crate) outside: Netns,
}

impl World {
    pub(crate) fn new() -> Self {
        let world = Self {
            pod: Netns::create().unwrap(),
            outside: Netns::create().unwrap(),
        };
        let pod = format!(
            "/proc/{}/fd/{}",
            std::process::id(),
            world.pod.as_fd().as_raw_fd()
        );
        world.ip(
            &world.outside,
            &format!(
                "link set lo up
                 link add veth0 type veth peer name eth0 netns {pod}
                 address add {}/24 dev veth0
                 address add {}/64 dev veth0 nodad
                 address add {}/32 dev lo
                 address add {}/128 dev lo nodad
                 address add {}/32 dev lo
                 address add {}/128 dev lo nodad
                 link set veth0 up",
                NODE[0], NODE[1], PEER[0], PEER[1], DNS[0], DNS[1]
            ),
        );
        world.ip(
            &world.pod,
            &format!(
                "link set lo up
                 address add {}/24 dev eth0
                 address add {}/64 dev eth0 nodad
                 link set eth0 up
                 route add default via {}
                 route add default via {}",
                POD[0], POD[1], NODE[0], NODE[1]
            ),
        );
        wait_for_addresses(&world.pod, &[POD[1]]);
        wait_for_addresses(&world.outside, &[NODE[1], PEER[1], DNS[1]]);
        world
    }

    /// With the capture rules installed.
    pub(crate) fn captured() -> Self {
        let world = Self::new();
        capture::install(&world.pod, &rules()).unwrap();
        world
    }

    fn ip(&self, netns: &Netns, commands: &str) {
        let output = run(netns, "ip", &["-batch", "-"], commands);
        assert!(output.0, "{}", output.1);
    }

    /// Everything of the pod's namespace that rules could change.
    pub(crate) fn state_of_the_pod(&self) -> String {
        let mut state = String::new();
        for (program, arguments) in [
            ("nft", ["list", "ruleset"].as_slice()),
            ("ip", &["-4", "rule"]),
            ("ip", &["-6", "rule"]),
            ("ip", &["-4", "route", "show", "table", "all"]),
            ("ip", &["-6", "route", "show", "table", "all"]),
            ("sysctl", &["-a", "--pattern", "net.ipv[46].conf"]),
        ] {
            state += &run(&self.pod, program, arguments, "").1;
        }
        // The kernel adds a link-local address and its routes by itself, when it has made sure that nobody else has it.
        state
            .split_inclusive('\n')
            .filter(|line| !line.contains("fe80::"))
            .collect()
    }
}

/// An IPv6 address is there at once, but the kernel adds the route by which it is one of ours in its own time, also without looking for duplicates.
fn wait_for_addresses(netns: &Netns, addresses: &[&str]) {
    let show = ["-6", "route", "show", "table", "local"];
    eventually(|| {
        let routes = run(netns, "ip", &show, "").1;
        let ours = |address: &&str| routes.contains(&format!("local {address} "));
        addresses.iter().all(ours).then_some(())
    });
}

pub(crate) fn rules() -> CaptureRules {
    CaptureRules {
        node_addresses: NODE.iter().map(|text| ip(text)).collect(),
        ..CaptureRules::default()
    }
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn at(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip(address), port)
}

/// Any address of the family of `address`.
pub(crate) fn any(address: &str, port: u16) -> SocketAddr {
    at(
        if ip(address).is_ipv4() {
            "0.0.0.0"
        } else {
            "::"
        },
        port,
    )
}

pub(crate) fn run(netns: &Netns, program: &str, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = netns
        .run(|| {
            Command::new(program)
                .args(arguments)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
        })
        .unwrap()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text.into_owned())
}

/// A listener of an application: nothing special about it.
pub(crate) fn application(netns: &Netns, address: SocketAddr) -> TcpListener {
    netns.run(|| TcpListener::bind(address)).unwrap().unwrap()
}

/// A connection of an application.
pub(crate) fn dial(netns: &Netns, to: SocketAddr) -> io::Result<TcpStream> {
    let stream = netns
        .run(|| TcpStream::connect_timeout(&to, PATIENCE))
        .unwrap()?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A connection of an application that has several addresses.
pub(crate) fn dial_from(netns: &Netns, from: &str, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = netns
        .run(|| {
            socket2::Socket::new(
                socket2::Domain::for_address(to),
                socket2::Type::STREAM,
                None,
            )
        })
        .unwrap()?;
    socket.bind(&at(from, 0).into())?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let stream: TcpStream = socket.into();
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A UDP socket of an application.
pub(crate) fn udp(netns: &Netns, address: SocketAddr) -> UdpSocket {
    let socket = netns.run(|| UdpSocket::bind(address)).unwrap().unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Accepts, but does not wait for ever.
pub(crate) fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    listener.set_nonblocking(true).unwrap();
    let (stream, peer) = eventually(|| match listener.accept() {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => None,
        accepted => Some(accepted.unwrap()),
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    (stream, peer)
}

/// Whether a connection waits to be accepted. The client must have got an answer before this is asked.
pub(crate) fn is_empty(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    matches!(listener.accept(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// Asks again until there is something, or patience ends.
pub(crate) fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Says something each way and sees it arrive.
pub(crate) fn talk(one: &mut TcpStream, other: &mut TcpStream) {
    say(one, other, b"ping");
    say(other, one, b"pong");
}

fn say(from: &mut TcpStream, to: &mut TcpStream, word: &[u8; 4]) {
    from.write_all(word).unwrap();
    let mut heard = [0; 4];
    to.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, word);
}
