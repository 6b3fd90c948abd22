//! Answers that the proxy gives itself.

use heddle_telemetry::ResponseFlag;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

use crate::{Body, empty, text};

/// The status that stands for a failure (Envoy's, where Envoy has the reason).
pub(crate) fn status_of(flag: ResponseFlag) -> StatusCode {
    use ResponseFlag as F;
    match flag {
        F::NoRoute => StatusCode::NOT_FOUND,
        F::Authorization | F::NetworkPolicy | F::PlaintextRefused | F::OwnPort => {
            StatusCode::FORBIDDEN
        }
        F::ClientProtocolError | F::NotThisPod => StatusCode::BAD_REQUEST,
        F::UpstreamProtocolError => StatusCode::BAD_GATEWAY,
        F::RequestTimeout => StatusCode::GATEWAY_TIMEOUT,
        F::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// Whether a client expects its errors as gRPC statuses (gRPC over HTTP/2: content-type `application/grpc`, `+proto`, ...).
/// The field has one line (RFC 9110 section 8.3); several say nothing certain, and no gRPC client sends them.
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else {
        return false;
    };
    let rest = only.as_bytes().strip_prefix(b"application/grpc");
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// An answer of our own: a plain text, or for a gRPC client a response that consists of trailers only.
pub(crate) fn answer(status: StatusCode, message: &str, grpc: bool) -> Response<Body> {
    if grpc {
        return grpc_answer(status, message);
    }
    let mut response = Response::new(if message.is_empty() {
        empty()
    } else {
        text(format!("{message}\n"))
    });
    *response.status_mut() = status;
    if !message.is_empty() {
        response.headers_mut().insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
    }
    response
}

fn grpc_answer(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(empty());
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/grpc"),
    );
    headers.insert("grpc-status", HeaderValue::from_static(grpc_status(status)));
    if let Ok(message) = HeaderValue::from_str(&percent_encoded(message)) {
        headers.insert("grpc-message", message);
    }
    response
}

/// From HTTP to gRPC (gRPC's document `http-grpc-status-mapping`).
fn grpc_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502 | 503 | 504 => "14",
        _ => "2",
    }
}

/// As gRPC writes `grpc-message`: everything but visible ASCII and `%` as is.
fn percent_encoded(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}
