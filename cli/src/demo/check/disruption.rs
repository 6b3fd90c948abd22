//! Changes and failures under load.

use std::{
    fs,
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::ensure;
use serde_json::json;

use super::{
    super::{
        mesh::Mesh,
        probes::{Interval, Load, requests},
    },
    Finding,
    traffic::{CLIENT, URL, figures, share, wait},
};

const ROUTES: &str = "51-api-v2-routes.yaml";

/// Rewrites the weights of all routes of the lesson.
fn edit(mesh: &Mesh, from: (u32, u32), to: (u32, u32)) -> anyhow::Result<()> {
    let path = mesh.manifests.join(ROUTES);
    let text = fs::read_to_string(&path)?;
    let words = |(stable, canary): (u32, u32)| {
        [
            format!("name: api-v2-svc, port: 8080, weight: {stable}}}"),
            format!("name: api-v2-canary, port: 8080, weight: {canary}}}"),
        ]
    };
    let mut edited = text;
    for (old, new) in words(from).iter().zip(words(to)) {
        ensure!(edited.contains(old.as_str()), "{ROUTES} has no `{old}`");
        edited = edited.replace(old.as_str(), &new);
    }
    fs::write(&path, edited)?;
    Ok(())
}

fn load(mesh: &Mesh) -> anyhow::Result<Load> {
    let pace = [
        "--rate",
        "1000",
        "--connections",
        "16",
        "--every-ms",
        "50",
        URL,
    ];
    let load = Load::start(mesh, Some(CLIENT), &pace)?;
    let running = wait(Duration::from_secs(5), || {
        Ok(load.take().iter().any(|(_, interval)| interval.ok > 0))
    })?;
    ensure!(running.is_some(), "no request was answered within 5 s");
    Ok(load)
}

/// 90/10 becomes 50/50 within a second of saving the file, and no request fails on the way.
pub(super) fn edited_weights(mesh: &mut Mesh) -> Finding {
    let load = load(mesh)?;
    sleep(Duration::from_millis(300));
    edit(mesh, (90, 10), (50, 50))?;
    let saved = Instant::now();
    sleep(Duration::from_secs(4));
    let all = load.take();
    drop(load);
    // An interval that ended by then may hold requests from before the change.
    let deadline = saved + Duration::from_secs(1) + INTERVAL;
    let late = all.iter().filter(|(ended, _)| *ended > deadline);
    let late = Interval::sum(late.map(|(_, interval)| interval.clone()));
    let sum = Interval::sum(all.iter().map(|(_, interval)| interval.clone()));
    let changed = all
        .iter()
        .find(|(ended, interval)| *ended > saved && share(interval) > 0.3);
    let after = changed.map(|(ended, _)| ended.duration_since(saved).as_millis());
    // The split is evenly spread, so that some hundred requests tell.
    let holds = sum.failed == 0 && late.ok >= 500 && (0.45..=0.55).contains(&share(&late));
    let found = json!({
        "first_seen_after_ms": after,
        "after_one_second": figures(&late),
        "all": figures(&sum),
    });
    Ok((holds, found))
}

/// How often the load reports.
const INTERVAL: Duration = Duration::from_millis(50);

/// Without a control plane everything goes on; what was edited meanwhile applies when it is back.
pub(super) fn control_plane_killed(mesh: &mut Mesh) -> Finding {
    let load = load(mesh)?;
    mesh.kill_control_plane();
    sleep(Duration::from_secs(2));
    edit(mesh, (50, 50), (0, 100))?;
    let mut sum = Interval::sum(load.take().into_iter().map(|(_, interval)| interval));
    let without = figures(&sum);
    mesh.start_control_plane()?;
    let applied = wait(Duration::from_secs(15), || {
        let new = Interval::sum(load.take().into_iter().map(|(_, interval)| interval));
        sum.add(&new);
        Ok(new.ok > 20 && share(&new) == 1.0)
    })?;
    drop(load);
    let holds = sum.failed == 0 && applied.is_some();
    let found = json!({
        "while_it_was_dead": without,
        "applied_ms_after_return": applied.map(|after| after.as_millis()),
        "all": figures(&sum),
    });
    Ok((holds, found))
}

/// New connections of the node's pods work again within two seconds.
pub(super) fn node_proxy_killed(mesh: &mut Mesh) -> Finding {
    let node = mesh.pod(CLIENT)?.node.clone();
    let begin = Instant::now();
    mesh.kill_proxy(&node);
    // The kubelet would start the container again.
    mesh.start_proxy(&node)?;
    let one = ["--count", "1", "--connections", "1", URL];
    let back = wait(Duration::from_secs(10), || {
        Ok(requests(mesh, Some(CLIENT), &one)?.ok == 1)
    })?;
    let took = begin.elapsed();
    let some = ["--count", "200", "--connections", "20", URL];
    let answers = requests(mesh, Some(CLIENT), &some)?;
    let holds = back.is_some() && took < Duration::from_secs(2) && answers.ok == 200;
    let found = json!({"back_after_ms": took.as_millis(), "then": figures(&answers)});
    Ok((holds, found))
}

/// How often each node's proxy is replaced.
const ROLLS: usize = 3;

/// Proxies are replaced one after the other, on the client's node and on the servers', and no request fails: neither on connections that are
/// kept nor on those that are made for one request, and no query for a name.
pub(super) fn node_proxies_replaced(mesh: &mut Mesh) -> Finding {
    let pace = ["--rate", "100", "--connections", "8", "--every-ms", "50"];
    let kept = Load::start(mesh, Some(CLIENT), &[&pace[..], &[URL]].concat())?;
    let http2 = Load::start(mesh, Some(CLIENT), &[&pace[..], &["--http2", URL]].concat())?;
    let new = ["--new-connections", URL];
    let new = Load::start(mesh, Some(CLIENT), &[&pace[..], &new].concat())?;
    let loads = [("kept", kept), ("http2", http2), ("new", new)];
    for (name, load) in &loads {
        let answered = || Ok(load.take().iter().any(|(_, interval)| interval.ok > 0));
        let running = wait(Duration::from_secs(5), answered)?;
        ensure!(
            running.is_some(),
            "{name}: no request was answered within 5 s"
        );
    }
    for _ in 0..ROLLS {
        for node in mesh.node_names() {
            mesh.replace_proxy(&node)?;
        }
    }
    // What is under way is answered.
    sleep(Duration::from_millis(500));
    let (mut holds, mut found) = (true, serde_json::Map::new());
    for (name, load) in loads {
        let sum = Interval::sum(load.take().into_iter().map(|(_, interval)| interval));
        holds &= sum.failed == 0 && sum.ok > 100;
        found.insert(name.to_owned(), figures(&sum));
    }
    Ok((holds, found.into()))
}
