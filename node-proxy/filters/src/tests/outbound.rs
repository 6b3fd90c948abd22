use std::sync::Arc;

use heddle_routing::{
    Action, DirectResponse, HeaderOp, HeaderOps, PathRewrite, Redirect, RedirectPath,
    WeightedClusters,
};
use heddle_telemetry::{Direction, ResponseFlag};
use http::{HeaderName, HeaderValue, Request, Version};
use http_body::Frame;
use http_body_util::StreamBody;

use super::world::*;
use crate::{Failure, boxed, outbound};

fn append(name: &'static str, value: &'static str) -> HeaderOp {
    HeaderOp::Append(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )
}

#[tokio::test]
async fn a_request_is_sent_to_the_routes_cluster_with_an_absolute_uri() {
    let script = Script::default().answers(200, "hello");
    let world = World::new(
        vec![route(prefix("/"), Action::Forward(forward().into()))],
        &script,
    );
    let answer = world.ask(get("/a?b=c")).await;
    assert_eq!((answer.status, answer.body.as_deref()), (200, Ok("hello")));
    let seen = script.seen.borrow();
    assert_eq!(&*seen[0].cluster, "shop/cart:80");
    assert_eq!(seen[0].head.uri, "http://cart/a?b=c");
    assert_eq!(seen[0].head.headers["x-forwarded-for"], "10.1.0.5");
    assert!(world.counted(200, "-"));
}

#[tokio::test]
async fn without_a_route_the_answer_is_404() {
    let script = Script::default();
    let world = World::new(
        vec![route(prefix("/a"), Action::Forward(forward().into()))],
        &script,
    );
    assert_eq!(world.ask(get("/b")).await.status, 404);
    assert!(world.counted(404, "NR"));
}

#[tokio::test]
async fn connect_and_requests_without_host_are_refused() {
    let world = World::new(vec![], &Script::default());
    let connect = Request::connect("cart:80").body(crate::empty()).unwrap();
    assert_eq!(world.ask(connect).await.status, 400);
    let nameless = Request::get("/").body(crate::empty()).unwrap();
    assert_eq!(world.ask(nameless).await.status, 400);
}

#[tokio::test]
async fn a_target_that_is_a_host_alone_or_of_another_scheme_is_refused() {
    let script = Script::default().answers(200, "");
    let world = World::new(
        vec![route(prefix("/"), Action::Forward(forward().into()))],
        &script,
    );
    for target in ["other", "other:80", "ftp://cart/"] {
        let request = Request::get(target).header("host", "cart");
        let request = request.body(crate::empty()).unwrap();
        assert_eq!(world.ask(request).await.status, 400, "{target}");
    }
    assert!(script.seen.borrow().is_empty());
}

#[tokio::test]
async fn a_direct_response_and_a_redirect_are_answered_at_once() {
    let teapot = Action::Respond(DirectResponse {
        status: 418,
        body: "short and stout".into(),
    });
    let moved = Action::Redirect(Redirect {
        scheme: Some("https".into()),
        host: Some("new.example".into()),
        port: None,
        path: Some(RedirectPath::Prefix("/new".into())),
        status: 301,
        strip_query: false,
    });
    let mut first = route(prefix("/tea"), teapot);
    first.response_headers = HeaderOps(vec![append("x-by", "route")]);
    let world = World::new(
        vec![first, route(prefix("/old"), moved)],
        &Script::default(),
    );
    let answer = world.ask(get("/tea")).await;
    assert_eq!(
        (answer.status, answer.body.as_deref()),
        (418, Ok("short and stout"))
    );
    assert_eq!(answer.headers["x-by"], "route");
    let answer = world.ask(get("/old/x?q")).await;
    assert_eq!(answer.status, 301);
    assert_eq!(answer.headers["location"], "https://new.example/new/x?q");
}

#[tokio::test]
async fn headers_change_by_cluster_then_by_route_and_host_and_path_are_rewritten() {
    let script = Script::default().answers(200, "");
    let mut cluster = share(Some("shop/cart-v2:80"), 1);
    cluster.request_headers = HeaderOps(vec![append("x-order", "cluster")]);
    cluster.response_headers = HeaderOps(vec![append("x-order", "cluster")]);
    let mut action = forward();
    action.clusters = WeightedClusters::new(vec![cluster]).unwrap();
    action.path_rewrite = Some(PathRewrite::Prefix("/v2".into()));
    action.host_rewrite = Some("v2.example".into());
    let mut route = route(prefix("/api"), Action::Forward(action.into()));
    route.request_headers = HeaderOps(vec![
        append("x-order", "route"),
        HeaderOp::Set(http::header::HOST, HeaderValue::from_static("evil")),
    ]);
    route.response_headers = HeaderOps(vec![append("x-order", "route")]);
    let world = World::new(vec![route], &script);
    let answer = world.ask(get("/api/x?y=z")).await;
    let seen = script.seen.borrow();
    assert_eq!(seen[0].head.uri, "http://v2.example/v2/x?y=z");
    assert_eq!(seen[0].head.headers["host"], "v2.example");
    let values = |headers: &http::HeaderMap| -> Vec<String> {
        headers
            .get_all("x-order")
            .iter()
            .map(|v| v.to_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(values(&seen[0].head.headers), ["cluster", "route"]);
    assert_eq!(values(&answer.headers), ["cluster", "route"]);
}

#[tokio::test]
async fn weights_split_the_requests_and_a_missing_backends_share_is_500() {
    let mut script = Script::default();
    let mut action = forward();
    action.clusters = WeightedClusters::new(vec![
        share(Some("a"), 1),
        share(Some("b"), 1),
        share(Some("never"), 0),
        share(None, 2),
    ])
    .unwrap();
    for _ in 0..400 {
        script = script.answers(200, "");
    }
    let world = World::new(
        vec![route(prefix("/"), Action::Forward(action.into()))],
        &script,
    );
    let mut failed = 0;
    for _ in 0..400 {
        let status = world.ask(get("/")).await.status;
        assert!(matches!(status, 200 | 500));
        failed += usize::from(status == 500);
    }
    let seen = script.seen.borrow();
    let to = |name| seen.iter().filter(|seen| &*seen.cluster == name).count();
    assert_eq!(to("never"), 0);
    assert_eq!(to("a") + to("b") + failed, 400);
    // Four beginnings by chance (`spread::Sequence`: one every 128 numbers), of which each may bring two too many or too few.
    for (got, wanted) in [(to("a"), 100), (to("b"), 100), (failed, 200)] {
        assert!(usize::abs_diff(got, wanted) <= 8, "{got} of {wanted}");
    }
}

#[tokio::test]
async fn failures_become_statuses_with_the_reason_and_a_flag() {
    for (flag, status, short) in [
        (ResponseFlag::NoHealthyEndpoint, 503, "UH"),
        (ResponseFlag::ConnectFailure, 503, "UF"),
        (ResponseFlag::ConnectionTermination, 503, "UC"),
        (ResponseFlag::UpstreamProtocolError, 502, "UPE"),
        (ResponseFlag::NetworkPolicy, 403, "NETPOL"),
        (ResponseFlag::IdentityUnavailable, 503, "NOID"),
    ] {
        let script = Script::default().fails(Failure::new(flag, "because"));
        let world = World::new(
            vec![route(prefix("/"), Action::Forward(forward().into()))],
            &script,
        );
        let answer = world.ask(get("/")).await;
        assert_eq!(
            (answer.status, answer.body.as_deref()),
            (status, Ok("because\n"))
        );
        assert!(world.counted(status, short), "{short}");
    }
}

#[tokio::test]
async fn an_answer_of_the_proxys_own_gets_the_routes_header_changes() {
    let refused = Failure::new(ResponseFlag::ConnectFailure, "because");
    let script = Script::default().fails(refused);
    let mut route = route(prefix("/"), Action::Forward(forward().into()));
    route.response_headers = HeaderOps(vec![append("x-order", "route")]);
    let world = World::new(vec![route], &script);
    let answer = world.ask(get("/")).await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.headers["x-order"], "route");
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let trailers = |name: &'static str| {
        let mut map = http::HeaderMap::new();
        map.insert(name, HeaderValue::from_static("1"));
        let frames = [
            Ok::<_, std::io::Error>(Frame::data("x".into())),
            Ok(Frame::trailers(map)),
        ];
        boxed(StreamBody::new(futures::stream::iter(frames)))
    };
    let script = Script::default();
    let seen = Arc::new(std::sync::Mutex::new(None));
    let kept = Arc::clone(&seen);
    let script = script.then(Box::new(move |request| {
        Box::pin(async move {
            use http_body_util::BodyExt;
            let body = request.into_body().collect().await.unwrap();
            *kept.lock().unwrap() = body.trailers().cloned();
            Ok(answer(200, trailers("grpc-status")))
        })
    }));
    let world = World::new(
        vec![route(prefix("/"), Action::Forward(forward().into()))],
        &script,
    );
    let mut request = get("/");
    *request.body_mut() = trailers("x-sum");
    let response = outbound(&world.context, request).await;
    let body = http_body_util::BodyExt::collect(response.into_body())
        .await
        .unwrap();
    assert!(body.trailers().unwrap().contains_key("grpc-status"));
    assert!(seen.lock().unwrap().as_ref().unwrap().contains_key("x-sum"));
}

#[tokio::test]
async fn what_concerns_one_connection_is_not_passed_on() {
    let script = Script::default().then(Box::new(|request| {
        Box::pin(async move {
            assert!(!request.headers().contains_key("connection"));
            assert!(!request.headers().contains_key("x-private"));
            assert!(!request.headers().contains_key("expect"));
            assert_eq!(request.version(), Version::HTTP_11);
            let mut answer = answer(200, crate::empty());
            let headers = answer.response.headers_mut();
            headers.insert("connection", HeaderValue::from_static("x-secret"));
            headers.insert("x-secret", HeaderValue::from_static("1"));
            headers.insert("keep-alive", HeaderValue::from_static("1"));
            Ok(answer)
        })
    }));
    let world = World::new(
        vec![route(prefix("/"), Action::Forward(forward().into()))],
        &script,
    );
    let mut request = get("/");
    *request.version_mut() = Version::HTTP_10;
    for (name, value) in [
        ("connection", "x-private"),
        ("x-private", "1"),
        ("expect", "100-continue"),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    let answer = world.ask(request).await;
    assert!(answer.headers.is_empty(), "{:?}", answer.headers);
}

#[tokio::test]
async fn a_client_that_goes_away_is_recorded_as_such() {
    let script = Script::default().hangs();
    let world = World::new(
        vec![route(prefix("/"), Action::Forward(forward().into()))],
        &script,
    );
    {
        let asking = outbound(&world.context, get("/"));
        futures::pin_mut!(asking);
        assert!(futures::poll!(asking.as_mut()).is_pending());
    }
    assert!(world.counted(0, "DC"));
}

#[tokio::test]
async fn a_removed_route_table_is_no_route_and_a_new_one_counts_for_the_next_request() {
    let script = Script::default().answers(200, "");
    let shared = config(vec![]);
    let world = World::of(Arc::clone(&shared), &script, Direction::Gateway);
    assert_eq!(world.ask(get("/")).await.status, 404);
    shared.store(config(vec![route(prefix("/"), Action::Forward(forward().into()))]).load_full());
    assert_eq!(world.ask(get("/")).await.status, 200);
}
