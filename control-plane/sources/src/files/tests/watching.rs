//! The watched folder, with real events. The poll is so slow that only events can make these pass in time.

use std::time::Duration;

use super::*;
use crate::{Updates, files};

const NEVER: Duration = Duration::from_secs(3600);

fn watch(folder: &Path, poll: Duration) -> Updates {
    let settings = files::Settings {
        poll,
        ..files::Settings::new(folder)
    };
    files::watch(settings).unwrap()
}

/// Waits for a state of a Service's port.
async fn until(updates: &mut Updates, name: &str, wanted: Option<i32>) -> Update {
    loop {
        let update = updates.next().await.unwrap();
        if port(&update.cluster, name) == wanted {
            return update;
        }
    }
}

#[tokio::test]
async fn the_first_update_has_everything() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a.yaml", service("a", 1));
    let update = watch(folder.path(), NEVER).next().await.unwrap();
    assert_eq!(update.changes, services(&["a"]));
}

#[tokio::test]
async fn an_empty_folder_gives_an_update_as_well() {
    let folder = TempDir::new().unwrap();
    let update = watch(folder.path(), NEVER).next().await.unwrap();
    assert!(update.changes.is_empty());
}

#[tokio::test]
async fn saving_in_place_and_by_renaming_another_file_over_it_are_noticed() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a.yaml", service("a", 1));
    let mut updates = watch(folder.path(), NEVER);
    until(&mut updates, "a", Some(1)).await;
    write(folder.path(), "a.yaml", service("a", 2));
    until(&mut updates, "a", Some(2)).await;
    // As editors do it.
    write(folder.path(), ".a.yaml.swp", service("a", 3));
    fs::rename(
        folder.path().join(".a.yaml.swp"),
        folder.path().join("a.yaml"),
    )
    .unwrap();
    until(&mut updates, "a", Some(3)).await;
    fs::remove_file(folder.path().join("a.yaml")).unwrap();
    until(&mut updates, "a", None).await;
}

#[tokio::test]
async fn a_new_folder_with_a_file_is_noticed() {
    let folder = TempDir::new().unwrap();
    let mut updates = watch(folder.path(), NEVER);
    updates.next().await.unwrap();
    let prepared = TempDir::new_in(folder.path().parent().unwrap()).unwrap();
    write(prepared.path(), "in/a.yaml", service("a", 1));
    fs::rename(prepared.path().join("in"), folder.path().join("in")).unwrap();
    until(&mut updates, "a", Some(1)).await;
}

#[tokio::test]
async fn a_broken_edit_is_told_and_keeps_the_last_good_object() {
    let folder = TempDir::new().unwrap();
    write(folder.path(), "a.yaml", service("a", 1));
    let mut updates = watch(folder.path(), NEVER);
    until(&mut updates, "a", Some(1)).await;
    write(folder.path(), "a.yaml", "apiVersion: v1\nkind: [");
    let broken = loop {
        let update = updates.next().await.unwrap();
        assert_eq!(port(&update.cluster, "a"), Some(1));
        if !update.problems.is_empty() {
            break update;
        }
    };
    assert!(broken.changes.is_empty());
    write(folder.path(), "a.yaml", service("a", 2));
    let mended = until(&mut updates, "a", Some(2)).await;
    assert!(mended.problems.is_empty());
}

#[tokio::test]
async fn a_file_that_is_being_written_is_read_when_it_is_closed_and_holds_up_no_other() {
    use std::io::Write;
    let folder = TempDir::new().unwrap();
    let both = format!("{}---\n{}", service("a", 1), service("b", 1));
    write(folder.path(), "a.yaml", &both);
    let settings = files::Settings {
        // Looked at all the time: not even the poll may believe half a file.
        poll: Duration::from_millis(10),
        unfinished: NEVER,
        ..files::Settings::new(folder.path())
    };
    let mut updates = files::watch(settings).unwrap();
    until(&mut updates, "b", Some(1)).await;
    // A shell's `>`: the file is empty from here on.
    let mut file = fs::File::create(folder.path().join("a.yaml")).unwrap();
    for (port, more) in [(1, ""), (2, &*service("a", 2))] {
        file.write_all(more.as_bytes()).unwrap();
        write(folder.path(), "c.yaml", service("c", port));
        let update = until(&mut updates, "c", Some(port.into())).await;
        assert_eq!(update.changes, services(&["c"]));
        assert!(update.problems.is_empty());
    }
    file.write_all(format!("---\n{}", service("b", 2)).as_bytes())
        .unwrap();
    drop(file);
    let update = updates.next().await.unwrap();
    assert_eq!(
        (port(&update.cluster, "a"), port(&update.cluster, "b")),
        (Some(2), Some(2))
    );
    // An empty file that was closed is meant so.
    fs::File::create(folder.path().join("a.yaml")).unwrap();
    until(&mut updates, "a", None).await;
}

#[tokio::test]
async fn a_file_that_is_made_anew_after_the_old_one_was_moved_away_is_read_when_it_is_closed() {
    use std::io::Write;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.yaml");
    write(folder.path(), "a.yaml", service("a", 1));
    let mut updates = watch(folder.path(), NEVER);
    until(&mut updates, "a", Some(1)).await;
    // As an editor that keeps a backup.
    fs::rename(&path, folder.path().join("a.yaml~")).unwrap();
    let mut file = fs::File::create(&path).unwrap();
    write(folder.path(), "b.yaml", service("b", 1));
    let update = until(&mut updates, "b", Some(1)).await;
    assert_eq!(port(&update.cluster, "a"), Some(1));
    file.write_all(service("a", 2).as_bytes()).unwrap();
    drop(file);
    until(&mut updates, "a", Some(2)).await;
}

#[tokio::test]
async fn a_file_that_is_never_closed_is_read_in_the_end() {
    use std::io::Write;
    let folder = TempDir::new().unwrap();
    let settings = files::Settings {
        poll: Duration::from_millis(10),
        unfinished: Duration::from_millis(1),
        ..files::Settings::new(folder.path())
    };
    let mut updates = files::watch(settings).unwrap();
    updates.next().await.unwrap();
    let mut file = fs::File::create(folder.path().join("a.yaml")).unwrap();
    file.write_all(service("a", 1).as_bytes()).unwrap();
    until(&mut updates, "a", Some(1)).await;
}

#[tokio::test]
async fn what_no_event_tells_is_found_by_the_poll() {
    let folder = TempDir::new().unwrap();
    let elsewhere = TempDir::new().unwrap();
    write(elsewhere.path(), "target.yaml", service("a", 1));
    std::os::unix::fs::symlink(
        elsewhere.path().join("target.yaml"),
        folder.path().join("a.yaml"),
    )
    .unwrap();
    let mut updates = watch(folder.path(), Duration::from_millis(20));
    until(&mut updates, "a", Some(1)).await;
    // The link's target lies outside of what is watched.
    write(elsewhere.path(), "target.yaml", service("a", 2));
    until(&mut updates, "a", Some(2)).await;
}
