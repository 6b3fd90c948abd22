//! One route.

use std::collections::HashMap;

use heddle_model::{RouteAction, RouteOrigin, RouteRule, ServicePortKey, Timeouts};
use heddle_proto::{
    envoy::config::{
        core::v3::Metadata,
        route::v3::{
            DirectResponseAction, Route, RouteMatch, route::Action, route_match::PathSpecifier,
        },
    },
    google::protobuf::{Struct, Value, value::Kind},
    names,
};

use super::{
    action::{Forward, forward, redirect, to_one},
    headers::HeaderChanges,
    matches::route_match,
};

/// One match of one rule.
pub(crate) fn route(rule: &RouteRule) -> Route {
    let request = HeaderChanges::of(&rule.request_headers);
    let response = HeaderChanges::of(&rule.response_headers);
    Route {
        name: format!("{} match {}", rule.origin, rule.origin.match_index),
        r#match: Some(route_match(&rule.matches)),
        metadata: Some(origin_metadata(&rule.origin)),
        request_headers_to_add: request.add,
        request_headers_to_remove: request.remove,
        response_headers_to_add: response.add,
        response_headers_to_remove: response.remove,
        action: Some(action(rule)),
        ..Route::default()
    }
}

/// For a port without routes: everything to its own cluster.
pub(crate) fn default_route(port: &ServicePortKey) -> Route {
    let action = Forward {
        backends: &to_one(port),
        matched: None,
        rewrite_path: None,
        rewrite_host: None,
        timeouts: &Timeouts::default(),
        retry: None,
    };
    Route {
        name: format!("Service {port}"),
        r#match: Some(RouteMatch {
            path_specifier: Some(PathSpecifier::Prefix("/".to_owned())),
            ..RouteMatch::default()
        }),
        action: Some(Action::Route(forward(action))),
        ..Route::default()
    }
}

fn action(rule: &RouteRule) -> Action {
    match &rule.action {
        RouteAction::Forward {
            backends,
            rewrite_path,
            rewrite_host,
            timeouts,
            retry,
        } => Action::Route(forward(Forward {
            backends,
            matched: Some(&rule.matches.path),
            rewrite_path: rewrite_path.as_ref(),
            rewrite_host: rewrite_host.as_deref(),
            timeouts,
            retry: retry.as_ref(),
        })),
        RouteAction::Redirect(to) => Action::Redirect(redirect(to)),
        // The reason is for the operator: it names objects that a client from outside need not know of.
        RouteAction::Respond { status, reason: _ } => {
            Action::DirectResponse(DirectResponseAction {
                status: u32::from(*status),
                ..DirectResponseAction::default()
            })
        }
    }
}

/// `HTTPRoute/shop/cart/0`: whom to blame and to thank, in logs and metrics.
fn origin_metadata(origin: &RouteOrigin) -> Metadata {
    let object = &origin.route;
    let value = format!("{:?}/{}/{}", object.kind, object.key, origin.rule);
    let value = Value {
        kind: Some(Kind::StringValue(value)),
    };
    let fields = Struct {
        fields: HashMap::from([("origin".to_owned(), value)]),
    };
    Metadata {
        filter_metadata: HashMap::from([(names::ROUTE_ORIGIN.to_owned(), fields)]),
        ..Metadata::default()
    }
}
