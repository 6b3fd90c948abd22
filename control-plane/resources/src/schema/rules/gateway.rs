//! Gateway.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Found, items, located, text};

/// Checks a Gateway.
pub(super) fn check(gateway: &Value, found: &mut Found) {
    let spec = &gateway["spec"];
    let (mut names, mut sockets, mut addresses) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (path, listener) in located(&spec["listeners"], "spec.listeners") {
        let name = text(&listener["name"]);
        found.demand(
            names.insert(name),
            format!("{path}.name"),
            "another listener has the same name",
        );
        let socket = (
            listener["port"].as_i64(),
            text(&listener["protocol"]),
            text(&listener["hostname"]),
        );
        let message = "another listener has the same port, protocol and hostname";
        found.demand(sockets.insert(socket), &path, message);
        check_listener(listener, &path, found);
    }
    for (path, address) in located(&spec["addresses"], "spec.addresses") {
        if let Some(value) = address["value"].as_str() {
            let message = "another address is the same";
            found.demand(
                addresses.insert((text(&address["type"]), value)),
                path,
                message,
            );
        }
    }
}

fn check_listener(listener: &Value, path: &str, found: &mut Found) {
    let (protocol, tls) = (text(&listener["protocol"]), &listener["tls"]);
    let mode = text(&tls["mode"]);
    match protocol {
        "HTTP" | "TCP" | "UDP" => {
            found.demand(
                tls.is_null(),
                format!("{path}.tls"),
                &format!("must not be given for {protocol}"),
            );
        }
        "HTTPS" => {
            let holds = tls.is_null() || mode == "Terminate";
            found.demand(
                holds,
                format!("{path}.tls.mode"),
                "must be Terminate for HTTPS",
            );
        }
        "TLS" => found.demand(
            !mode.is_empty(),
            format!("{path}.tls"),
            "must be given for TLS",
        ),
        _ => {}
    }
    if matches!(protocol, "TCP" | "UDP") {
        let named = !text(&listener["hostname"]).is_empty();
        found.demand(
            !named,
            format!("{path}.hostname"),
            &format!("must not be given for {protocol}"),
        );
    }
    if mode == "Terminate" {
        let options = tls["options"]
            .as_object()
            .is_some_and(|options| !options.is_empty());
        let holds = options || !items(&tls["certificateRefs"]).is_empty();
        found.demand(
            holds,
            format!("{path}.tls"),
            "certificateRefs must be given where TLS is terminated",
        );
    }
}
