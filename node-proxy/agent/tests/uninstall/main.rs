//! The end of a node proxy on Kubernetes: what it leaves for its successor, and that it leaves nothing when the mesh is taken away.
//!
//! The program runs itself again inside a testbed; the one outside only tells how that ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod api;
#[path = "../restart/resources.rs"]
mod resources;

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use heddle_config::last_good;
use heddle_redirect::Netns;
use heddle_testbed::{FABRIC_ADDRESS, NETNS_FOLDER, Node, Pod, Process, Testbed, enter, is_inside};

use api::Api;

const NAME: &str =
    "a_node_proxy_leaves_all_to_its_successor_and_nothing_behind_when_the_mesh_is_taken_away";
const NODE: &str = "node-a";
/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(30);
/// As no program would write it again: it has to come back as it is.
const NETWORK: &str = "{ \"cniVersion\":\"1.0.0\",\n\t\"name\": \"pods\", \"plugins\": [ {\"type\":\"ptp\",\"mtu\":1.50e3} ] }";

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
    match scenario() {
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

/// A node with a pod of the mesh and a server outside of it, and the node's folders for the CNI.
struct World {
    bed: Testbed,
    client: Pod,
    files: PathBuf,
    api: Api,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        // The testbed's own /run: it vanishes with it.
        let files = PathBuf::from("/run/uninstall");
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
        let (client, server) = (
            pod("client", resources::CLIENT),
            pod("server", resources::SERVER),
        );
        bed.add_pod(client.clone())?;
        bed.add_pod(server.clone())?;
        for folder in ["net.d", "bin"] {
            fs::create_dir_all(files.join(folder))?;
        }
        fs::write(files.join("net.d/10-pods.conflist"), NETWORK)?;
        fs::write(files.join("plugin"), "a program")?;
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(files.join("roots.pem"), authority.cert.pem())?;
        fs::write(files.join("token"), "token")?;
        last_good::save(&files.join("last-good"), &resources::all(true))?;
        echo(&server)?;
        let api = Api::start()?;
        Ok(Self {
            bed,
            client,
            files,
            api,
        })
    }

    /// Starts the proxy; nobody is at its control plane's address.
    fn start(&self, name: &str) -> anyhow::Result<Process> {
        let mut command = self
            .bed
            .on_node(NODE, env!("CARGO_BIN_EXE_heddle-node-proxy"));
        command
            .env("KUBERNETES_SERVICE_HOST", FABRIC_ADDRESS.to_string())
            .env("KUBERNETES_SERVICE_PORT", api::PORT.to_string())
            .args(["--node", NODE, "--workers", "2", "--kubernetes"])
            .args(["--drain-seconds", "2", "--netns-dir", NETNS_FOLDER])
            .args(["--control-plane", "https://172.18.0.1:15012"]);
        for (option, file) in [
            ("--control-plane-roots", "roots.pem"),
            ("--token-file", "token"),
            ("--last-good", "last-good"),
            ("--cni-socket", "cni.sock"),
            ("--cni-conf-dir", "net.d"),
            ("--cni-bin-dir", "bin"),
            ("--cni-binary", "plugin"),
        ] {
            command.arg(option).arg(self.files.join(file));
        }
        self.bed.start(name, command)
    }

    fn rules(&self) -> anyhow::Result<String> {
        let mut all = String::new();
        for (program, arguments) in [
            ("nft", ["list", "ruleset"].as_slice()),
            ("ip", &["-4", "rule"]),
        ] {
            let mut command = self.bed.in_pod(&self.client, program);
            let output = command.args(arguments).output()?;
            anyhow::ensure!(output.status.success(), "{output:?}");
            all += &String::from_utf8(output.stdout)?;
        }
        Ok(all)
    }

    fn network(&self) -> anyhow::Result<String> {
        Ok(fs::read_to_string(
            self.files.join("net.d/10-pods.conflist"),
        )?)
    }

    fn has_plugin(&self) -> bool {
        self.files.join("bin/heddle-cni").exists()
    }

    /// A connection from the client's pod to the server's, by its own address.
    fn connect(&self) -> anyhow::Result<std::net::TcpStream> {
        let server = SocketAddr::from((resources::SERVER, 8080));
        self.bed.connect(&self.client.netns(), server, PATIENCE)
    }

    /// One connection after the other, each of which must be answered; how many there were.
    fn connect_until(&self, over: &AtomicBool) -> anyhow::Result<usize> {
        let mut count = 0;
        while !over.load(Ordering::SeqCst) {
            let answered = self.connect().and_then(|mut stream| Ok(talk(&mut stream)?));
            answered.with_context(|| format!("connection {count}"))?;
            count += 1;
        }
        Ok(count)
    }

    /// Until the proxy has brought the node to this.
    fn until(
        &self,
        what: &str,
        proxy: &mut Process,
        holds: impl Fn(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !holds(self)? {
            let running = proxy.ended().is_none() && begun.elapsed() < PATIENCE;
            anyhow::ensure!(running, "not {what}\n{}", proxy.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

fn is_enrolled(world: &World) -> anyhow::Result<bool> {
    let captured = ("True".to_owned(), "Captured".to_owned());
    Ok(world.api.last() == Some(captured) && world.network()?.contains("heddle-cni"))
}

fn replace(first: &mut Process, second: &mut Process) -> anyhow::Result<()> {
    first.terminate()?;
    ends(first)?;
    said(second, "taken over from the former node proxy")
}

fn said(proxy: &mut Process, words: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !proxy.log().contains(words) {
        let running = proxy.ended().is_none() && begun.elapsed() < PATIENCE;
        anyhow::ensure!(running, "it does not say {words:?}\n{}", proxy.log());
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn ends(proxy: &mut Process) -> anyhow::Result<()> {
    let end = proxy.wait(PATIENCE);
    anyhow::ensure!(end.is_some(), "it does not end\n{}", proxy.log());
    Ok(())
}

/// A server that repeats what it hears, at port 8080 of a pod.
fn echo(server: &Pod) -> anyhow::Result<()> {
    let netns = Netns::open(Path::new(NETNS_FOLDER).join(server.netns()))?;
    let listener = netns.run(|| TcpListener::bind("0.0.0.0:8080"))??;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            let (mut from, mut to) = (stream.as_ref().unwrap().try_clone()?, stream?);
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
        Ok(())
    });
    Ok(())
}

fn talk(stream: &mut std::net::TcpStream) -> io::Result<()> {
    stream.write_all(b"ping")?;
    let mut heard = [0; 4];
    stream.read_exact(&mut heard)?;
    assert_eq!(&heard, b"ping");
    Ok(())
}

fn scenario() -> anyhow::Result<()> {
    let world = World::new()?;
    let mut first = world.start("first")?;
    world.until("enrolled", &mut first, is_enrolled)?;
    let (rules, network) = (world.rules()?, world.network()?);
    anyhow::ensure!(rules.contains("table inet heddle"), "{rules}");
    anyhow::ensure!(world.has_plugin());

    // It is only replaced, by one that is there already and waits for a control plane.
    world.until("carrying", &mut first, |world| {
        Ok(world
            .connect()
            .is_ok_and(|mut stream| talk(&mut stream).is_ok()))
    })?;
    let mut second = world.start("second")?;
    said(&mut second, "another node proxy serves this node")?;
    // As long as this is open the first one drains.
    let mut open = world.connect()?;
    talk(&mut open)?;
    let over = AtomicBool::new(false);
    let connections = thread::scope(|scope| {
        let connecting = scope.spawn(|| world.connect_until(&over));
        let replaced = replace(&mut first, &mut second);
        over.store(true, Ordering::SeqCst);
        let connections = connecting.join().expect("no panic");
        replaced.and(connections)
    })?;
    drop(open);
    anyhow::ensure!(connections > 10, "{connections}");
    anyhow::ensure!(world.rules()? == rules && world.network()? == network);
    anyhow::ensure!(world.has_plugin() && is_enrolled(&world)?);

    // The mesh is taken away, and a connection is open.
    let mut open = world.connect()?;
    talk(&mut open)?;
    world.api.deleting.store(true, Ordering::SeqCst);
    second.terminate()?;
    world.until("released", &mut second, |world| {
        Ok(world.network()? == NETWORK && !world.rules()?.contains("redirect"))
    })?;
    talk(&mut open)?;
    talk(&mut world.connect()?)?;
    drop(open);
    ends(&mut second)?;
    let rules = world.rules()?;
    anyhow::ensure!(
        !rules.contains("heddle") && !rules.contains("fwmark"),
        "{rules}"
    );
    anyhow::ensure!(!world.has_plugin() && world.network()? == NETWORK);
    let released = ("False".to_owned(), "Released".to_owned());
    anyhow::ensure!(world.api.last() == Some(released), "{:?}", world.api.last());
    // Everything is as if it had never been there.
    talk(&mut world.connect()?)?;
    Ok(())
}
