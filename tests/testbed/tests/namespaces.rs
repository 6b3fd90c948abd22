//! A testbed of real namespaces. Each test runs this program again, inside; the outer one counts.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use heddle_redirect::Netns;
use heddle_testbed::{NETNS_FOLDER, Node, Pod, Sniffer, Testbed, enter, is_inside, leftovers};

type Test = (&'static str, fn() -> anyhow::Result<()>);

const TESTS: &[Test] = &[
    (
        "pods_on_two_nodes_reach_each_other_and_the_wire_can_be_watched",
        two_nodes,
    ),
    (
        "a_command_in_a_pod_has_the_pods_resolver_and_name",
        resolver,
    ),
];

fn bed() -> anyhow::Result<(Testbed, [Pod; 2])> {
    let folder = std::env::temp_dir().join(format!("heddle-testbed-{}", std::process::id()));
    let mut bed = Testbed::new(&folder)?;
    let mut pods = Vec::new();
    for (index, name) in [(1_u8, "node-a"), (2, "node-b")] {
        bed.add_node(Node {
            name: name.into(),
            address: Ipv4Addr::new(172, 18, 0, 10 + index),
            pods: format!("10.244.{index}.0/24").parse()?,
        })?;
        let pod = Pod {
            namespace: "default".into(),
            name: format!("pod-{index}"),
            node: name.into(),
            address: Ipv4Addr::new(10, 244, index, 2),
        };
        bed.add_pod(pod.clone())?;
        pods.push(pod);
    }
    let pods = pods.try_into().map_err(|_| anyhow::anyhow!("two pods"))?;
    Ok((bed, pods))
}

fn netns(pod: &Pod) -> anyhow::Result<Netns> {
    Ok(Netns::open(format!("{NETNS_FOLDER}/{}", pod.netns()))?)
}

fn two_nodes() -> anyhow::Result<()> {
    let (_bed, [client, server]) = bed()?;
    let listener = netns(&server)?.run(|| TcpListener::bind("0.0.0.0:8080"))??;
    let accepting = std::thread::spawn(move || -> std::io::Result<(String, String)> {
        let (mut stream, peer) = listener.accept()?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok((peer.ip().to_string(), text))
    });
    let sniffer = Sniffer::start(b"marker-of-this-test")?;
    let mut stream = netns(&client)?.run(|| TcpStream::connect((server.address, 8080)))??;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(b"marker-of-this-test")?;
    drop(stream);
    let (peer, text) = accepting
        .join()
        .map_err(|_| anyhow::anyhow!("the server panicked"))??;
    anyhow::ensure!(peer == client.address.to_string(), "the server saw {peer}");
    anyhow::ensure!(text == "marker-of-this-test");
    let seen = sniffer.stop();
    anyhow::ensure!(seen.marked > 0 && seen.frames > 3, "{seen:?}");
    Ok(())
}

fn resolver() -> anyhow::Result<()> {
    let (bed, [pod, _]) = bed()?;
    let mut command = bed.in_pod(&pod, "sh");
    let output = command
        .args(["-c", "echo $POD_NAMESPACE/$POD_NAME; cat /etc/resolv.conf"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    anyhow::ensure!(
        text.starts_with("default/pod-1\nnameserver 10.96.0.10\n"),
        "{text}"
    );
    anyhow::ensure!(text.contains("search default.svc.cluster.local"), "{text}");
    Ok(())
}

/// Inside, a test that stays until it is killed.
const STAY: &str = "stay";

fn stay() -> anyhow::Result<()> {
    let (bed, [pod, _]) = bed()?;
    let mut command = bed.in_pod(&pod, "sleep");
    command.arg("600");
    let _process = bed.start("sleep", command)?;
    println!("ready");
    std::thread::sleep(Duration::from_secs(600));
    Ok(())
}

fn killed_leaves_nothing() -> anyhow::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .env("HEDDLE_TEST", STAY)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut lines = BufReader::new(
        child
            .stdout
            .take()
            .ok_or_else(|| anyhow::anyhow!("no output"))?,
    );
    let mut line = String::new();
    lines.read_line(&mut line)?;
    anyhow::ensure!(line == "ready\n", "the testbed did not come up: {line:?}");
    anyhow::ensure!(
        !leftovers(child.id()).is_empty(),
        "its processes must be found while it runs"
    );
    child.kill()?;
    child.wait()?;
    // The pipe closes when the last process that holds it is gone: the kernel has ended them all.
    lines.read_to_string(&mut line)?;
    let mut left = leftovers(child.id());
    for _ in 0..100 {
        if left.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
        left = leftovers(child.id());
    }
    anyhow::ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

/// Runs one test inside, in a program of its own; as another user if told so.
fn outside(name: &str, unprivileged: bool) -> anyhow::Result<()> {
    let program = std::env::current_exe()?;
    let mut command = Command::new(&program);
    if unprivileged && nix::unistd::geteuid().is_root() {
        // A copy that everybody may run, since the build folder may be closed to others.
        let copy = std::env::temp_dir().join(format!("heddle-testbed-test-{}", std::process::id()));
        std::fs::copy(&program, &copy)?;
        command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(copy);
    }
    let output = command
        .env("HEDDLE_TEST", name)
        .stdin(Stdio::null())
        .output()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    anyhow::ensure!(
        output.status.success(),
        "{}{text}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

fn inner(name: &str) -> anyhow::Result<()> {
    if name == STAY {
        return stay();
    }
    let test = TESTS.iter().find(|(known, _)| *known == name);
    let (_, test) = test.ok_or_else(|| anyhow::anyhow!("no test {name}"))?;
    test()
}

fn main() -> ExitCode {
    if let Ok(name) = std::env::var("HEDDLE_TEST") {
        let result = if is_inside() {
            inner(&name).map(|()| ExitCode::SUCCESS)
        } else {
            enter()
        };
        return result.unwrap_or_else(|error| {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        });
    }
    let mut results = Vec::new();
    for (name, _) in TESTS {
        results.push((name.to_string(), outside(name, false)));
        results.push((format!("{name}_without_root"), outside(name, true)));
    }
    results.push((
        "a_testbed_that_is_killed_leaves_nothing".into(),
        killed_leaves_nothing(),
    ));
    let _ = std::fs::remove_file(
        std::env::temp_dir().join(format!("heddle-testbed-test-{}", std::process::id())),
    );
    println!("\nrunning {} tests", results.len());
    let mut failed = 0;
    for (name, result) in &results {
        match result {
            Ok(()) => println!("test {name} ... ok"),
            Err(error) => {
                failed += 1;
                println!("test {name} ... FAILED\n{error:#}");
            }
        }
    }
    let (word, passed) = (
        if failed == 0 { "ok" } else { "FAILED" },
        results.len() - failed,
    );
    println!(
        "\ntest result: {word}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out"
    );
    ExitCode::from(u8::from(failed > 0))
}
