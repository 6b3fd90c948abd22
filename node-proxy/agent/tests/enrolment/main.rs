//! A new pod on a node: a runtime calls the CNI plugin, which does not return before the pod is captured; then the pod's first connection
//! already goes through the node proxy.
//!
//! The program runs itself again inside a testbed, and there once more as the plugin; the one outside only tells how that ended.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../restart/resources.rs"]
mod resources;

use std::{
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use heddle_cni::plugin::{Environment, serve_runtime};
use heddle_config::{Update, last_good};
use heddle_proto::{
    Name,
    heddle::v1::{Workload, workload::Tunnel},
    pack,
};
use heddle_redirect::Netns;
use heddle_testbed::{NETNS_FOLDER, Node, Pod, Process, Testbed, enter, is_inside};

const NAME: &str =
    "a_new_pod_waits_for_its_capture_and_is_found_again_after_a_restart_by_file_and_by_process";
const WITHOUT: &str =
    "on_a_node_without_nftables_a_new_pod_waits_and_is_told_why_and_no_pod_loses_its_network";
const NODE: &str = "node-a";
const SERVER_UID: &str = "11111111-2222-3333-4444-555555555555";
/// Far longer than anything here takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Unlike what any program would write: it has to come back as it is.
const RESULT: &str = r#"{"cniVersion":"1.1.0", "ips":[{"address":"10.244.1.2/32"}],"x":1.50e0}"#;

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let runtime = Environment::of_this_process();
    if runtime.command.is_some() {
        return serve_runtime(&runtime);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{NAME}: test\n{WITHOUT}: test");
        return ExitCode::SUCCESS;
    }
    let filters = arguments.iter().filter(|a| !a.starts_with('-'));
    let filters: Vec<&String> = filters.collect();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    let tests: [(&str, Test); 2] = [(NAME, enrolment), (WITHOUT, without_nftables)];
    let chosen: Vec<_> = tests.into_iter().filter(|test| wanted(test.0)).collect();
    match chosen.as_slice() {
        [] => ExitCode::SUCCESS,
        [_] if !is_inside() => enter().unwrap_or_else(failed),
        [(name, test)] => {
            let result = test();
            let verdict = if result.is_ok() { "ok" } else { "FAILED" };
            println!("\nrunning 1 test\ntest {name} ... {verdict}\n");
            result.map_or_else(failed, |()| ExitCode::SUCCESS)
        }
        // A testbed each: it ends with the process that is inside.
        several => one_by_one(several.iter().map(|(name, _)| *name)).unwrap_or_else(failed),
    }
}

fn one_by_one<'a>(names: impl Iterator<Item = &'a str>) -> anyhow::Result<ExitCode> {
    let mut worst = ExitCode::SUCCESS;
    for name in names {
        if !Command::new(std::env::current_exe()?)
            .arg(name)
            .status()?
            .success()
        {
            worst = ExitCode::FAILURE;
        }
    }
    Ok(worst)
}

fn failed(error: anyhow::Error) -> ExitCode {
    eprintln!("{error:#}");
    ExitCode::FAILURE
}

/// A node with two pods, and no file of theirs where the node proxy looks by itself.
struct World {
    bed: Testbed,
    client: Pod,
    server: Pod,
    files: PathBuf,
}

impl World {
    fn new() -> anyhow::Result<Self> {
        // The testbed's own /run: it vanishes with it.
        let files = PathBuf::from("/run/enrolment");
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
        for folder in ["no-namespaces", "no-processes", "proc/42/ns"] {
            fs::create_dir_all(files.join(folder))?;
        }
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
        fs::write(files.join("roots.pem"), authority.cert.pem())?;
        fs::write(files.join("token"), "token")?;
        let mut all = resources::all(true);
        all.push(outside());
        last_good::save(&files.join("last-good"), &all)?;
        greet(&server)?;
        let world = Self {
            bed,
            client,
            server,
            files,
        };
        // The client's sandbox as the node's `/proc` would show it.
        let process = world.files.join("proc/42");
        let uid = resources::CLIENT_UID;
        fs::write(
            process.join("cgroup"),
            format!("0::/kubepods/burstable/pod{uid}/7d1e\n"),
        )?;
        fs::write(
            process.join("stat"),
            "42 (pause) S 1 42 42 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 7\n",
        )?;
        symlink(netns(&world.client), process.join("ns/net"))?;
        Ok(world)
    }

    /// Starts the proxy; nobody is at its control plane's address.
    fn start(&self, processes: &str) -> anyhow::Result<Process> {
        self.start_with(processes, &std::env::var("PATH")?)
    }

    /// Starts it with programs from other folders.
    fn start_with(&self, processes: &str, path: &str) -> anyhow::Result<Process> {
        let mut command = self
            .bed
            .on_node(NODE, env!("CARGO_BIN_EXE_heddle-node-proxy"));
        command.env("PATH", path);
        command
            .args(["--node", NODE, "--workers", "2"])
            .args(["--control-plane", "https://172.18.0.1:15012"]);
        for (option, file) in [
            ("--netns-dir", "no-namespaces"),
            ("--proc-dir", processes),
            ("--cni-socket", "cni.sock"),
            ("--control-plane-roots", "roots.pem"),
            ("--token-file", "token"),
            ("--last-good", "last-good"),
        ] {
            command.arg(option).arg(self.files.join(file));
        }
        self.bed.start("proxy", command)
    }

    /// Calls the plugin as a runtime does.
    fn call(&self, command: &str, pod: &Pod, uid: &str, limit: u64) -> anyhow::Result<Child> {
        let (namespace, name) = (&pod.namespace, &pod.name);
        let mut plugin = Command::new(std::env::current_exe()?)
            .env("CNI_COMMAND", command)
            .env("CNI_CONTAINERID", format!("sandbox-of-{name}"))
            .env("CNI_NETNS", netns(pod))
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/opt/cni/bin")
            .env(
                "CNI_ARGS",
                format!("K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID={uid}"),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let socket = self.files.join("cni.sock");
        let socket = socket.display();
        let input = format!(
            r#"{{"cniVersion":"1.1.0","name":"pods","type":"heddle-cni","socket":"{socket}","timeLimitSeconds":{limit},"prevResult":{RESULT}}}"#
        );
        let mut stdin = plugin.stdin.take().context("stdin")?;
        stdin.write_all(input.as_bytes())?;
        Ok(plugin)
    }

    /// Calls the plugin and waits for it.
    fn called(&self, command: &str, pod: &Pod, uid: &str, limit: u64) -> anyhow::Result<Output> {
        Ok(self.call(command, pod, uid, limit)?.wait_with_output()?)
    }

    /// What a server behind the Service says to the client's one connection.
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
        while !self.ask().is_ok_and(|text| text == "hello") {
            let running = proxy.ended().is_none() && begun.elapsed() < PATIENCE;
            anyhow::ensure!(running, "no answer through the proxy\n{}", proxy.log());
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn rules(&self, pod: &Pod) -> anyhow::Result<String> {
        let mut command = self.bed.in_pod(pod, "nft");
        let output = command.args(["list", "ruleset"]).output()?;
        anyhow::ensure!(output.status.success(), "{output:?}");
        Ok(String::from_utf8(output.stdout)?)
    }
}

fn netns(pod: &Pod) -> PathBuf {
    Path::new(NETNS_FOLDER).join(pod.netns())
}

/// The server's pod as the control plane tells of it: not in the mesh.
fn outside() -> Update {
    let workload = Workload {
        uid: SERVER_UID.to_owned(),
        namespace: "shop".to_owned(),
        name: "server".to_owned(),
        service_account: "server".to_owned(),
        node: NODE.to_owned(),
        tunnel: Tunnel::None.into(),
        owner: "server".to_owned(),
        app: "server".to_owned(),
        ..Workload::default()
    };
    let version = "1".to_owned();
    Update {
        type_url: Workload::type_url(),
        resources: vec![("shop/server".to_owned(), version, pack(&workload))],
        removed: Vec::new(),
    }
}

/// A server that says hello to everybody, at port 8080 of a pod.
fn greet(server: &Pod) -> anyhow::Result<()> {
    let netns = Netns::open(netns(server))?;
    let listener = netns.run(|| TcpListener::bind("0.0.0.0:8080"))??;
    thread::spawn(move || -> io::Result<()> {
        for stream in listener.incoming() {
            stream?.write_all(b"hello")?;
        }
        Ok(())
    });
    Ok(())
}

/// Waits until the proxy has written a text.
fn says(proxy: &mut Process, text: &str) -> anyhow::Result<()> {
    let begun = Instant::now();
    while !proxy.log().contains(text) {
        let running = proxy.ended().is_none() && begun.elapsed() < PATIENCE;
        anyhow::ensure!(running, "{}", proxy.log());
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn code(output: &Output) -> anyhow::Result<u64> {
    let said: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    anyhow::ensure!(!output.status.success(), "{said}");
    said["code"].as_u64().context("a code")
}

fn enrolment() -> anyhow::Result<()> {
    let world = World::new()?;
    let (client, server) = (&world.client, &world.server);
    // A runtime starts the pod before there is a node proxy.
    let mut waiting = world.call("ADD", client, resources::CLIENT_UID, 60)?;
    let mut first = world.start("no-processes")?;
    let begun = Instant::now();
    while waiting.try_wait()?.is_none() {
        anyhow::ensure!(begun.elapsed() < PATIENCE, "ADD waits\n{}", first.log());
        thread::sleep(Duration::from_millis(1));
    }
    // At this very moment: no second attempt.
    let said = world.ask();
    anyhow::ensure!(
        matches!(said.as_deref(), Ok("hello")),
        "{said:?}\n{}",
        first.log()
    );
    let added = waiting.wait_with_output()?;
    anyhow::ensure!(
        added.status.success() && added.stdout == RESULT.as_bytes(),
        "{added:?}"
    );
    let rules = world.rules(client)?;
    anyhow::ensure!(rules.contains("table inet heddle {"), "{rules}");

    let outside = world.called("ADD", server, SERVER_UID, 60)?;
    anyhow::ensure!(outside.status.success(), "{outside:?}\n{}", first.log());
    let rules = world.rules(server)?;
    anyhow::ensure!(!rules.contains("heddle"), "{rules}");
    let newer = "99999999-2222-3333-4444-555555555555";
    let unknown = world.called("ADD", server, newer, 0)?;
    anyhow::ensure!(code(&unknown)? == 11, "{unknown:?}");
    let check = world.called("CHECK", client, resources::CLIENT_UID, 0)?;
    anyhow::ensure!(check.status.success(), "{check:?}");
    first.kill();

    // Nobody calls the plugin again: what it told is kept.
    let mut second = world.start("no-processes")?;
    world.answered(&mut second)?;
    second.kill();

    // What it told is lost: the pod is found by its process.
    fs::remove_file(world.files.join("cni.json"))?;
    let mut third = world.start("no-processes")?;
    says(&mut third, "not captured")?;
    third.kill();
    let mut fourth = world.start("proc")?;
    world.answered(&mut fourth)?;

    // The pod goes.
    let again = world.called("ADD", client, resources::CLIENT_UID, 60)?;
    anyhow::ensure!(again.status.success(), "{again:?}");
    let gone = world.called("DEL", client, resources::CLIENT_UID, 60)?;
    anyhow::ensure!(gone.status.success() && gone.stdout.is_empty(), "{gone:?}");
    says(&mut fourth, "its sandbox is gone")?;
    let check = world.called("CHECK", client, resources::CLIENT_UID, 0)?;
    anyhow::ensure!(code(&check)? == 3, "{check:?}");
    Ok(())
}

/// What nft says, and how it ends, where the kernel has no nfnetlink.
const NO_NFTABLES: &str = "mnl.c:60: Unable to initialize Netlink socket: Protocol not supported";

fn without_nftables() -> anyhow::Result<()> {
    let world = World::new()?;
    let (client, server) = (&world.client, &world.server);
    let programs = world.files.join("programs");
    fs::create_dir_all(&programs)?;
    let nft = programs.join("nft");
    fs::write(
        &nft,
        format!("#!/bin/sh\necho '{NO_NFTABLES}' >&2\nexit 3\n"),
    )?;
    fs::set_permissions(&nft, fs::Permissions::from_mode(0o755))?;
    let path = format!("{}:{}", programs.display(), std::env::var("PATH")?);

    // One pod runs when the proxy comes, and one is started then.
    let mut proxy = world.start_with("proc", &path)?;
    says(&mut proxy, "not captured")?;
    let log = proxy.log();
    anyhow::ensure!(
        log.contains(NO_NFTABLES) && log.contains("CONFIG_NF_TABLES_INET"),
        "{log}"
    );
    let refused = world.called("ADD", client, resources::CLIENT_UID, 1)?;
    // 11: try again later (CNI specification, "Error"), and the kubelet's Event tells why.
    anyhow::ensure!(code(&refused)? == 11, "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stdout);
    anyhow::ensure!(said.contains("CONFIG_NF_TABLES_INET"), "{said}");
    // The running pod talks as it did, and so does one outside of the mesh when it is started.
    let direct = SocketAddr::from((resources::SERVER, 8080));
    let mut stream = world.bed.connect(&client.netns(), direct, PATIENCE)?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    anyhow::ensure!(text == "hello", "{text}");
    let outside = world.called("ADD", server, SERVER_UID, 60)?;
    anyhow::ensure!(outside.status.success(), "{outside:?}\n{}", proxy.log());

    // The kernel learns it: nothing has to be restarted.
    fs::remove_file(&nft)?;
    let added = world.called("ADD", client, resources::CLIENT_UID, 60)?;
    anyhow::ensure!(added.status.success(), "{added:?}\n{}", proxy.log());
    world.answered(&mut proxy)?;
    proxy.kill();
    Ok(())
}
