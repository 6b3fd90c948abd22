//! The loop: what is written, when, and by whom.

use std::sync::Arc;

use heddle_model::ObjectKey;
use heddle_resolve::Statuses;
use heddle_resources::{Cluster, HTTPRoute};
use tokio::{sync::watch, task::JoinHandle};

use super::{
    server::{Fault, Server},
    writing::{PATH, object, route_status},
    *,
};
use crate::{Facts, Writer, run};

struct Running {
    server: Server,
    facts: watch::Sender<Option<Facts>>,
    leading: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Running {
    fn start() -> Self {
        let server = Server::new();
        let (facts, leading) = (watch::Sender::new(None), watch::Sender::new(false));
        let writer = Writer::new(server.client(), OURS, "pod-1");
        let task = tokio::spawn(run(writer, facts.subscribe(), leading.subscribe()));
        Self {
            server,
            facts,
            leading,
            task,
        }
    }

    /// The world as the watches see it: these routes as the server has them, and whether they are accepted.
    fn see(&self, routes: &[(&str, Option<bool>)]) {
        let (mut cluster, mut statuses) = (Cluster::default(), Statuses::default());
        for (name, accepted) in routes {
            let route: HTTPRoute = serde_json::from_value(self.server.get(&path(name))).unwrap();
            cluster.insert(route.into());
            if let Some(accepted) = accepted {
                let key = ObjectKey::new("shop".parse().unwrap(), *name);
                statuses
                    .http_routes
                    .insert(key, Arc::new(route_status(*accepted)));
            }
        }
        self.facts.send_replace(Some(Facts {
            cluster: Arc::new(cluster),
            statuses: Arc::new(statuses),
        }));
    }

    fn says(&self, name: &str, status: &str) -> bool {
        self.server.get(&path(name))["status"]["parents"][0]["conditions"][0]["status"] == status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn path(name: &str) -> String {
    PATH.replace("cart", name)
}

/// Lets everything run that can.
async fn settle() {
    // The clock is paused: it moves only when nobody has anything to do.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn only_a_leader_writes() {
    let running = Running::start();
    running.server.put(PATH, object("cart", 3));
    running.see(&[("cart", Some(true))]);
    settle().await;
    assert_eq!(running.server.count(""), 0);
    running.leading.send_replace(true);
    running.server.until(|_| running.says("cart", "True")).await;
    running.leading.send_replace(false);
    settle().await;
    running.see(&[("cart", Some(false))]);
    settle().await;
    assert!(running.says("cart", "True"));
    assert_eq!(running.server.count("PATCH"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_object_in_order_costs_no_request() {
    let running = Running::start();
    running.server.put(PATH, object("cart", 3));
    running.see(&[("cart", Some(true))]);
    running.leading.send_replace(true);
    running.server.until(|_| running.says("cart", "True")).await;
    settle().await;
    let requests = running.server.count("");
    running.see(&[("cart", Some(true))]);
    settle().await;
    running.leading.send_replace(false);
    settle().await;
    running.leading.send_replace(true);
    settle().await;
    assert_eq!(running.server.count(""), requests);
}

#[tokio::test(start_paused = true)]
async fn a_status_that_somebody_spoiled_is_repaired() {
    let running = Running::start();
    running.server.put(PATH, object("cart", 3));
    running.see(&[("cart", Some(true))]);
    running.leading.send_replace(true);
    running.server.until(|_| running.says("cart", "True")).await;
    let mut spoiled = running.server.get(PATH);
    spoiled["status"] = json!({"parents": []});
    running.server.put(PATH, spoiled);
    running.see(&[("cart", Some(true))]);
    running.server.until(|_| running.says("cart", "True")).await;
}

#[tokio::test(start_paused = true)]
async fn a_route_that_leaves_us_loses_our_entry() {
    let running = Running::start();
    running.server.put(PATH, object("cart", 3));
    running.see(&[("cart", Some(true))]);
    running.leading.send_replace(true);
    running.server.until(|_| running.says("cart", "True")).await;
    running.see(&[("cart", None)]);
    running
        .server
        .until(|server| server.get(PATH)["status"]["parents"] == json!([]))
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_write_that_fails_harms_only_its_object_and_is_tried_again() {
    let running = Running::start();
    for name in ["bad", "good"] {
        running.server.put(&path(name), object(name, 3));
    }
    let refusals = (0..3).map(|_| {
        (
            "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/bad",
            Fault::Status(403),
        )
    });
    running.server.state().faults.extend(refusals);
    running.see(&[("bad", Some(true)), ("good", Some(true))]);
    running.leading.send_replace(true);
    running.server.until(|_| running.says("good", "True")).await;
    assert!(!running.says("bad", "True"));
    running.server.until(|_| running.says("bad", "True")).await;
    assert_eq!(running.server.count("httproutes/bad/status"), 4);
    assert_eq!(running.server.count("httproutes/good/status"), 1);
}

#[tokio::test(start_paused = true)]
async fn somebody_who_writes_all_the_time_holds_up_nobody_else_and_loses_nothing() {
    let running = Running::start();
    for name in ["busy", "good"] {
        running.server.put(&path(name), object(name, 3));
    }
    let other = json!({"parents": [{"parentRef": {"name": "web"}, "controllerName": "example.com/other", "conditions": []}]});
    let conflicts = (0..12).map(|_| {
        (
            "PATCH /apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/busy",
            Fault::Write("status", other.clone()),
        )
    });
    running.server.state().faults.extend(conflicts);
    running.see(&[("busy", Some(true)), ("good", Some(true))]);
    running.leading.send_replace(true);
    running.server.until(|_| running.says("good", "True")).await;
    let ours = |server: &Server| {
        server.get(&path("busy"))["status"]["parents"][1]["conditions"][0]["status"] == "True"
    };
    running.server.until(ours).await;
    let parents = running.server.get(&path("busy"))["status"]["parents"].clone();
    assert_eq!(parents[0], other["parents"][0]);
    assert_eq!(running.server.count("httproutes/good/status"), 1);
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_facts() {
    let mut running = Running::start();
    running.leading.send_replace(true);
    running.facts = watch::Sender::new(None);
    (&mut running.task).await.unwrap();
}
