//! What clients refuse (NACK), and whose fault that is: it stands in the status of the object that the refused resource was made from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use heddle_resolve::{Condition, ConditionType, RouteStatus, Statuses};
use heddle_xds_server::{
    server::Notice,
    session::{Event, Refusal},
};
use tokio::sync::watch;

/// The reason of the condition.
const REASON: &str = "Refused";

/// Which stream, and which resource by type and name.
type Key = (u64, &'static str, Arc<str>);

struct Refused {
    client: Arc<str>,
    refusal: Arc<Refusal>,
}

/// All refusals at present: at most as many as resources that open streams asked for.
pub(crate) struct Refusals {
    present: Mutex<BTreeMap<Key, Refused>>,
    changed: watch::Sender<()>,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            present: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }
}

impl Refusals {
    /// Takes in what a client refuses, or no longer refuses. The one place that logs it.
    pub(crate) fn note(&self, notice: &Notice) {
        let refusal = notice.refusal();
        let key = (
            notice.stream,
            refusal.type_url,
            Arc::clone(&refusal.resource),
        );
        let mut present = self.lock();
        match &notice.event {
            Event::Refused(refusal) => {
                let refused = Refused {
                    client: Arc::clone(&notice.node),
                    refusal: Arc::clone(refusal),
                };
                tracing::warn!("{}", line(&refused));
                present.insert(key, refused);
            }
            // Of a version that was refused anew meanwhile, the older refusal is over, not this one.
            Event::Cleared(refusal) => {
                if present
                    .get(&key)
                    .is_some_and(|known| known.refusal.version == refusal.version)
                {
                    present.remove(&key);
                }
            }
        }
        drop(present);
        self.changed.send_replace(());
    }

    /// Tells of changes.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// One line each.
    pub(crate) fn lines(&self) -> BTreeSet<String> {
        self.lock().values().map(line).collect()
    }

    /// States them in the conditions of the objects that are to blame, as far as these have a status.
    pub(crate) fn state(&self, statuses: &mut Statuses) {
        for (object, message) in self.by_object() {
            let Some((kind, name)) = object.split_once(' ') else {
                continue;
            };
            match kind {
                "HTTPRoute" => blame_route(&mut statuses.http_routes, name, &message),
                "GRPCRoute" => blame_route(&mut statuses.grpc_routes, name, &message),
                "Gateway" => {
                    let mut gateways = statuses.gateways.iter_mut();
                    if let Some((_, status)) = gateways.find(|(key, _)| key.to_string() == name) {
                        blame(&mut Arc::make_mut(status).conditions, &message);
                    }
                }
                // A Service and a NetworkPolicy have no status of ours: `heddle status` tells.
                _ => {}
            }
        }
    }

    /// What is to be said about each object, in an order that does not depend on who refused first.
    fn by_object(&self) -> BTreeMap<Arc<str>, String> {
        /// Who refuses what, by resource and message.
        type Clients<'a> = BTreeMap<(&'a str, &'a str), BTreeSet<&'a str>>;
        let present = self.lock();
        let mut by_object: BTreeMap<Arc<str>, Clients<'_>> = BTreeMap::new();
        for refused in present.values() {
            for object in &refused.refusal.origin {
                let resources = by_object.entry(Arc::clone(object)).or_default();
                let resource = (&*refused.refusal.resource, &*refused.refusal.message);
                resources
                    .entry(resource)
                    .or_default()
                    .insert(&refused.client);
            }
        }
        let said = by_object.into_iter().filter_map(|(object, resources)| {
            let more = match resources.len() - 1 {
                0 => String::new(),
                more => format!(" (and {more} more; see heddle status)"),
            };
            let ((resource, message), clients) = resources.into_iter().next()?;
            let first = clients.first()?;
            let who = match clients.len() - 1 {
                0 => format!("{first} refuses"),
                others => format!("{first} and {others} more refuse"),
            };
            let text = format!("{who} {resource}: {message}{more}. It goes on with what it had");
            Some((object, text))
        });
        said.collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Refused>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn line(refused: &Refused) -> String {
    let Refused { client, refusal } = refused;
    let from = match &*refusal.origin {
        [] => String::new(),
        objects => format!(" (from {})", objects.join(", ")),
    };
    format!(
        "{client} refuses {}{from}: {}",
        refusal.resource, refusal.message
    )
}

fn blame_route<K: std::fmt::Display + Ord>(
    routes: &mut BTreeMap<K, Arc<RouteStatus>>,
    name: &str,
    message: &str,
) {
    if let Some((_, status)) = routes.iter_mut().find(|(key, _)| key.to_string() == name) {
        for parent in &mut Arc::make_mut(status).parents {
            blame(&mut parent.conditions, message);
        }
    }
}

fn blame(conditions: &mut Vec<Condition>, message: &str) {
    let observed_generation = conditions
        .iter()
        .find_map(|condition| condition.observed_generation);
    let refused = Condition {
        r#type: ConditionType::Programmed,
        status: false,
        reason: REASON,
        message: message.to_owned(),
        observed_generation,
    };
    match conditions
        .iter_mut()
        .find(|condition| condition.r#type == ConditionType::Programmed)
    {
        Some(known) => *known = refused,
        None => conditions.push(refused),
    }
}

#[cfg(test)]
mod tests;
