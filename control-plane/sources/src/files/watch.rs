//! The loop that waits for changes and publishes them.

use std::{sync::Arc, time::Duration};

use notify::{RecursiveMode, Watcher};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    time::{Instant, Interval, MissedTickBehavior, interval, timeout_at},
};

use super::{
    Settings,
    batch::{Batch, Visit},
    folder::Folder,
    scan::Suspects,
};
use crate::{Places, Problem, updates::Publisher};

type Events = UnboundedReceiver<notify::Result<notify::Event>>;

/// Reads the folder, publishes, waits for a change, and so on; ends only when it is dropped.
pub(super) async fn run(mut folder: Folder, settings: Settings, publisher: Publisher) {
    let (sender, mut events) = unbounded_channel();
    // Before the first read, so that no change falls between the two. Held: its drop ends the events.
    let _watcher = match watcher(&folder, sender.clone()) {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(folder = %folder.root().display(), %error, "no change events: the folder is only polled");
            None
        }
    };
    let mut poll = interval(settings.poll.max(Duration::from_millis(10)));
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    poll.tick().await;
    let mut visit = Visit::now(Suspects::All);
    let mut batch = Batch::default();
    let mut published: Option<(Arc<[Problem]>, Arc<Places>)> = None;
    loop {
        let reading = tokio::task::spawn_blocking(move || {
            let update = folder.refresh(&visit);
            (folder, update)
        });
        // The other end is only lost when the runtime shuts down, or by a panic, which ends this source as well.
        let Ok((next, update)) = reading.await else {
            return;
        };
        folder = next;
        let told = (Arc::clone(&update.problems), Arc::clone(&update.places));
        if !update.changes.is_empty() || published.as_ref() != Some(&told) {
            published = Some(told);
            publisher.publish(update);
        }
        visit = change(&mut batch, &mut events, &mut poll, &settings).await;
    }
}

fn watcher(
    folder: &Folder,
    sender: UnboundedSender<notify::Result<notify::Event>>,
) -> notify::Result<notify::RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event| {
        // Nobody listens any more: the source is about to end.
        let _ = sender.send(event);
    })?;
    watcher.watch(folder.root(), RecursiveMode::Recursive)?;
    Ok(watcher)
}

/// Waits for the next poll, or for an event and then until the burst that it belongs to is over.
async fn change(
    batch: &mut Batch,
    events: &mut Events,
    poll: &mut Interval,
    settings: &Settings,
) -> Visit {
    while !batch.has_news() {
        tokio::select! {
            // Without a watcher there are no events, ever.
            Some(event) = events.recv() => {
                batch.add(event);
            }
            _ = poll.tick() => {
                while let Ok(event) = events.try_recv() {
                    batch.add(event);
                }
                batch.give_up(settings.unfinished);
                return batch.poll(settings);
            }
        }
    }
    let latest = Instant::now() + settings.patience;
    loop {
        let next = latest.min(Instant::now() + settings.quiet);
        match timeout_at(next, events.recv()).await {
            Ok(Some(event)) => batch.add(event),
            Ok(None) | Err(_) => return batch.visit(settings, next < latest),
        }
    }
}
