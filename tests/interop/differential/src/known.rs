//! The differences that have a reason: a rule for each row of README.md's table.
//!
//! A rule takes one difference away and nothing else; what is then still different is not explained.

use crate::{
    case::{Body, Case, Protocol},
    compare::Outcome,
};

/// A difference that has a reason.
struct Rule {
    name: &'static str,
    /// Makes equal what differs for this reason.
    take_away: fn(&Case, &mut Outcome, &mut Outcome),
}

const RULES: &[Rule] = &[
    Rule {
        name: "ambiguous-host",
        take_away: ambiguous_host,
    },
    Rule {
        name: "malformed",
        take_away: malformed,
    },
    Rule {
        name: "continue",
        take_away: go_on,
    },
    Rule {
        name: "redirect-port",
        take_away: redirect_port,
    },
    Rule {
        name: "prefix-splice",
        take_away: prefix_splice,
    },
    Rule {
        name: "hop-by-hop",
        take_away: hop_by_hop,
    },
    Rule {
        name: "http1-trailers",
        take_away: http1_trailers,
    },
    Rule {
        name: "te",
        take_away: te,
    },
    Rule {
        name: "forwarded-proto",
        take_away: forwarded_proto,
    },
    Rule {
        name: "grpc-own-answer",
        take_away: grpc_own_answer,
    },
    Rule {
        name: "upgrade-list",
        take_away: upgrade_list,
    },
    Rule {
        name: "upgrade-http2",
        take_away: upgrade_http2,
    },
    Rule {
        name: "reset-tried-again",
        take_away: reset_tried_again,
    },
    Rule {
        name: "refused-tried-again",
        take_away: refused_tried_again,
    },
    Rule {
        name: "slow-upload",
        take_away: slow_upload,
    },
    Rule {
        name: "equal-lengths",
        take_away: equal_lengths,
    },
    Rule {
        name: "upgrade-as-request",
        take_away: upgrade_as_request,
    },
    Rule {
        name: "encoded-query",
        take_away: encoded_query,
    },
    Rule {
        name: "repeated-header",
        take_away: repeated_header,
    },
];

/// Why two normalised outcomes differ, if all of it is known: the names of the rules.
pub(crate) fn explained(case: &Case, envoy: &Outcome, heddle: &Outcome) -> Option<String> {
    let (mut envoy, mut heddle) = (envoy.clone(), heddle.clone());
    let mut names = Vec::new();
    for rule in RULES {
        let before = (envoy.clone(), heddle.clone());
        (rule.take_away)(case, &mut envoy, &mut heddle);
        if before != (envoy.clone(), heddle.clone()) {
            names.push(rule.name);
        }
        if envoy == heddle {
            return Some(names.join(", "));
        }
    }
    None
}

fn has(case: &Case, name: &str, value: &str) -> bool {
    let wanted = |(n, v): &(&str, &str)| n.eq_ignore_ascii_case(name) && v.contains(value);
    case.headers.iter().any(wanted)
}

/// Refused by the proxy itself.
fn is_refused(outcome: &Outcome) -> bool {
    let status = outcome.answer.status;
    let grpc = header(outcome, "grpc-status").is_some();
    outcome.tries.is_empty() && (status >= 400 || status == 0 || grpc)
}

fn header<'a>(outcome: &'a Outcome, name: &str) -> Option<&'a str> {
    let headers = &outcome.answer.headers;
    let found = headers.iter().find(|(n, _)| n == name);
    found.map(|(_, value)| value.as_str())
}

fn ambiguous_host(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let is_one = |host: &String| {
        let port = host.rsplit_once(':').map_or("", |(_, port)| port);
        let port_is_number = host.ends_with(']') || port.bytes().all(|b| b.is_ascii_digit());
        !host.is_empty() && !host.contains('@') && port_is_number
    };
    let absolute = case.target.strip_prefix("http://").unwrap_or_default();
    let empty_port = absolute.split('/').next().is_some_and(|h| h.ends_with(':'));
    let is_clear = case.hosts.len() == 1 && case.hosts.iter().all(is_one);
    if empty_port && is_refused(envoy) {
        *envoy = heddle.clone();
    }
    if !is_clear && is_refused(heddle) && heddle.answer.status <= 400 {
        *envoy = heddle.clone();
    }
}

fn malformed(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    // RFC 9112 section 6.1: a message of HTTP/1.0 with Transfer-Encoding is faulty.
    let old_chunked = case.protocol == Protocol::Http10 && matches!(case.body, Body::Chunked(..));
    let has_form = case.target.starts_with('/') || case.target.starts_with("http://");
    let is_odd = !has_form || case.target.contains('#');
    let both = is_odd && is_refused(envoy);
    if (both || old_chunked || !case.flaw.is_empty()) && is_refused(heddle) {
        *envoy = heddle.clone();
    }
}

fn go_on(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    if has(case, "expect", "100-continue") {
        for outcome in [envoy, heddle] {
            outcome.answer.interim.retain(|(status, _)| *status != 100);
            for seen in &mut outcome.tries {
                seen.headers.retain(|(name, _)| name != "expect");
            }
        }
    }
}

fn location(outcome: &mut Outcome) -> Option<&mut String> {
    let headers = &mut outcome.answer.headers;
    let found = headers.iter_mut().find(|(name, _)| name == "location");
    found.map(|(_, value)| value)
}

fn redirect_port(_: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let (Some(envoy), Some(heddle)) = (location(envoy), location(heddle)) else {
        return;
    };
    if split(envoy).0 != split(heddle).0 {
        *envoy = without_port(envoy);
        *heddle = without_port(heddle);
    }
}

/// Where the host of a URL ends.
fn split(url: &str) -> (&str, &str) {
    let start = url.find("://").map_or(0, |at| at + 3);
    let end = url[start..].find('/').map_or(url.len(), |at| start + at);
    url.split_at(end)
}

fn without_port(url: &str) -> String {
    let (host, rest) = split(url);
    let host = match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => host,
    };
    format!("{host}{rest}")
}

fn prefix_splice(_: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let same = |a: &str, b: &str| a.replace('/', "") == b.replace('/', "");
    if let (Some(envoy), Some(heddle)) = (location(envoy), location(heddle))
        && same(envoy, heddle)
    {
        envoy.clone_from(heddle);
    }
    for (envoy, heddle) in envoy.tries.iter_mut().zip(&heddle.tries) {
        if same(&envoy.target, &heddle.target) {
            envoy.target.clone_from(&heddle.target);
        }
    }
}

fn hop_by_hop(case: &Case, envoy: &mut Outcome, _: &mut Outcome) {
    if has(case, "x-ask", "hop") {
        envoy.answer.headers.retain(|(name, _)| name != "x-hop");
    }
}

fn http1_trailers(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let from_http2 = header(heddle, "x-backend") == Some("http2");
    if heddle.answer.trailers.is_empty() && (case.protocol != Protocol::Http2 || !from_http2) {
        envoy.answer.trailers.clear();
        envoy.answer.headers.retain(|(name, _)| name != "trailer");
        heddle.answer.headers.retain(|(name, _)| name != "trailer");
    }
    for (envoy, heddle) in envoy.tries.iter_mut().zip(&heddle.tries) {
        if heddle.trailers.is_empty() && heddle.backend != "http2" {
            envoy.trailers.clear();
        }
    }
}

fn te(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    if has(case, "te", "trailers") {
        for seen in envoy.tries.iter_mut().chain(&mut heddle.tries) {
            seen.headers.retain(|(name, _)| name != "te");
        }
    }
}

fn forwarded_proto(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    if has(case, "x-forwarded-proto", "https") {
        for seen in envoy.tries.iter_mut().chain(&mut heddle.tries) {
            seen.headers.retain(|(name, _)| name != "x-forwarded-proto");
        }
    }
}

fn grpc_own_answer(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let is_own = |outcome: &Outcome| outcome.tries.is_empty();
    if has(case, "content-type", "application/grpc") && is_own(envoy) && is_own(heddle) {
        *envoy = heddle.clone();
    }
}

fn upgrade_list(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let wanted = case.headers.iter().filter(|(name, _)| *name == "upgrade");
    // For a gRPC request the 403 is said as PERMISSION_DENIED.
    let forbidden = envoy.answer.status == 403 || header(envoy, "grpc-status") == Some("7");
    if wanted.count() > 1 && is_refused(envoy) && forbidden {
        *envoy = heddle.clone();
    }
}

fn upgrade_http2(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let refused = is_refused(envoy) && is_refused(heddle) && heddle.answer.status == 400;
    if has(case, "upgrade", "websocket") && refused && matches!(envoy.answer.status, 502 | 503) {
        envoy.answer.status = 400;
    }
}

fn reset_tried_again(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let is_idempotent = !matches!(case.method, "POST" | "PATCH" | "PURGE");
    if has(case, "x-ask", "reset") && is_idempotent {
        sent_again_at_once(case, envoy, heddle);
    }
}

fn refused_tried_again(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    if has(case, "x-ask", "refuse") {
        sent_again_at_once(case, envoy, heddle);
    }
}

/// The node proxy has sent what has no body once more without being told, where Envoy was left without an answer.
fn sent_again_at_once(case: &Case, envoy: &Outcome, heddle: &mut Outcome) {
    let is_bodiless = matches!(case.body, Body::None | Body::Sized(0));
    let more = heddle.tries.len() > envoy.tries.len()
        && heddle.tries.get(..envoy.tries.len()) == Some(&envoy.tries);
    if is_bodiless && more && header(envoy, "x-backend").is_none() {
        *heddle = envoy.clone();
    }
}

fn slow_upload(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let in_upload = heddle.tries.iter().any(|seen| seen.body.is_none());
    if case.pauses && (heddle.answer.status == 504 || in_upload) {
        *envoy = heddle.clone();
    }
}

fn equal_lengths(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let twice = case
        .flaw
        .starts_with("content-length: 0\r\ncontent-length: 0");
    if twice && is_refused(envoy) {
        *envoy = heddle.clone();
    }
}

fn upgrade_as_request(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let backends = |outcome: &Outcome| -> Vec<_> {
        outcome
            .tries
            .iter()
            .map(|seen| (seen.backend, seen.target.clone()))
            .collect()
    };
    let same = envoy.answer.status == heddle.answer.status && backends(envoy) == backends(heddle);
    if !has(case, "upgrade", "websocket") {
        return;
    }
    let declined = same && envoy.answer.status != 101;
    let once = heddle.tries.len() == 1 && envoy.tries.len() > 1;
    if declined || once || case.body != Body::None || case.protocol == Protocol::Http10 {
        *envoy = heddle.clone();
    }
    let nominated = has(case, "connection", "x-match");
    for seen in envoy.tries.iter_mut().chain(&mut heddle.tries) {
        seen.headers
            .retain(|(name, _)| name != "connection" && !(nominated && name == "x-match"));
    }
}

fn encoded_query(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    if case.target.contains("?q=%31") {
        *envoy = heddle.clone();
    }
}

fn repeated_header(case: &Case, envoy: &mut Outcome, heddle: &mut Outcome) {
    let lines = case
        .headers
        .iter()
        .filter(|(name, _)| *name == "x-match" || *name == "X-Match");
    if lines.count() > 1 {
        *envoy = heddle.clone();
    }
}
