//! The watch of one kind.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use heddle_resources::{Kind, Object, ObjectId};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, ObjectMeta},
    runtime::{
        WatchStreamExt,
        watcher::{self, Config, Event, watcher},
    },
};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::Sender;

/// What a watch tells.
#[derive(Debug)]
pub(super) enum Report {
    /// A list of the kind begins; what it does not name is gone when it is complete.
    Listing(Kind),
    /// A list is complete.
    Listed(Kind),
    /// An object, in a list or by itself.
    Object { object: Object, listing: bool },
    /// An object that cannot be read.
    Unreadable {
        id: ObjectId,
        error: String,
        listing: bool,
    },
    /// An object is gone.
    Gone(ObjectId),
    /// The kind cannot be watched at this moment.
    Failed {
        kind: Kind,
        error: String,
        /// The server does not know the kind.
        unknown: bool,
    },
}

/// Why a watch is given up and begun in another way.
enum End {
    /// Nobody listens.
    NotWanted,
    /// The server has no streaming lists.
    NoStreamingLists,
}

/// Watches a kind for as long as somebody listens.
pub(super) async fn follow<K>(kind: Kind, client: Client, reports: Sender<Report>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    Object: From<K>,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client);
    let events = watcher(api.clone(), config(kind).streaming_lists());
    if let End::NoStreamingLists = forward::<K>(kind, events, &reports, true).await {
        forward::<K>(kind, watcher(api, config(kind)), &reports, false).await;
    }
}

fn config(kind: Kind) -> Config {
    match kind {
        // The only Secrets that anybody here reads; others are none of our business.
        Kind::Secret => Config::default().fields("type=kubernetes.io/tls"),
        _ => Config::default(),
    }
}

/// Sends on what a watch tells, with pauses after errors.
async fn forward<K>(
    kind: Kind,
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>> + Send,
    reports: &Sender<Report>,
    streaming: bool,
) -> End
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
    Object: From<K>,
{
    let mut events = pin!(events.default_backoff());
    while let Some(event) = events.next().await {
        let report = match event {
            Ok(event) => report(kind, event),
            Err(error) if streaming && has_no_streaming_lists(&error) => {
                return End::NoStreamingLists;
            }
            Err(error) => Report::Failed {
                kind,
                unknown: status(&error) == Some(404),
                error: error.to_string(),
            },
        };
        if reports.send(report).await.is_err() {
            return End::NotWanted;
        }
    }
    // A watch has no end of its own; were it to have one, this must not become a busy loop.
    tokio::time::sleep(Duration::from_secs(1)).await;
    End::NotWanted
}

fn report<K>(kind: Kind, event: Event<DeserializeGuard<K>>) -> Report
where
    K: Resource<DynamicType = ()> + Clone,
    Object: From<K>,
{
    match event {
        Event::Init => Report::Listing(kind),
        Event::InitDone => Report::Listed(kind),
        Event::InitApply(object) => read(kind, object, true),
        Event::Apply(object) => read(kind, object, false),
        Event::Delete(object) => Report::Gone(id(kind, object.meta())),
    }
}

fn read<K>(kind: Kind, object: DeserializeGuard<K>, listing: bool) -> Report
where
    K: Resource<DynamicType = ()> + Clone,
    Object: From<K>,
{
    match object.0 {
        Ok(mut object) => {
            object.managed_fields_mut().clear();
            Report::Object {
                object: object.into(),
                listing,
            }
        }
        Err(invalid) => Report::Unreadable {
            id: id(kind, &invalid.metadata),
            error: invalid.error,
            listing,
        },
    }
}

fn id(kind: Kind, metadata: &ObjectMeta) -> ObjectId {
    let namespace = metadata
        .namespace
        .as_deref()
        .filter(|_| kind.is_namespaced());
    ObjectId {
        kind,
        namespace: namespace.unwrap_or_default().into(),
        name: metadata.name.as_deref().unwrap_or_default().into(),
    }
}

/// Such a server refuses the parameter `sendInitialEvents`.
fn has_no_streaming_lists(error: &watcher::Error) -> bool {
    matches!(status(error), Some(400 | 422))
}

/// The HTTP status that the server answered with.
fn status(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => match error {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        },
        watcher::Error::WatchError(status) => Some(status.code),
        watcher::Error::NoResourceVersion => None,
    }
}
