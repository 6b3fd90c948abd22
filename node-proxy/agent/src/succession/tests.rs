use std::{
    net::{Ipv4Addr, TcpListener},
    time::Duration,
};

use heddle_redirect::{Netns, handover::Passed};
use tokio::{sync::watch, time::timeout};

use super::*;

/// Far longer than anything here takes; only a failing test waits for it.
const LONG: Duration = Duration::from_secs(20);

fn sockets() -> Vec<Passed> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    vec![Passed::listener(Netns::current().unwrap().id(), &listener).unwrap()]
}

/// A node proxy that serves, and answers requests for its sockets.
fn serving(path: &Path) -> (watch::Receiver<bool>, tokio::task::JoinHandle<()>) {
    let mut successors = Successors::open(path.to_owned()).unwrap();
    let superseded = successors.superseded();
    let keeper = tokio::spawn(async move {
        while let Some(request) = successors.request().await {
            let _ = request.send(sockets());
        }
    });
    (superseded, keeper)
}

async fn becomes(superseded: &mut watch::Receiver<bool>, wanted: bool) {
    let becoming = superseded.wait_for(|now| *now == wanted);
    timeout(LONG, becoming).await.unwrap().unwrap();
}

#[tokio::test]
async fn where_nobody_is_there_is_no_predecessor() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    assert!(Predecessor::find(&path).await.is_none());
    // Left by one that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(Predecessor::find(&path).await.is_none());
}

#[tokio::test]
async fn who_is_ready_gets_the_sockets_and_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    let (mut superseded, _keeper) = serving(&path);
    let predecessor = Predecessor::find(&path).await.unwrap();
    assert!(!*superseded.borrow());
    let inheritance = predecessor.take_over().await;
    assert_eq!(inheritance.sockets.len(), 1);
    becomes(&mut superseded, true).await;
}

#[tokio::test]
async fn who_dies_after_it_took_over_gives_the_node_back_and_the_next_one_finds_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    let (mut superseded, _keeper) = serving(&path);
    let inheritance = Predecessor::find(&path).await.unwrap().take_over().await;
    becomes(&mut superseded, true).await;
    // It took the place, too.
    drop(bind(&path).unwrap());
    drop(inheritance);
    becomes(&mut superseded, false).await;
    let found = async {
        loop {
            if let Some(found) = Predecessor::find(&path).await {
                return found;
            }
            tokio::task::yield_now().await;
        }
    };
    let again = timeout(LONG, found).await.unwrap().take_over().await;
    assert_eq!(again.sockets.len(), 1);
}

#[tokio::test]
async fn who_dies_before_it_was_ready_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    let (mut superseded, _keeper) = serving(&path);
    drop(Predecessor::find(&path).await.unwrap());
    let next = Predecessor::find(&path).await.unwrap();
    assert!(!*superseded.borrow());
    assert_eq!(next.take_over().await.sockets.len(), 1);
    becomes(&mut superseded, true).await;
}

#[tokio::test]
async fn one_that_ends_first_hands_over_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("handover.sock");
    let successors = Successors::open(path.clone()).unwrap();
    let next = tokio::spawn(async move {
        let predecessor = Predecessor::find(&path).await.unwrap();
        predecessor.ends().await;
        predecessor.take_over().await
    });
    // Not before it is connected.
    while successors.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(timeout(LONG, successors.finish(sockets)).await.unwrap());
    assert_eq!(next.await.unwrap().sockets.len(), 1);
}

#[tokio::test]
async fn one_that_ends_alone_waits_for_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let successors = Successors::open(folder.path().join("handover.sock")).unwrap();
    assert!(!timeout(LONG, successors.finish(sockets)).await.unwrap());
}
