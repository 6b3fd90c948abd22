//! Routes by their paths.
//!
//! The first route that matches counts (route.v3.VirtualHost.routes), so an index may only leave routes out: of those whose path can match, the
//! first whose other conditions hold is found. Exact paths and prefixes are looked up; only regular expressions are tried one by one, and only as long as
//! they stand before what was found already.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Deref,
    sync::Arc,
};

use http::request::Parts;

use crate::{PathMatcher, Route};

/// Up to so many routes are tried one by one: that is as fast as looking them up.
const FEW: usize = 4;

/// The routes of a virtual host in their order.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    routes: Vec<Arc<Route>>,
    index: Option<Box<Index>>,
}

/// Positions of routes, each list in order.
type Places = HashMap<Box<str>, Vec<u32>>;

#[derive(Clone, Debug, Default)]
struct Index {
    exact: Places,
    /// By the path of the last element, without a slash behind it.
    elements: Places,
    bytes: Places,
    /// The lengths of byte prefixes.
    lengths: BTreeSet<usize>,
    regexes: Vec<u32>,
}

impl Routes {
    /// The first route that matches a request.
    pub fn find(&self, request: &Parts) -> Option<&Arc<Route>> {
        let Some(index) = &self.index else {
            return self
                .routes
                .iter()
                .find(|route| route.matches.matches(request));
        };
        let mut found = None;
        index.candidates(request.uri.path(), |places| {
            self.earlier(places, request, &mut found);
        });
        self.routes.get(found? as usize)
    }

    /// Puts the first of some places that matches in `found`, if it stands before that.
    fn earlier(&self, places: &[u32], request: &Parts, found: &mut Option<u32>) {
        let before = places
            .iter()
            .take_while(|place| found.is_none_or(|found| **place < found));
        for place in before {
            let route = self.routes.get(*place as usize);
            if route.is_some_and(|route| route.matches.matches(request)) {
                *found = Some(*place);
                return;
            }
        }
    }
}

impl Index {
    fn of(routes: &[Arc<Route>]) -> Self {
        let mut index = Self::default();
        for (place, route) in (0..).zip(routes) {
            let (places, path) = match &route.matches.path {
                PathMatcher::Exact(path) => (&mut index.exact, &**path),
                PathMatcher::ElementPrefix(path) => {
                    (&mut index.elements, path.strip_suffix('/').unwrap_or(path))
                }
                PathMatcher::Prefix(path) => {
                    index.lengths.insert(path.len());
                    (&mut index.bytes, &**path)
                }
                PathMatcher::Regex(_) => {
                    index.regexes.push(place);
                    continue;
                }
            };
            match places.get_mut(path) {
                Some(known) => known.push(place),
                None => {
                    places.insert(path.into(), vec![place]);
                }
            }
        }
        index
    }

    /// Tells of all routes whose path can match, list by list.
    fn candidates(&self, path: &str, mut tell: impl FnMut(&[u32])) {
        let mut look_up = |places: &Places, path: Option<&str>| {
            if let Some(places) = path.and_then(|path| places.get(path)) {
                tell(places);
            }
        };
        if !self.exact.is_empty() {
            look_up(&self.exact, Some(path));
        }
        if !self.elements.is_empty() {
            look_up(&self.elements, Some(path));
            for (end, _) in path.match_indices('/') {
                look_up(&self.elements, path.get(..end));
            }
        }
        for length in self.lengths.range(..=path.len()) {
            look_up(&self.bytes, path.get(..*length));
        }
        if !self.regexes.is_empty() {
            tell(&self.regexes);
        }
    }
}

impl From<Vec<Arc<Route>>> for Routes {
    fn from(routes: Vec<Arc<Route>>) -> Self {
        let index = (routes.len() > FEW).then(|| Box::new(Index::of(&routes)));
        Self { routes, index }
    }
}

impl Deref for Routes {
    type Target = [Arc<Route>];

    fn deref(&self) -> &Self::Target {
        &self.routes
    }
}
