//! What is wrong with the users' objects, in words for them.

use std::{collections::BTreeMap, fmt};

use heddle_resources::ObjectId;

/// A part of an object that cannot be honoured. Prints as `Service shop/cart: spec.ports[0].port: 0 is not a port (1 to 65535)`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The object that has to be mended.
    pub object: ObjectId,
    /// The field, as a path: `spec.rules[0].matches[1].path.value`.
    pub field: String,
    /// What is wrong, and what happens to it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.object, self.field, self.message)
    }
}

/// Collects the problems of one object while it is read.
#[derive(Debug)]
pub(crate) struct Report {
    object: ObjectId,
    problems: Vec<Problem>,
}

impl Report {
    pub(crate) fn on(object: ObjectId) -> Self {
        Self {
            object,
            problems: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.problems.push(Problem {
            object: self.object.clone(),
            field: field.into(),
            message: message.into(),
        });
    }

    /// For a problem whose cause is another object (the namespace of a pod).
    pub(crate) fn add_about(
        &mut self,
        object: ObjectId,
        field: impl Into<String>,
        message: impl Into<String>,
    ) {
        self.problems.push(Problem {
            object,
            field: field.into(),
            message: message.into(),
        });
    }

    pub(crate) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }
}

/// The step that found a problem: each replaces only what it found itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Facet {
    Node,
    Workload,
    Service,
    Endpoints,
    EndpointSlice,
    Routes,
    Links,
    Gateways,
    NetworkPolicy,
    NamedPorts,
    Authorization,
    PodPolicy,
}

/// All problems, by the step and the object that they were found at.
#[derive(Debug, Default)]
pub(crate) struct ProblemBook {
    found: BTreeMap<(Facet, ObjectId), Vec<Problem>>,
    changed: bool,
}

impl ProblemBook {
    /// Replaces what one step found at one object.
    pub(crate) fn set(&mut self, facet: Facet, at: ObjectId, problems: Vec<Problem>) {
        let key = (facet, at);
        if problems.is_empty() {
            self.changed |= self.found.remove(&key).is_some();
        } else if self.found.get(&key) != Some(&problems) {
            self.found.insert(key, problems);
            self.changed = true;
        }
    }

    /// Replaces everything that one step found.
    pub(crate) fn replace(&mut self, facet: Facet, problems: Vec<Problem>) {
        let mut sorted: BTreeMap<ObjectId, Vec<Problem>> = BTreeMap::new();
        for problem in problems {
            sorted
                .entry(problem.object.clone())
                .or_default()
                .push(problem);
        }
        let stale: Vec<ObjectId> = self
            .found
            .keys()
            .filter(|(of, at)| *of == facet && !sorted.contains_key(at))
            .map(|(_, at)| at.clone())
            .collect();
        for at in stale {
            self.set(facet, at, Vec::new());
        }
        for (at, problems) in sorted {
            self.set(facet, at, problems);
        }
    }

    /// The sorted list, if it may differ from the one that was taken last.
    pub(crate) fn take_if_changed(&mut self) -> Option<Vec<Problem>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let mut all: Vec<Problem> = self.found.values().flatten().cloned().collect();
        all.sort();
        all.dedup();
        Some(all)
    }
}
