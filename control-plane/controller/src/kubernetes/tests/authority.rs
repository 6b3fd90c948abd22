//! The certificate authority's Secret.

use std::{fs, path::PathBuf, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use clap::Parser;
use heddle_issuer::Issuer;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{super::Authority, api::ApiServer};
use crate::{arguments::Arguments, concerns::Concerns};

const PATH: &str = "/api/v1/namespaces/heddle-system/secrets/heddle-ca";

/// A replica with its folder.
struct Replica {
    folder: TempDir,
    leading: watch::Sender<bool>,
    arguments: Arguments,
    concerns: Concerns,
}

impl Replica {
    fn new(leads: bool) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().to_str().unwrap();
        let arguments = Arguments::parse_from(["c", "--kubernetes", "--ca-dir", path]);
        Self {
            folder,
            leading: watch::Sender::new(leads),
            arguments,
            concerns: Concerns::default(),
        }
    }

    fn authority(&self, server: &ApiServer) -> Authority {
        let concern = self.concerns.of("certificate authority");
        Authority::new(
            server.client(),
            self.leading.subscribe(),
            &self.arguments,
            concern,
        )
    }

    fn copy(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    async fn begin(&self, server: &ApiServer) -> (Authority, Issuer) {
        let authority = self.authority(server).obtain().await.unwrap();
        (authority, self.issuer())
    }

    fn issuer(&self) -> Issuer {
        let trust_domain = self.arguments.trust_domain.clone();
        Issuer::load(
            &self.copy(),
            trust_domain,
            heddle_issuer::Settings::default(),
        )
        .unwrap()
    }
}

fn roots(issuer: &Issuer) -> String {
    issuer.trust_bundle().borrow().to_string()
}

#[tokio::test]
async fn the_leader_makes_the_secret_and_all_replicas_have_the_same_root() {
    let server = ApiServer::default();
    let (a, b) = (Replica::new(true), Replica::new(false));
    let (_, first) = a.begin(&server).await;
    let (_, second) = b.begin(&server).await;
    assert_eq!(roots(&first), roots(&second));
    assert_eq!(server.count("POST"), 1);
    let keys: Vec<String> = server.get(PATH)["data"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(keys, ["root-1.crt", "root-1.key", "rotation.json"]);
    // Nobody else on the machine reads the key.
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(b.copy().join("root-1.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_lead_waits_for_the_secret() {
    let server = ApiServer::default();
    let (a, b) = (Replica::new(true), Replica::new(false));
    let waiting = tokio::spawn(b.authority(&server).obtain());
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(!waiting.is_finished());
    assert_eq!(server.count("POST"), 0);
    let (_, issuer) = a.begin(&server).await;
    waiting.await.unwrap().unwrap();
    assert_eq!(roots(&b.issuer()), roots(&issuer));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_waited_out() {
    let server = ApiServer::default();
    server.with(|state| state.fault = 403);
    let a = Replica::new(true);
    let waiting = tokio::spawn(a.authority(&server).obtain());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(server.count("GET") <= 11, "at its pace");
    server.with(|state| state.fault = 0);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_rotation_of_the_leader_reaches_the_secret_and_the_others_notice() {
    let server = ApiServer::default();
    let (a, b) = (Replica::new(true), Replica::new(false));
    let (mut leader, first) = a.begin(&server).await;
    let (mut follower, second) = b.begin(&server).await;
    assert!(!leader.look(&first).await.unwrap() && !follower.look(&second).await.unwrap());
    first.rotate(true).unwrap();
    assert!(!follower.look(&second).await.unwrap(), "not stored yet");
    assert!(!leader.look(&first).await.unwrap());
    assert!(server.get(PATH)["data"]["root-2.crt"].is_string());
    assert!(follower.look(&second).await.unwrap());
    let (_, again) = b.begin(&server).await;
    assert_eq!(roots(&again), roots(&first));
    assert!(
        !leader.look(&first).await.unwrap(),
        "its own writing is no news"
    );
}

#[tokio::test]
async fn a_deleted_secret_is_made_again_by_the_leader_only() {
    let server = ApiServer::default();
    let (a, b) = (Replica::new(true), Replica::new(false));
    let (mut leader, first) = a.begin(&server).await;
    let (mut follower, second) = b.begin(&server).await;
    let data = server.get(PATH)["data"].clone();
    server.with(|state| state.objects.clear());
    assert!(!follower.look(&second).await.unwrap());
    assert_eq!(server.get(PATH), Value::Null);
    assert!(!leader.look(&first).await.unwrap());
    assert_eq!(server.get(PATH)["data"], data);
}

#[tokio::test]
async fn a_broken_secret_is_not_used_and_not_overwritten() {
    let server = ApiServer::default();
    let a = Replica::new(true);
    let (mut leader, issuer) = a.begin(&server).await;
    let broken = STANDARD.encode("no certificate");
    server.with(|state| state.objects.get_mut(PATH).unwrap()["data"]["root-1.crt"] = json!(broken));
    let error = leader.look(&issuer).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "what it holds is not used: its key root-1.crt: the CA certificate cannot be read: expected a PEM-encoded X.509 certificate; the former one stays in force"
    );
    assert_eq!(server.get(PATH)["data"]["root-1.crt"], broken);
    assert_eq!(
        roots(&a.issuer()),
        roots(&issuer),
        "the folder is as it was"
    );
}

#[tokio::test(start_paused = true)]
async fn a_replica_waits_for_a_broken_secret_to_be_mended_and_says_what_is_wrong() {
    let server = ApiServer::default();
    let a = Replica::new(true);
    a.begin(&server).await;
    let good = server.get(PATH);
    let other = ApiServer::default();
    Replica::new(true).begin(&other).await;
    let foreign_key = other.get(PATH)["data"]["root-1.key"].clone();
    let text = |text: &str| json!(STANDARD.encode(text));
    let broken = [
        (
            "root-1.crt",
            text("no certificate"),
            "its key root-1.crt: the CA certificate cannot be read",
        ),
        (
            "root-1.key",
            foreign_key,
            "its key root-1.crt: the CA's private key does not belong",
        ),
        ("root-1.key", Value::Null, "its key root-1.crt: "),
        (
            "rotation.json",
            text("{"),
            "its key rotation.json is damaged",
        ),
        // Nobody makes a root of their own in its place: each replica's would be another.
        ("rotation.json", Value::Null, "it holds no root that signs"),
        (
            "tls.crt",
            text("no certificate"),
            "its key tls.crt: the CA's private key cannot be read",
        ),
    ];
    for (key, value, expected) in broken {
        let mut object = good.clone();
        match value {
            Value::Null => drop(object["data"].as_object_mut().unwrap().shift_remove(key)),
            value => object["data"][key] = value,
        }
        server.with(|state| state.objects.insert(PATH.to_owned(), object.clone()));
        let b = Replica::new(true);
        let waiting = tokio::spawn(b.authority(&server).obtain());
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(!waiting.is_finished(), "{key}");
        let told = b.concerns.now();
        let expected = format!(
            "the Secret heddle-ca of the certificate authority: what it holds is not used: {expected}"
        );
        assert!(
            told.len() == 1 && told[0].starts_with(&expected),
            "{told:?} instead of {expected}"
        );
        assert_eq!(server.get(PATH), object, "it is not written over");
        server.with(|state| state.objects.insert(PATH.to_owned(), good.clone()));
        waiting.await.unwrap().unwrap();
        assert_eq!(b.concerns.now(), [""; 0]);
    }
}

#[tokio::test]
async fn an_authority_that_lies_in_the_folder_from_elsewhere_stays() {
    let server = ApiServer::default();
    let a = Replica::new(true);
    fs::write(a.folder.path().join("root-7.key"), "precious").unwrap();
    a.begin(&server).await;
    let kept = fs::read_to_string(a.folder.path().join("root-7.key"));
    assert_eq!(kept.unwrap(), "precious");
    assert!(server.get(PATH)["data"].get("root-7.key").is_none());
}

#[tokio::test]
async fn other_keys_of_the_secret_are_written_nowhere() {
    let server = ApiServer::default();
    let a = Replica::new(true);
    a.begin(&server).await;
    server.with(|state| {
        let data = &mut state.objects.get_mut(PATH).unwrap()["data"];
        for name in ["../evil", "root-x.crt", "root-.key", "note"] {
            data[name] = json!(STANDARD.encode("x"));
        }
    });
    let b = Replica::new(false);
    b.begin(&server).await;
    let entries = fs::read_dir(b.copy()).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["root-1.crt", "root-1.key", "rotation.json"]);
}
