//! A difference, for people.

use heddle_proto::envoy::config::route::v3::RouteConfiguration;

use crate::{
    case::{Body, Case},
    compare::Outcome,
    routes,
};

/// The request as it is sent; a body is only told of.
pub(crate) fn request(case: &Case) -> String {
    let without = Case {
        body: Body::None,
        ..case.clone()
    };
    let head = without.render("-").escape_ascii().to_string();
    let head = head.replace("\\r\\n", "\\r\\n\n    ");
    format!("    {head}{:?}", case.body)
}

/// Prints the request, what differs, and the routes of its host.
pub(crate) fn difference(
    case: &Case,
    table: &RouteConfiguration,
    envoy: &Outcome,
    heddle: &Outcome,
) {
    println!("-- difference, listener {}:\n{}", case.table, request(case));
    let (envoy, heddle) = (format!("{envoy:#?}"), format!("{heddle:#?}"));
    let only = |sign: char, of: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        for line in of.lines().filter(|line| !other.contains(line)) {
            println!("  {sign} {line}");
        }
    };
    println!("  - Envoy, + the node proxy:");
    let tries = |text: &str| text.matches("Seen {").count();
    println!("  - tries: {}", tries(&envoy));
    println!("  + tries: {}", tries(&heddle));
    only('-', &envoy, &heddle);
    only('+', &heddle, &envoy);
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.lines().map(ToOwned::to_owned).collect();
        lines.sort_unstable();
        lines.dedup();
        lines
    };
    if sorted(&envoy) == sorted(&heddle) {
        println!("  - {envoy}\n  + {heddle}");
    }
    let host = case.hosts.first().map_or("", String::as_str);
    if let Some(host) = routes::host_of(table, host) {
        println!("{}", brief(&format!("{host:#?}")));
    }
    println!(
        "{}",
        brief(&format!(
            "table {:#?}",
            (
                &table.request_headers_to_add,
                &table.response_headers_to_add,
                table.most_specific_header_mutations_wins
            )
        ))
    );
}

/// Without fields that say nothing.
fn brief(text: &str) -> String {
    let says_nothing = |line: &&str| {
        let end = [": None,", ": [],", ": {},", ": \"\",", ": 0,", ": false,"];
        end.iter().any(|end| line.ends_with(end))
    };
    let lines: Vec<&str> = text.lines().filter(|line| !says_nothing(line)).collect();
    lines.join("\n")
}
