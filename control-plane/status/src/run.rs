//! Keeps all statuses as they should be, for as long as this replica leads.

use std::{collections::BTreeMap, future::pending};

use heddle_resources::ObjectId;
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{Facts, Outcome, WriteError, Writer, queue::Queue};

/// How many objects are written at a time.
const AT_A_TIME: usize = 8;

/// Writes what differs, whenever the facts change and after failures, while `leading` is true. Returns when the facts end.
///
/// A new leader looks at every object; afterwards only at those that changed. Losing the lead stops all writes at once.
pub async fn run(
    writer: Writer,
    mut facts: watch::Receiver<Option<Facts>>,
    mut leading: watch::Receiver<bool>,
) {
    let mut work = Work::new(writer);
    loop {
        let leads = *leading.borrow_and_update();
        if leads {
            let now = facts.borrow_and_update().clone();
            work.take_in(now);
            work.start();
        } else {
            work.stop();
        }
        let due = work.queue.next(AT_A_TIME);
        tokio::select! {
            changed = facts.changed(), if leads => if changed.is_err() {
                return;
            },
            changed = leading.changed() => if changed.is_err() {
                return;
            },
            Some(done) = work.running.join_next_with_id() => work.ended(done),
            () = wait(due) => {}
        }
    }
}

async fn wait(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

struct Work {
    writer: Writer,
    queue: Queue,
    running: JoinSet<Result<Outcome, WriteError>>,
    ids: BTreeMap<tokio::task::Id, ObjectId>,
    last: Option<Facts>,
    /// What was told about objects that cannot be written.
    complaints: BTreeMap<ObjectId, String>,
}

impl Work {
    fn new(writer: Writer) -> Self {
        Self {
            writer,
            queue: Queue::default(),
            running: JoinSet::new(),
            ids: BTreeMap::new(),
            last: None,
            complaints: BTreeMap::new(),
        }
    }

    fn take_in(&mut self, facts: Option<Facts>) {
        let Some(facts) = facts else { return };
        let news = facts.news(self.last.as_ref());
        let now = Instant::now();
        for id in news {
            if self.differs(&facts, &id) {
                self.queue.push(id, now);
            }
        }
        self.last = Some(facts);
    }

    /// Against what the watches saw: they may be late, but whatever they see later is looked at again.
    fn differs(&self, facts: &Facts, id: &ObjectId) -> bool {
        facts.wanted(id).is_some_and(|wanted| {
            let seen = facts.seen(id);
            self.writer.compare(id, &seen, &wanted).is_some()
        })
    }

    fn start(&mut self) {
        let now = Instant::now();
        for id in self.queue.take(now, AT_A_TIME) {
            let wanted = self.last.as_ref().and_then(|facts| facts.wanted(&id));
            let Some(wanted) = wanted else {
                self.queue.succeeded(&id, now);
                self.complaints.remove(&id);
                continue;
            };
            let (writer, target) = (self.writer.clone(), id.clone());
            let task = self
                .running
                .spawn(async move { writer.write(&target, &wanted).await });
            self.ids.insert(task.id(), id);
        }
    }

    fn ended(&mut self, done: Result<(tokio::task::Id, Result<Outcome, WriteError>), JoinError>) {
        let now = Instant::now();
        let (task, result) = match done {
            Ok((task, result)) => (task, result.map_err(|error| error.to_string())),
            Err(error) => (error.id(), Err(error.to_string())),
        };
        let Some(id) = self.ids.remove(&task) else {
            return;
        };
        match result {
            Ok(outcome) => {
                self.queue.succeeded(&id, now);
                tracing::debug!(object = %id, ?outcome, "status");
                if self.complaints.remove(&id).is_some() {
                    tracing::info!("the status of {id} is written again");
                }
            }
            Err(error) => {
                let pause = self.queue.failed(&id, now);
                // Told once, not at each attempt.
                if self.complaints.get(&id) != Some(&error) {
                    tracing::warn!(?pause, "the status of {id} cannot be written: {error}");
                    self.complaints.insert(id, error);
                }
            }
        }
    }

    fn stop(&mut self) {
        self.running = JoinSet::new();
        self.ids.clear();
        self.queue = Queue::default();
        self.last = None;
        self.complaints.clear();
    }
}
