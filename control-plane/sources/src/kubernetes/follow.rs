//! The watch of one kind.

use std::{fmt::Debug, pin::pin, time::Duration};

use futures::{Stream, StreamExt};
use heddle_resources::{Kind, Object, ObjectId};
use kube::{
    Api, Client, Resource, ResourceExt,
    core::{DeserializeGuard, ObjectMeta},
    runtime::watcher::{self, Config, Event, watcher},
};
use serde::de::DeserializeOwned;
use tokio::{sync::mpsc::Sender, time::sleep};

use super::{crds::Crds, failure::Failure, pause::Pause};

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
    /// The kind cannot be watched at this moment. When it can be again, it is listed again.
    Failed { kind: Kind, failure: Failure },
    /// The CRDs of the Gateway API, as they are now.
    GatewayApi(Crds),
}

/// Why a watch has ended.
enum End {
    /// Nobody listens.
    NotWanted,
    /// It cannot be continued.
    Broken(watcher::Error),
    /// Without a reason.
    Silent,
}

/// Watches a kind for as long as somebody listens.
pub(super) async fn follow<K>(kind: Kind, client: Client, reports: Sender<Report>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + 'static,
    Object: From<K>,
{
    let api: Api<DeserializeGuard<K>> = Api::all(client.clone());
    let mut pause = Pause::default();
    let mut streaming = true;
    loop {
        let config = match streaming {
            true => config(kind).streaming_lists(),
            false => config(kind),
        };
        let events = watcher(api.clone(), config);
        match forward::<K>(kind, events, &reports, &mut pause).await {
            End::NotWanted => return,
            End::Broken(error) if streaming && has_no_streaming_lists(&error) => {
                streaming = false;
                continue;
            }
            End::Broken(error) => {
                let failure = Failure::of::<K>(kind, &client, &error).await;
                let told = reports.send(Report::Failed { kind, failure }).await;
                if told.is_err() {
                    return;
                }
            }
            End::Silent => {}
        }
        sleep(pause.next()).await;
    }
}

fn config(kind: Kind) -> Config {
    match kind {
        // The only Secrets that anybody here reads; others are none of our business.
        Kind::Secret => Config::default().fields("type=kubernetes.io/tls"),
        _ => Config::default(),
    }
}

/// Sends on what a watch tells, until it fails.
///
/// A watch that breaks is resumed where it was: servers and what stands before them end connections all the time. One that cannot be resumed
/// has failed, and begins again with a list, which also tells that all is well again.
async fn forward<K>(
    kind: Kind,
    events: impl Stream<Item = watcher::Result<Event<DeserializeGuard<K>>>> + Send,
    reports: &Sender<Report>,
    pause: &mut Pause,
) -> End
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
    Object: From<K>,
{
    let mut events = pin!(events);
    let mut resumable = false;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => event,
            Err(error) if resumable => {
                tracing::debug!(%error, "the watch of {} is resumed", kind.as_str());
                resumable = false;
                sleep(RESUME).await;
                continue;
            }
            Err(error) => return End::Broken(error),
        };
        match event {
            Event::Init | Event::InitApply(_) => {}
            Event::InitDone => {
                pause.reset();
                resumable = true;
            }
            Event::Apply(_) | Event::Delete(_) => resumable = true,
        }
        if reports.send(report(kind, event)).await.is_err() {
            return End::NotWanted;
        }
    }
    End::Silent
}

/// The pause before a watch that broke is resumed.
const RESUME: Duration = Duration::from_millis(500);

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
    matches!(super::failure::status(error), Some(400 | 422))
}
