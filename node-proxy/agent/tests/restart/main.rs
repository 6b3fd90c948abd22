//! A node proxy that is killed and started again, with real namespaces, rules and sockets, and no control plane at all: what it
//! carries, names included, and the rules that it leaves in a pod.
//!
//! The program runs itself again inside a testbed; the one outside only tells how that ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod resources;

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket},
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use heddle_config::last_good;
use heddle_redirect::Netns;
use heddle_testbed::{NETNS_FOLDER, Node, Pod, Process, Testbed, enter, is_inside};

const NAME: &str =
    "a_proxy_that_is_killed_and_started_again_serves_at_once_with_the_rules_of_its_configuration";
const NODE: &str = "node-a";
/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test");
        return ExitCode::SUCCESS;
    }
    let mut filters = arguments.iter().filter(|a| !a.starts_with('-')).peekable();
    if filters.peek().is_some() && !filters.any(|filter| NAME.contains(filter.as_str())) {
        return ExitCode::SUCCESS;
    }
    if !is_inside() {
        return enter().unwrap_or_else(failed);
    }
    match restart() {
        Ok(()) => {
            println!("\nrunning 1 test\ntest {NAME} ... ok\n");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("\nrunning 1 test\ntest {NAME} ... FAILED\n");
            failed(error)
        }
    }
}

fn failed(error: anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

/// A node with a pod of the mesh and a server outside of it.
struct World {
    bed: Testbed,
    client: Pod,
    files: PathBuf,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        // The testbed's own /run: it vanishes with it.
        let files = PathBuf::from("/run/restart");
        let mut bed = Testbed::new(&files)?;
        bed.add_node(Node {
            name: NODE.into(),
            address: Ipv4Addr::new(172, 18, 0, 11),
            pods: "10.244.1.0/24".parse()?,
        })?;
        let pod = |name: &str, address| Pod {
            namespace: "shop".into(),
            name: name.into(),
            node: NODE.into(),
            address,
        };
        let client = pod("client", resources::CLIENT);
        let server = pod("server", resources::SERVER);
        bed.add_pod(client.clone())?;
        bed.add_pod(server.clone())?;
        fs::create_dir_all(&files)?;
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(files.join("roots.pem"), authority.cert.pem())?;
        fs::write(files.join("token"), "token")?;
        greet(&server)?;
        answer_names(&server)?;
        Ok(Self { bed, client, files })
    }

    fn last_good(&self) -> PathBuf {
        self.files.join("last-good")
    }

    /// Starts the proxy; nobody is at its control plane's address.
    fn start(&self) -> anyhow::Result<Process> {
        let mut command = self
            .bed
            .on_node(NODE, env!("CARGO_BIN_EXE_heddle-node-proxy"));
        command
            .args(["--node", NODE, "--workers", "2"])
            .args(["--control-plane", "https://172.18.0.1:15012"])
            .args(["--netns-dir", NETNS_FOLDER]);
        for (option, file) in [
            ("--control-plane-roots", "roots.pem"),
            ("--token-file", "token"),
            ("--last-good", "last-good"),
        ] {
            command.arg(option).arg(self.files.join(file));
        }
        self.bed.start("proxy", command)
    }

    /// What a server behind the Service says to a client in the pod.
    fn ask(&self) -> anyhow::Result<String> {
        let service = SocketAddr::from((resources::SERVICE, 80));
        let mut stream = self.bed.connect(&self.client.netns(), service, PATIENCE)?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    }

    /// Asks until the server answers.
    fn answered(&self, proxy: &mut Process) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            match self.ask() {
                Ok(text) if text == "hello" => return Ok(()),
                other if begun.elapsed() > PATIENCE => {
                    let log = proxy.log();
                    anyhow::bail!("no answer through the proxy: {other:?}\n{log}");
                }
                _ => thread::sleep(Duration::from_millis(5)),
            }
            if let Some(status) = proxy.ended() {
                anyhow::bail!("the proxy ended: {status}\n{}", proxy.log());
            }
        }
    }

    /// Asks the cluster's name server for a name outside the cluster, from the pod, by UDP and by TCP.
    fn resolved(&self) -> anyhow::Result<()> {
        let resolver = SocketAddr::from((resources::RESOLVER, 53));
        let netns = Netns::open(Path::new(NETNS_FOLDER).join(self.client.netns()))?;
        let socket = netns.run(|| UdpSocket::bind("0.0.0.0:0"))??;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(resolver)?;
        socket.send(QUERY)?;
        let mut answer = [0; 512];
        let length = socket.recv(&mut answer).context("by UDP")?;
        anyhow::ensure!(answer[..length] == answered(QUERY), "by UDP");
        let mut stream = self.bed.connect(&self.client.netns(), resolver, PATIENCE)?;
        stream.write_all(&framed(QUERY))?;
        let mut answer = vec![0; QUERY.len() + 2];
        stream.read_exact(&mut answer).context("by TCP")?;
        anyhow::ensure!(answer == framed(&answered(QUERY)), "by TCP");
        Ok(())
    }

    /// The rules in the client's namespace, once the proxy says that the pod is captured so many times in all.
    fn rules(&self, proxy: &Process, captured: usize) -> anyhow::Result<String> {
        let begun = Instant::now();
        while proxy.log().matches(" captured").count() < captured {
            anyhow::ensure!(begun.elapsed() < PATIENCE, "not captured\n{}", proxy.log());
            thread::sleep(Duration::from_millis(5));
        }
        let mut all = String::new();
        for (program, arguments) in [
            ("nft", ["list", "ruleset"].as_slice()),
            ("ip", &["-4", "rule"]),
            ("ip", &["-4", "route", "show", "table", "all"]),
        ] {
            let mut command = self.bed.in_pod(&self.client, program);
            let output = command.args(arguments).output().context(program)?;
            anyhow::ensure!(output.status.success(), "{program}: {output:?}");
            all += &String::from_utf8(output.stdout)?;
        }
        Ok(all)
    }
}

/// `example.com`, type A (RFC 1035 section 4.1).
const QUERY: &[u8] =
    b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01";

/// The shortest answer to a query: the same, marked as a response.
fn answered(query: &[u8]) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer
}

/// With its length in front, as it goes over TCP.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("short");
    [&length.to_be_bytes(), message].concat()
}

/// A name server that knows nothing, at port 53 of a pod, UDP and TCP.
fn answer_names(server: &Pod) -> anyhow::Result<()> {
    let netns = Netns::open(Path::new(NETNS_FOLDER).join(server.netns()))?;
    let socket = netns.run(|| UdpSocket::bind("0.0.0.0:53"))??;
    let listener = netns.run(|| TcpListener::bind("0.0.0.0:53"))??;
    thread::spawn(move || -> io::Result<()> {
        let mut query = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut query)?;
            socket.send_to(&answered(&query[..length]), client)?;
        }
    });
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            let mut stream = stream?;
            let mut query = vec![0; QUERY.len() + 2];
            stream.read_exact(&mut query)?;
            stream.write_all(&framed(&answered(&query[2..])))?;
        }
        Ok(())
    });
    Ok(())
}

/// A server that says hello to everybody, at port 8080 of a pod.
fn greet(server: &Pod) -> anyhow::Result<()> {
    let netns = Netns::open(Path::new(NETNS_FOLDER).join(server.netns()))?;
    let listener = netns.run(|| TcpListener::bind("0.0.0.0:8080"))??;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            stream?.write_all(b"hello")?;
        }
        Ok(())
    });
    Ok(())
}

fn restart() -> anyhow::Result<()> {
    let world = World::new()?;
    last_good::save(&world.last_good(), &resources::all(true))?;
    let mut first = world.start()?;
    world.answered(&mut first)?;
    let isolated = world.rules(&first, 1)?;
    anyhow::ensure!(isolated.contains("heddle_policy"), "{isolated}");
    world.resolved()?;
    first.kill();
    anyhow::ensure!(
        world.ask().is_err(),
        "while no proxy runs, nothing gets through unjudged"
    );

    let mut second = world.start()?;
    world.answered(&mut second)?;
    let again = world.rules(&second, 2)?;
    anyhow::ensure!(again == isolated, "{isolated}\nbecame\n{again}");
    second.kill();

    // What it starts with now says less than the rules that it finds.
    last_good::save(&world.last_good(), &resources::all(false))?;
    let mut third = world.start()?;
    world.answered(&mut third)?;
    let open = world.rules(&third, 3)?;
    anyhow::ensure!(!open.contains("heddle_policy"), "{open}");
    anyhow::ensure!(open.contains("table inet heddle {"), "{open}");
    world.resolved()?;
    Ok(())
}
