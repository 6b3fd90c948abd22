use std::{
    io::{BufRead, BufReader},
    os::unix::net::UnixListener,
    path::PathBuf,
    thread::{self, JoinHandle},
    time::Instant,
};

use serde_json::Value;

use super::*;
use crate::protocol::Attachment;

/// Not as any program would write it.
const RESULT: &str = r#"{"cniVersion":"1.1.0","ips":[ {"address":"10.244.1.7/24","interface":2}, {"address":"fd00::7/64"} ],"dns":{ },"x":1.50e0}"#;

fn environment(command: &str) -> Environment {
    Environment {
        command: Some(command.to_owned()),
        container: Some("c1".to_owned()),
        netns: Some("/run/netns/cni-1".to_owned()),
        arguments: Some(arguments("shop")),
    }
}

fn arguments(namespace: &str) -> String {
    format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME=cart;K8S_POD_UID=u1")
}

struct World {
    folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("cni.sock")
    }

    fn input(&self, limit: u64, more: &str) -> Vec<u8> {
        let socket = self.socket();
        let socket = socket.display();
        format!(
            r#"{{"cniVersion":"1.1.0","name":"pods","type":"heddle-cni","socket":"{socket}","timeLimitSeconds":{limit},{more}"prevResult":{RESULT}}}"#
        )
        .into_bytes()
    }

    /// A node proxy that gives these answers, one on each connection, and then is gone. It returns what it was asked.
    fn answering(&self, answers: &[&str]) -> JoinHandle<Vec<Request>> {
        let listener = UnixListener::bind(self.socket()).unwrap();
        let answers: Vec<String> = answers.iter().map(|answer| (*answer).to_owned()).collect();
        let socket = self.socket();
        thread::spawn(move || {
            let mut asked = Vec::new();
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                asked.push(serde_json::from_str(&line).unwrap());
                (&stream).write_all(answer.as_bytes()).unwrap();
            }
            std::fs::remove_file(socket).unwrap();
            asked
        })
    }
}

fn call(environment: &Environment, input: &[u8]) -> Result<String, Value> {
    let mut output = Vec::new();
    let succeeded = run(environment, input, &mut output).unwrap();
    let text = String::from_utf8(output).unwrap();
    if succeeded {
        Ok(text)
    } else {
        Err(serde_json::from_str(&text).unwrap())
    }
}

fn code(said: Result<String, Value>) -> u64 {
    said.unwrap_err()["code"].as_u64().unwrap()
}

#[test]
fn add_tells_of_the_sandbox_and_hands_the_result_on_as_it_came() {
    let world = World::new();
    let proxy = world.answering(&[r#"{"state":"captured"}"#]);
    let said = call(&environment("ADD"), &world.input(5, ""));
    assert_eq!(said, Ok(RESULT.to_owned()));
    let asked = proxy.join().unwrap();
    let [
        Request::Add {
            attachment,
            limit_ms,
        },
    ] = asked.as_slice()
    else {
        panic!("{asked:?}");
    };
    let expected = Attachment {
        namespace: "shop".to_owned(),
        pod: "cart".to_owned(),
        uid: Some("u1".to_owned()),
        container: "c1".to_owned(),
        netns: "/run/netns/cni-1".into(),
        addresses: vec!["10.244.1.7".parse().unwrap(), "fd00::7".parse().unwrap()],
    };
    assert_eq!(*attachment, expected);
    assert!((1..=5000).contains(limit_ms));
}

#[test]
fn a_pod_outside_the_mesh_passes() {
    let world = World::new();
    world.answering(&[r#"{"state":"outside"}"#]);
    assert!(call(&environment("ADD"), &world.input(5, "")).is_ok());
}

#[test]
fn a_node_proxy_that_goes_away_in_the_middle_is_asked_again() {
    let world = World::new();
    let first = world.answering(&[""]);
    let (environment, input) = (environment("ADD"), world.input(20, ""));
    let calling = thread::spawn(move || call(&environment, &input));
    first.join().unwrap();
    let second = world.answering(&[r#"{"state":"captured"}"#]);
    assert!(calling.join().unwrap().is_ok());
    assert_eq!(second.join().unwrap().len(), 1);
}

#[test]
fn a_pod_of_the_mesh_fails_when_the_limit_is_over_also_where_others_would_pass() {
    let world = World::new();
    let mut of_the_node = environment("ADD");
    of_the_node.arguments = Some(arguments("kube-system"));
    for (environment, more) in [
        (environment("ADD"), r#""whenUnreachable":"pass","#),
        (of_the_node, ""),
    ] {
        let proxy = world.answering(&[r#"{"state":"waiting","why":"for rules"}"#]);
        let error = call(&environment, &world.input(0, more)).unwrap_err();
        proxy.join().unwrap();
        assert_eq!(error["code"], 11);
        assert_eq!(
            error["msg"].as_str().unwrap().split(' ').next_back(),
            Some("yet")
        );
        assert_eq!(error["details"], "for rules");
        assert_eq!(error["cniVersion"], "1.1.0");
    }
}

#[test]
fn without_a_node_proxy_the_configuration_decides_and_the_nodes_own_pods_pass() {
    let world = World::new();
    let add = environment("ADD");
    let error = call(&add, &world.input(0, "")).unwrap_err();
    assert_eq!(error["code"], 11);
    assert!(error["details"].as_str().unwrap().contains("cni.sock"));
    assert!(call(&add, &world.input(0, r#""whenUnreachable":"pass","#)).is_ok());
    let critical = r#""hostCriticalNamespaces":["shop"],"#;
    assert!(call(&add, &world.input(0, critical)).is_ok());
}

#[test]
fn without_a_node_proxy_a_pod_passes_where_its_namespace_was_outside_of_the_mesh_as_last_known() {
    let world = World::new();
    let input = world.input(0, r#""whenUnreachable":"known","#);
    let add = environment("ADD");
    assert_eq!(code(call(&add, &input)), 11, "nothing is known");
    let file = world.folder.path().join(crate::protocol::OUTSIDE);
    for (known, passes) in [
        (r#"{"namespaces":["shop"]}"#, true),
        (r#"{"namespaces":["tools"]}"#, false),
        ("broken", false),
    ] {
        std::fs::write(&file, known).unwrap();
        assert_eq!(call(&add, &input).is_ok(), passes, "{known}");
    }
    // Only where it is asked for.
    std::fs::write(&file, r#"{"namespaces":["shop"]}"#).unwrap();
    assert_eq!(code(call(&add, &world.input(0, ""))), 11);
}

#[test]
fn a_pod_that_the_node_proxy_has_told_to_wait_does_not_pass_by_what_was_known_before() {
    let world = World::new();
    let file = world.folder.path().join(crate::protocol::OUTSIDE);
    std::fs::write(file, r#"{"namespaces":["shop"]}"#).unwrap();
    let proxy = world.answering(&[r#"{"state":"waiting","why":"soon"}"#]);
    let input = world.input(1, r#""whenUnreachable":"known","#);
    assert_eq!(code(call(&environment("ADD"), &input)), 11);
    proxy.join().unwrap();
}

#[test]
fn a_pod_that_nobody_knows_fails_unless_the_node_needs_it() {
    let world = World::new();
    for (more, passes) in [
        ("", false),
        (r#""whenUnreachable":"pass","#, false),
        (r#""hostCriticalNamespaces":["shop"],"#, true),
    ] {
        let proxy = world.answering(&[r#"{"state":"unknown"}"#]);
        let said = call(&environment("ADD"), &world.input(0, more));
        proxy.join().unwrap();
        assert_eq!(said.is_ok(), passes, "{more}");
    }
}

#[test]
fn a_node_proxy_that_refuses_is_not_asked_again() {
    let world = World::new();
    let begun = Instant::now();
    world.answering(&[r#"{"state":"refused","why":"no namespace"}"#]);
    assert_eq!(code(call(&environment("ADD"), &world.input(600, ""))), 999);
    assert!(begun.elapsed().as_secs() < 600);
}

#[test]
fn what_is_no_pod_passes_without_a_question() {
    let mut environment = environment("ADD");
    environment.arguments = None;
    assert!(call(&environment, &World::new().input(600, "")).is_ok());
}

#[test]
fn del_always_succeeds_and_says_which_sandbox_goes() {
    let world = World::new();
    assert_eq!(
        call(&environment("DEL"), &world.input(5, "")),
        Ok(String::new())
    );
    let proxy = world.answering(&[r#"{"state":"done"}"#]);
    let mut without_netns = environment("DEL");
    without_netns.netns = None;
    assert_eq!(call(&without_netns, &world.input(5, "")), Ok(String::new()));
    let container = "c1".to_owned();
    assert_eq!(proxy.join().unwrap(), [Request::Del { container }]);
}

#[test]
fn check_says_whether_the_capture_stands() {
    let world = World::new();
    for (answer, expected) in [
        (r#"{"state":"captured"}"#, None),
        (r#"{"state":"outside"}"#, None),
        (r#"{"state":"waiting","why":"for rules"}"#, Some(11)),
        (r#"{"state":"unknown"}"#, Some(3)),
    ] {
        let proxy = world.answering(&[answer]);
        let said = call(&environment("CHECK"), &world.input(5, ""));
        proxy.join().unwrap();
        assert_eq!(
            said.err().map(|error| error["code"].as_u64().unwrap()),
            expected,
            "{answer}"
        );
    }
}

#[test]
fn gc_tells_which_sandboxes_remain() {
    let world = World::new();
    let valid = r#""cni.dev/valid-attachments":[{"containerID":"c1","ifname":"eth0"},{"containerID":"c2","ifname":"eth0"}],"#;
    let proxy = world.answering(&[r#"{"state":"done"}"#]);
    let environment = Environment {
        command: Some("GC".to_owned()),
        ..Environment::default()
    };
    assert_eq!(
        call(&environment, &world.input(5, valid)),
        Ok(String::new())
    );
    let containers = vec!["c1".to_owned(), "c2".to_owned()];
    assert_eq!(proxy.join().unwrap(), [Request::Gc { containers }]);
    assert_eq!(code(call(&environment, &world.input(5, ""))), 7);
}

#[test]
fn status_needs_no_node_proxy_and_version_no_configuration() {
    let world = World::new();
    assert_eq!(
        call(&environment("STATUS"), &world.input(5, "")),
        Ok(String::new())
    );
    let said = call(&environment("VERSION"), br#"{"cniVersion":"1.0.0"}"#).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["cniVersion"], "1.0.0");
    assert!(
        said["supportedVersions"]
            .as_array()
            .unwrap()
            .contains(&"1.1.0".into())
    );
}

#[test]
fn wrong_input_has_the_specifications_codes() {
    let world = World::new();
    let input = world.input(5, "");
    let text = String::from_utf8(input.clone()).unwrap();
    let add = environment("ADD");
    assert_eq!(code(call(&add, b"{")), 6);
    assert_eq!(
        code(call(&add, text.replace("1.1.0", "0.2.0").as_bytes())),
        1
    );
    assert_eq!(code(call(&add, b"{}")), 7);
    assert_eq!(code(call(&add, br#"{"cniVersion":"1.1.0"}"#)), 7);
    assert_eq!(
        code(call(
            &add,
            br#"{"cniVersion":"1.1.0","prevResult":{},"timeLimitSeconds":"5"}"#
        )),
        7
    );
    assert_eq!(
        code(call(&add, text.replace("10.244.1.7/24", "here").as_bytes())),
        7
    );
    assert_eq!(code(call(&environment("GROW"), &input)), 4);
    let nowhere = Environment {
        netns: Some(String::new()),
        ..add
    };
    assert_eq!(code(call(&nowhere, &input)), 4);
}
