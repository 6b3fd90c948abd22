use heddle_model::ObjectKey;
use heddle_resolve::{GatewayStatus, ParentRef, ParentStatus};
use heddle_snapshot::{Resource, Role, Scope};

use super::*;

fn refusal(resource: &str, content: &str, origin: &[&str], message: &str) -> Arc<Refusal> {
    let body = heddle_proto::envoy::config::core::v3::Locality {
        zone: content.to_owned(),
        ..Default::default()
    };
    let type_url = heddle_proto::type_url::ROUTE_CONFIGURATION;
    let origin: Vec<Arc<str>> = origin.iter().map(|object| Arc::from(*object)).collect();
    let made = Resource::new(type_url, resource, Scope::Nodes, origin.clone(), &body);
    Arc::new(Refusal {
        type_url,
        resource: resource.into(),
        version: made.version,
        origin,
        message: message.into(),
    })
}

fn notice(stream: u64, event: Event) -> Notice {
    Notice {
        stream,
        node: format!("node-{stream}").into(),
        role: Role::Node,
        event,
    }
}

fn condition(r#type: ConditionType) -> Condition {
    Condition {
        r#type,
        status: true,
        reason: "Fine",
        message: String::new(),
        observed_generation: Some(7),
    }
}

/// An HTTPRoute `shop/cart` and another, and a Gateway `shop/web`, all in order.
fn statuses() -> Statuses {
    let key = |name: &str| ObjectKey::new("shop".parse().unwrap(), name);
    let route = || {
        Arc::new(RouteStatus {
            parents: vec![ParentStatus {
                parent_ref: ParentRef::default(),
                conditions: vec![condition(ConditionType::Accepted)],
            }],
        })
    };
    let gateway = GatewayStatus {
        addresses: Vec::new(),
        conditions: vec![
            condition(ConditionType::Accepted),
            condition(ConditionType::Programmed),
        ],
        listeners: Vec::new(),
    };
    Statuses {
        http_routes: [(key("cart"), route()), (key("other"), route())].into(),
        gateways: [(key("web"), Arc::new(gateway))].into(),
        ..Statuses::default()
    }
}

#[test]
fn a_refusal_stands_in_the_status_of_the_objects_it_was_made_from_and_in_no_other() {
    let refusals = Refusals::default();
    let origin = ["Gateway shop/web", "HTTPRoute shop/cart"];
    let one = refusal("gateway/shop/web/http", "1", &origin, "bad regex");
    refusals.note(&notice(1, Event::Refused(one)));
    let (before, mut after) = (statuses(), statuses());
    refusals.state(&mut after);
    let text = "node-1 refuses gateway/shop/web/http: bad regex. It goes on with what it had";
    let refused = Condition {
        status: false,
        reason: REASON,
        message: text.to_owned(),
        ..condition(ConditionType::Programmed)
    };
    let routes: Vec<_> = after.http_routes.values().collect();
    assert_eq!(
        routes[0].parents[0].conditions,
        [condition(ConditionType::Accepted), refused.clone()]
    );
    assert_eq!(routes[1], before.http_routes.values().nth(1).unwrap());
    let gateway = after.gateways.values().next().unwrap();
    assert_eq!(
        gateway.conditions,
        [condition(ConditionType::Accepted), refused]
    );
}

#[test]
fn several_clients_and_several_resources_are_counted_not_listed() {
    let refusals = Refusals::default();
    let one = refusal("shop/cart:80", "1", &["HTTPRoute shop/cart"], "bad regex");
    let two = refusal("shop/cart:81", "1", &["HTTPRoute shop/cart"], "bad regex");
    refusals.note(&notice(2, Event::Refused(Arc::clone(&two))));
    refusals.note(&notice(2, Event::Refused(Arc::clone(&one))));
    refusals.note(&notice(1, Event::Refused(one)));
    let said = refusals.by_object();
    assert_eq!(
        said[&Arc::from("HTTPRoute shop/cart")],
        "node-1 and 1 more refuse shop/cart:80: bad regex (and 1 more; see heddle status). It goes on with what it had"
    );
}

#[test]
fn what_is_no_longer_refused_is_no_longer_stated() {
    let refusals = Refusals::default();
    let old = refusal("shop/cart:80", "1", &["HTTPRoute shop/cart"], "bad");
    let new = refusal("shop/cart:80", "2", &["HTTPRoute shop/cart"], "worse");
    refusals.note(&notice(1, Event::Refused(Arc::clone(&old))));
    refusals.note(&notice(1, Event::Refused(Arc::clone(&new))));
    refusals.note(&notice(1, Event::Cleared(old)));
    assert_eq!(refusals.lines().len(), 1, "the newer one stands");
    refusals.note(&notice(1, Event::Cleared(new)));
    let mut after = statuses();
    refusals.state(&mut after);
    assert_eq!(after, statuses());
    assert!(refusals.lines().is_empty());
}
