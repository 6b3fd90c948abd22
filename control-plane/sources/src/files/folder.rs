//! All files of the folder together: which definition counts, and what changed.

use std::{
    collections::{BTreeMap, btree_map},
    fs, io,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use heddle_resources::{ChangeSet, Cluster, Object, ObjectId};

use super::{
    FolderError,
    batch::Visit,
    file::{Entry, File, MOST_BYTES, is_policy},
    identity,
    scan::{Found, Look, scan},
};
use crate::{Place, Places, Problem, Severity, Update};

/// The folder as it was last read.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    files: BTreeMap<Arc<str>, (Option<Look>, File)>,
    held: BTreeMap<ObjectId, Held>,
    cluster: Arc<Cluster>,
    places: Arc<Places>,
}

/// An object that is in effect.
#[derive(Clone, Debug)]
struct Held {
    /// With its generation.
    object: Object,
    /// As it was read, by which it is recognised when its file is not read again.
    read: Object,
    file: Arc<str>,
    document: usize,
}

impl Held {
    fn place((id, held): (&ObjectId, &Self)) -> (ObjectId, Place) {
        let place = Place {
            file: Arc::clone(&held.file),
            document: held.document,
        };
        (id.clone(), place)
    }
}

impl Folder {
    /// A folder of which nothing has been read yet.
    pub(super) fn open(root: PathBuf) -> Result<Self, FolderError> {
        let readable =
            std::path::absolute(&root).and_then(|path| fs::read_dir(&path).map(|_| path));
        match readable {
            Ok(root) => Ok(Self {
                root,
                files: BTreeMap::new(),
                held: BTreeMap::new(),
                cluster: Arc::default(),
                places: Arc::default(),
            }),
            Err(source) => Err(FolderError {
                folder: root,
                source,
            }),
        }
    }

    /// Its absolute path.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Reads what looks different or is suspected, and tells what that changes.
    pub(super) fn refresh(&mut self, visit: &Visit) -> Update {
        let mut problems = Vec::new();
        match scan(&self.root) {
            Ok(found) => self.read(found, visit),
            Err(error) => {
                let message = format!(
                    "the folder cannot be listed ({error}); the last good state stays in effect"
                );
                problems.push(Problem::in_file(&".".into(), message));
            }
        }
        let (next, found) = self.settle();
        problems.extend(found);
        problems.extend(
            self.files
                .values()
                .flat_map(|(_, file)| file.problems.iter().cloned()),
        );
        let changes = self.replace(next);
        Update {
            cluster: Arc::clone(&self.cluster),
            changes,
            problems: tidy(problems).into(),
            places: Arc::clone(&self.places),
            unavailable: std::collections::BTreeSet::new(),
        }
    }

    fn read(&mut self, found: BTreeMap<Arc<str>, Found>, visit: &Visit) {
        self.files.retain(|name, _| found.contains_key(name));
        for (name, found) in found {
            if visit.postpones(&found) {
                continue;
            }
            let Found { path, look } = found;
            let look = look.map_err(|error| error.to_string());
            let known = self.files.get(&name).and_then(|(look, _)| *look);
            let looks_the_same = known.is_some() && look.as_ref().ok().copied() == known;
            if looks_the_same && !visit.suspects(&path) {
                continue;
            }
            let file = match &look {
                Ok(_) => read_file(&path, &name),
                Err(error) => Some(File::unreadable(&name, format!("cannot be read: {error}"))),
            };
            if known.is_some() && Look::at(&path).ok() != look.as_ref().ok().copied() {
                // It changed while it was read: maybe half of it. That is a change of its own, which will be noticed.
                continue;
            }
            match file {
                Some(file) => self.files.insert(name, (look.ok(), file)),
                None => self.files.remove(&name),
            };
        }
    }

    /// Decides for each object which definition counts.
    fn settle(&self) -> (BTreeMap<ObjectId, Held>, Vec<Problem>) {
        let mut next = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, (_, file)) in &self.files {
            for entry in &file.entries {
                self.claim(name, entry, &mut next, &mut problems);
            }
        }
        let is_unclear =
            |file: &Arc<str>| self.files.get(file).is_some_and(|(_, file)| file.unclear);
        for (id, held) in self.held.iter().filter(|(_, held)| is_unclear(&held.file)) {
            if let btree_map::Entry::Vacant(free) = next.entry(id.clone()) {
                problems.push(stays(
                    &held.file,
                    None,
                    id,
                    "is not found in this file while a part of it cannot be read",
                ));
                free.insert(held.clone());
            }
        }
        (next, problems)
    }

    fn claim(
        &self,
        file: &Arc<str>,
        entry: &Entry,
        next: &mut BTreeMap<ObjectId, Held>,
        problems: &mut Vec<Problem>,
    ) {
        let last = self.held.get(&entry.id);
        if let Some(first) = next.get(&entry.id) {
            problems.push(Problem {
                document: Some(entry.document),
                object: Some(entry.id.clone()),
                ..Problem::in_file(
                    file,
                    format!(
                        "is already defined in {}#{}; this one is ignored",
                        first.file, first.document
                    ),
                )
            });
            return;
        }
        let (object, read) = match (&entry.object, last) {
            (None, None) => return,
            (None, Some(last)) => {
                problems.push(stays(file, Some(entry.document), &entry.id, "is invalid"));
                (last.object.clone(), last.read.clone())
            }
            (Some(read), None) => (identity::begin(read.clone()), read.clone()),
            (Some(read), Some(last)) if read.ptr_eq(&last.read) => {
                (last.object.clone(), read.clone())
            }
            (Some(read), Some(last)) => {
                let next = identity::succeed(read.clone(), &last.object);
                (next.unwrap_or_else(|| last.object.clone()), read.clone())
            }
        };
        let held = Held {
            object,
            read,
            file: Arc::clone(file),
            document: entry.document,
        };
        next.insert(entry.id.clone(), held);
    }

    /// Puts the new objects into effect.
    fn replace(&mut self, next: BTreeMap<ObjectId, Held>) -> ChangeSet {
        let mut changes = ChangeSet::new();
        let cluster = Arc::make_mut(&mut self.cluster);
        for id in self.held.keys().filter(|id| !next.contains_key(*id)) {
            cluster.remove(id);
            changes.insert(id.clone());
        }
        for (id, held) in &next {
            if self
                .held
                .get(id)
                .is_none_or(|last| !last.object.ptr_eq(&held.object))
            {
                cluster.insert(held.object.clone());
                changes.insert(id.clone());
            }
        }
        self.held = next;
        let places: Places = self.held.iter().map(Held::place).collect();
        if places != *self.places {
            self.places = Arc::new(places);
        }
        changes
    }
}

/// Reads a file; `None`: it has just vanished.
fn read_file(path: &Path, name: &Arc<str>) -> Option<File> {
    let mut content = Vec::new();
    let read =
        fs::File::open(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut content));
    match read {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => Some(File::unreadable(name, format!("cannot be read: {error}"))),
        Ok(bytes) if bytes as u64 > MOST_BYTES => {
            let most = MOST_BYTES / 1024 / 1024;
            Some(File::unreadable(name, format!("is larger than {most} MiB")))
        }
        Ok(_) => Some(File::parse(name, &content)),
    }
}

fn stays(file: &Arc<str>, document: Option<usize>, id: &ObjectId, why: &str) -> Problem {
    let what = if is_policy(id.kind) {
        "policy"
    } else {
        "version"
    };
    Problem {
        document,
        object: Some(id.clone()),
        severity: Severity::Warning,
        ..Problem::in_file(file, format!("{why}: the last good {what} stays in effect"))
    }
}

/// Sorted; a kind that is not read is told once, not for each of its documents.
fn tidy(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    let mut told = std::collections::BTreeSet::new();
    problems.retain(|problem| {
        problem.severity != Severity::Info || told.insert(problem.message.clone())
    });
    problems
}
