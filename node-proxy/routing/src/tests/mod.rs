mod hosts;
mod index;
mod matching;
mod paths;
mod policy;
mod properties;
mod redirects;
mod rewrites;

use std::sync::Arc;

use http::{Request, request::Parts};

use crate::{
    Action, DirectResponse, Domain, HeaderOps, PathMatcher, Route, RouteMatch, RouteTable,
    VirtualHost,
};

/// A GET request with headers.
fn get(uri: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri(uri);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(()).expect("valid request").into_parts().0
}

fn matching(path: PathMatcher) -> RouteMatch {
    RouteMatch {
        path,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

/// A route that answers with its own name.
fn route(name: &str, matches: RouteMatch) -> Arc<Route> {
    Arc::new(Route {
        name: name.into(),
        origin: None,
        matches,
        action: Action::Respond(DirectResponse {
            status: 200,
            body: name.into(),
        }),
        request_headers: HeaderOps::default(),
        response_headers: HeaderOps::default(),
    })
}

fn virtual_host(name: &str, domains: Vec<Domain>, routes: Vec<Arc<Route>>) -> VirtualHost {
    VirtualHost {
        name: name.into(),
        domains,
        routes: routes.into(),
    }
}

fn table(virtual_hosts: Vec<VirtualHost>) -> RouteTable {
    RouteTable {
        name: "table".into(),
        virtual_hosts: virtual_hosts.into(),
    }
}

fn regex(pattern: &str) -> regex::Regex {
    regex::Regex::new(&format!(r"\A(?:{pattern})\z")).expect("valid expression")
}
