use std::collections::BTreeMap;

use super::*;
use crate::kubernetes::tests::server::{Server, answer};

fn pod(name: &str, uid: &str) -> Pod {
    let name = PodName {
        namespace: "shop".parse().unwrap(),
        name: name.into(),
    };
    (name, PodUid(uid.into()))
}

/// Pods as an API server keeps them: name, uid and conditions by type.
#[derive(Default)]
struct Pods(BTreeMap<String, (String, BTreeMap<String, Value>)>);

impl Pods {
    fn with(names: &[(&str, &str)]) -> Self {
        let pods = names.iter().map(|(name, uid)| {
            let ready = json!({"type": "Ready", "status": "True"});
            let conditions = [("Ready".to_owned(), ready)].into();
            ((*name).to_owned(), ((*uid).to_owned(), conditions))
        });
        Self(pods.collect())
    }

    /// What an API server does with a strategic merge patch of a status.
    fn patch(&mut self, path: &str, body: &Value) -> (u16, Value) {
        let name = path
            .trim_start_matches("/api/v1/namespaces/shop/pods/")
            .trim_end_matches("/status");
        let Some((uid, conditions)) = self.0.get_mut(name) else {
            return (404, json!({"message": "not found"}));
        };
        if body["metadata"]["uid"] != **uid {
            let message = "metadata.uid: Invalid value: field is immutable";
            return (422, json!({ "message": message }));
        }
        for condition in body["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let kind = condition["type"].as_str().unwrap().to_owned();
            conditions.insert(kind, condition.clone());
        }
        let conditions: Vec<_> = conditions.values().collect();
        (200, json!({"status": {"conditions": conditions}}))
    }
}

/// A writer at such a server.
fn world(pods: Pods) -> (Writer, Server) {
    let mut pods = pods;
    let server = Server::start(move |request| {
        assert_eq!(request.method, "PATCH");
        assert_eq!(
            request.content_type,
            "application/strategic-merge-patch+json"
        );
        let (status, body) = pods.patch(&request.path, &request.body);
        answer(status, &body)
    });
    let writer = Writer {
        api: server.client(),
        known: BTreeMap::new(),
    };
    (writer, server)
}

/// What was written, without what only looks.
fn written(server: &Server) -> Vec<(String, String, String)> {
    let requests = server.take().into_iter();
    let conditions = requests.filter_map(|request| {
        let condition = request.body["status"]["conditions"][0].clone();
        let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
        (!condition.is_null()).then(|| (request.path, text("status"), text("reason")))
    });
    conditions.collect()
}

fn line(name: &str, status: &str, reason: &str) -> (String, String, String) {
    let path = format!("/api/v1/namespaces/shop/pods/{name}/status");
    (path, status.to_owned(), reason.to_owned())
}

#[tokio::test]
async fn only_what_changes_is_written_and_who_leaves_is_told() {
    let (mut writer, server) = world(Pods::with(&[("a", "1"), ("b", "2"), ("new", "3")]));
    let mut wanted = Wanted::from([
        (pod("a", "1"), State::Captured),
        (pod("b", "2"), State::Captured),
        (pod("new", "3"), State::Waiting("no sandbox yet".to_owned())),
    ]);
    writer.bring(&wanted).await.unwrap();
    assert_eq!(
        written(&server),
        [line("a", "True", "Captured"), line("b", "True", "Captured")]
    );
    writer.bring(&wanted).await.unwrap();
    assert!(server.take().is_empty());
    wanted.remove(&pod("a", "1"));
    wanted.insert(pod("b", "2"), State::Failed("why".to_owned()));
    writer.bring(&wanted).await.unwrap();
    assert_eq!(
        written(&server),
        [line("b", "False", "Failed"), line("a", "False", "Released")]
    );
    // Forgotten, not told again.
    writer.bring(&wanted).await.unwrap();
    assert!(server.take().is_empty());
}

#[tokio::test]
async fn after_a_restart_a_right_condition_is_looked_at_and_not_written() {
    let mut pods = Pods::with(&[("a", "1")]);
    let before = Condition::next(None, Some(&State::Captured), SystemTime::UNIX_EPOCH);
    let conditions = &mut pods.0.get_mut("a").unwrap().1;
    conditions.insert(ENROLLED.to_owned(), json!(before));
    let (mut writer, server) = world(pods);
    let wanted = Wanted::from([(pod("a", "1"), State::Captured)]);
    writer.bring(&wanted).await.unwrap();
    let looked = server.take();
    assert_eq!(looked.len(), 1);
    assert_eq!(
        looked[0].body,
        json!({"metadata": {"uid": "1"}, "status": {}})
    );
    // The time of a status that lasts is kept.
    let wanted = Wanted::from([(pod("a", "1"), State::Failed("why".to_owned()))]);
    writer.bring(&wanted).await.unwrap();
    let wanted = Wanted::from([(pod("a", "1"), State::Failed("another".to_owned()))]);
    writer.bring(&wanted).await.unwrap();
    let requests = server.take();
    let time = |index: usize| {
        let condition: &Value = &requests[index].body["status"]["conditions"][0];
        condition["lastTransitionTime"].clone()
    };
    assert_eq!(time(0), time(1));
    assert_ne!(time(0), "1970-01-01T00:00:00Z");
}

#[tokio::test]
async fn another_pod_of_the_name_and_one_that_is_gone_are_left_alone() {
    let (mut writer, server) = world(Pods::with(&[("a", "newer")]));
    let wanted = Wanted::from([
        (pod("a", "older"), State::Captured),
        (pod("gone", "1"), State::Captured),
    ]);
    writer.bring(&wanted).await.unwrap();
    assert!(written(&server).is_empty());
    assert!(writer.known.is_empty());
}

#[tokio::test]
async fn a_failure_is_told_and_the_other_pods_are_not_kept_waiting() {
    let mut pods = Pods::with(&[("a", "1"), ("b", "2")]);
    let server = Server::start(move |request| match request.path.contains("/a/") {
        true => answer(403, &json!({"message": "forbidden: of another node"})),
        false => {
            let (status, body) = pods.patch(&request.path, &request.body);
            answer(status, &body)
        }
    });
    let mut writer = Writer {
        api: server.client(),
        known: BTreeMap::new(),
    };
    let wanted = Wanted::from([
        (pod("a", "1"), State::Captured),
        (pod("b", "2"), State::Captured),
    ]);
    let error = writer.bring(&wanted).await.unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "shop/a: 403 Forbidden: forbidden: of another node"
    );
    assert_eq!(written(&server), [line("b", "True", "Captured")]);
}

#[tokio::test]
async fn whoever_is_superseded_writes_nothing_and_begins_anew_when_the_node_is_its_own_again() {
    let (writer, server) = world(Pods::with(&[("a", "1")]));
    let superseded = watch::Sender::new(true);
    let conditions = watch::Sender::new(Wanted::from([(pod("a", "1"), State::Captured)]));
    let running = tokio::spawn(writer.run(conditions.subscribe(), superseded.subscribe()));
    tokio::task::yield_now().await;
    assert!(server.take().is_empty());
    superseded.send_replace(false);
    while written(&server).is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    running.abort();
}

#[test]
fn pauses_grow_up_to_a_minute() {
    assert_eq!(pause_after(1), Duration::from_secs(1));
    assert_eq!(pause_after(4), Duration::from_secs(8));
    assert_eq!(pause_after(40), Duration::from_secs(60));
}
