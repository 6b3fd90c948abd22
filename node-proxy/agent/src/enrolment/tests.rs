use std::{
    io::{BufRead, BufReader, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream as Connection},
    time::Duration,
};

use heddle_config::Tunnel;
use heddle_identity::{Namespace, ServiceAccount, SpiffeId, TrustDomain};

use super::*;

/// A file that is a network namespace, but not the one of the tests: any other namespace file lies on the same file system, and nothing here
/// enters it.
const OTHER: &str = "/proc/self/ns/uts";

fn registrations() -> Registrations {
    Registrations::new().unwrap()
}

fn attachment(container: &str) -> Attachment {
    Attachment {
        namespace: "shop".to_owned(),
        pod: "cart".to_owned(),
        uid: Some("u1".to_owned()),
        container: container.to_owned(),
        netns: OTHER.into(),
        addresses: vec!["10.244.1.7".parse().unwrap()],
    }
}

fn cart() -> PodName {
    PodName {
        namespace: Namespace::new("shop").unwrap(),
        name: "cart".into(),
    }
}

fn uid(uid: &str) -> PodUid {
    PodUid(uid.into())
}

/// What the control plane tells of the pod.
fn told(tunnel: Tunnel) -> ProxyConfig {
    let account = ServiceAccount::new("cart").unwrap();
    let trust_domain: TrustDomain = "cluster.local".parse().unwrap();
    let workload = Workload {
        name: cart(),
        uid: uid("u1"),
        addresses: Vec::new(),
        identity: SpiffeId::new(trust_domain, cart().namespace, account),
        node: "node-a".into(),
        zone: "".into(),
        tunnel,
        host_network: false,
        owner: "cart".into(),
        app: "cart".into(),
        version: "".into(),
    };
    let mut config = ProxyConfig::default();
    let by_name = &mut config.workloads.by_name;
    by_name.insert("shop/cart".into(), workload.into());
    config
}

fn answer_of(registrations: &Registrations, config: &ProxyConfig) -> Option<Answer> {
    registrations.publish(config, |_, _| Ok(()));
    registrations.standing().borrow().get("c1").cloned()
}

#[test]
fn a_sandbox_is_its_pods_and_not_that_of_another_pod_of_the_same_name() {
    let registrations = registrations();
    registrations.add(attachment("c1")).unwrap();
    let (netns, addresses) = registrations.find(&cart(), &uid("u1")).unwrap();
    assert_eq!(netns, Netns::open(OTHER).unwrap());
    assert_eq!(addresses, attachment("c1").addresses);
    assert!(registrations.find(&cart(), &uid("u2")).is_none());
}

#[test]
fn a_runtime_that_tells_no_uid_means_the_pod_of_that_name() {
    let registrations = registrations();
    let without = Attachment {
        uid: None,
        ..attachment("c1")
    };
    registrations.add(without).unwrap();
    assert!(registrations.find(&cart(), &uid("u2")).is_some());
}

#[test]
fn the_nodes_own_namespace_and_plain_files_are_refused() {
    for path in ["/proc/self/ns/net", "/proc/self/status", "/nowhere"] {
        let wrong = Attachment {
            netns: path.into(),
            ..attachment("c1")
        };
        assert!(registrations().add(wrong).is_err(), "{path}");
    }
}

#[test]
fn a_pod_whose_sandbox_went_has_left_until_it_gets_another() {
    let registrations = registrations();
    registrations.add(attachment("c1")).unwrap();
    registrations.remove("c1");
    assert!(registrations.has_left(&cart()));
    assert!(registrations.find(&cart(), &uid("u1")).is_none());
    registrations.add(attachment("c2")).unwrap();
    assert!(!registrations.has_left(&cart()));
    registrations.keep_only(&["c3".to_owned()].into());
    assert!(registrations.has_left(&cart()));
    registrations.prune(&ProxyConfig::default());
    assert!(
        !registrations.has_left(&cart()),
        "nobody speaks of it any more"
    );
}

#[test]
fn what_is_registered_is_found_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("cni.json");
    let first = registrations();
    first.keep_in(file.clone());
    first.add(attachment("c1")).unwrap();
    let second = registrations();
    second.keep_in(file.clone());
    assert!(second.find(&cart(), &uid("u1")).is_some());
    fs::write(&file, "[{").unwrap();
    let third = registrations();
    third.keep_in(file);
    assert!(third.find(&cart(), &uid("u1")).is_none());
}

#[test]
fn how_a_sandbox_stands_follows_what_the_control_plane_tells() {
    let registrations = registrations();
    registrations.add(attachment("c1")).unwrap();
    let unknown = ProxyConfig::default();
    assert_eq!(answer_of(&registrations, &unknown), Some(Answer::Unknown));
    assert_eq!(
        answer_of(&registrations, &told(Tunnel::None)),
        Some(Answer::Outside)
    );
    let waiting = answer_of(&registrations, &told(Tunnel::Hbone));
    assert!(
        matches!(waiting, Some(Answer::Waiting { .. })),
        "{waiting:?}"
    );
    registrations.remove("c1");
    assert_eq!(answer_of(&registrations, &unknown), None);
}

#[test]
fn word_of_a_former_pod_of_the_name_does_not_count() {
    let registrations = registrations();
    let newer = Attachment {
        uid: Some("u2".to_owned()),
        ..attachment("c1")
    };
    registrations.add(newer).unwrap();
    assert_eq!(
        answer_of(&registrations, &told(Tunnel::None)),
        Some(Answer::Unknown)
    );
}

#[test]
fn how_a_former_sandbox_stood_says_nothing_of_the_next() {
    let registrations = registrations();
    registrations.add(attachment("c1")).unwrap();
    let outside = told(Tunnel::None);
    assert_eq!(answer_of(&registrations, &outside), Some(Answer::Outside));
    let newer = Attachment {
        uid: Some("u2".to_owned()),
        ..attachment("c1")
    };
    registrations.add(newer).unwrap();
    assert!(registrations.standing().borrow().is_empty());
    assert_eq!(answer_of(&registrations, &outside), Some(Answer::Unknown));
    registrations.remove("c1");
    assert!(registrations.standing().borrow().is_empty());
}

/// One request on a connection of its own.
fn ask(socket: &Path, request: &str) -> Answer {
    let mut stream = Connection::connect(socket).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(b"\n").unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

async fn asked(socket: &Path, request: String) -> Answer {
    let socket = socket.to_owned();
    tokio::task::spawn_blocking(move || ask(&socket, &request))
        .await
        .unwrap()
}

fn add(limit_ms: u64) -> String {
    let attachment = attachment("c1");
    let request = heddle_cni::protocol::Request::Add {
        attachment,
        limit_ms,
    };
    serde_json::to_string(&request).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn add_is_answered_when_the_capture_stands() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("cni.sock");
    let registrations = registrations();
    let server = Server::open(&socket, registrations.clone()).unwrap();
    tokio::spawn(server.serve());
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let mut changes = registrations.changes();
    let path = socket.clone();
    let waiting = tokio::spawn(async move { asked(&path, add(60_000)).await });
    changes.changed().await.unwrap();
    registrations.publish(&ProxyConfig::default(), |_, _| Ok(()));
    let check = r#"{"command":"check","container":"c1"}"#;
    assert_eq!(asked(&socket, check.to_owned()).await, Answer::Unknown);
    assert!(!waiting.is_finished());
    registrations.publish(&told(Tunnel::None), |_, _| Ok(()));
    assert_eq!(waiting.await.unwrap(), Answer::Outside);
    let del = r#"{"command":"del","container":"c1"}"#;
    assert_eq!(asked(&socket, del.to_owned()).await, Answer::Done);
    assert!(registrations.has_left(&cart()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn at_the_limit_add_is_answered_with_what_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("cni.sock");
    let registrations = registrations();
    let server = Server::open(&socket, registrations.clone()).unwrap();
    tokio::spawn(server.serve());
    assert_eq!(asked(&socket, add(0)).await, Answer::Unknown);
    registrations.publish(&told(Tunnel::Hbone), |_, _| Ok(()));
    let answer = asked(&socket, add(0)).await;
    assert!(matches!(answer, Answer::Waiting { .. }), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn nonsense_is_refused_and_a_successor_takes_the_socket_over() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("cni.sock");
    let first = Server::open(&socket, registrations()).unwrap();
    tokio::spawn(first.serve());
    let answer = asked(&socket, "grow".to_owned()).await;
    assert!(matches!(answer, Answer::Refused { .. }), "{answer:?}");
    let successor = registrations();
    let second = Server::open(&socket, successor.clone()).unwrap();
    tokio::spawn(second.serve());
    assert_eq!(asked(&socket, add(0)).await, Answer::Unknown);
    assert!(successor.find(&cart(), &uid("u1")).is_some());
}
