use bytes::Bytes;
use heddle_filters::boxed;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::world::*;

#[tokio::test]
async fn http1_and_http2_are_served_on_one_port() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream();
        let mut old = http1(world.open(SERVICE, &upstream)).await;
        for _ in 0..3 {
            old.ready().await.unwrap();
            let answer = old.send_request(get("/a")).await.unwrap();
            assert_eq!(text_of(answer).await, "HTTP/1.1 GET /a");
        }
        let mut new = http2(world.open(SERVICE, &upstream)).await;
        let (one, two) = (
            new.clone().send_request(get("http://x/b")),
            new.send_request(get("http://x/c")),
        );
        let (one, two) = tokio::join!(one, two);
        // Names of two hosts in one request are refused.
        assert_eq!(one.unwrap().status(), 400);
        assert_eq!(two.unwrap().status(), 400);
        let plain = Request::get("http://x/b")
            .body(heddle_filters::empty())
            .unwrap();
        assert_eq!(
            text_of(new.send_request(plain).await.unwrap()).await,
            "HTTP/2.0 GET /b"
        );
    })
    .await;
}

#[tokio::test]
async fn an_old_client_gets_an_answer_that_ends_with_the_connection() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            let frames =
                ["a", "b"].map(|text| Ok::<_, std::io::Error>(Frame::data(Bytes::from(text))));
            Response::new(boxed(StreamBody::new(futures::stream::iter(frames))))
        });
        let answer = exchange(world.open(SERVICE, &upstream), b"GET / HTTP/1.0\r\n\r\n").await;
        assert!(
            answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\nab"), "{answer}");
        assert!(!answer.contains("chunked"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn an_answer_to_head_keeps_its_length_and_has_no_body() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|_| async {
            let mut response = Response::new(heddle_filters::empty());
            response
                .headers_mut()
                .insert("content-length", HeaderValue::from_static("42"));
            response
        });
        let head = b"HEAD / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = exchange(world.open(SERVICE, &upstream), head).await;
        assert!(
            answer.to_lowercase().contains("content-length: 42\r\n"),
            "{answer}"
        );
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
        world.drain.finish(std::time::Duration::MAX).await;
        assert!(world.counted(
            "heddle_http_requests_total{",
            &["code=\"200\"", "flag=\"-\""]
        ));
    })
    .await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_is_told_to_go_on() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|request| async {
            assert!(!request.headers().contains_key("expect"));
            let body = request.into_body().collect().await.unwrap();
            Response::new(heddle_filters::text(body.to_bytes()))
        });
        let mut client = world.open(SERVICE, &upstream);
        let head = b"POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\nconnection: close\r\n\r\n";
        client.write_all(head).await.unwrap();
        expect(&mut client, b"HTTP/1.1 100 Continue\r\n\r\n").await;
        client.write_all(b"abc").await.unwrap();
        let answer = rest(client).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("abc"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn trailers_of_grpc_pass() {
    worker(async {
        let world = World::new();
        world.http_service();
        let upstream = http_upstream().requests(|request| async move {
            assert_eq!(request.headers()["te"], "trailers");
            let body = request.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["x-sum"], "1");
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let frames = [
                Ok::<_, std::io::Error>(Frame::data(body.to_bytes())),
                Ok(Frame::trailers(trailers)),
            ];
            Response::new(boxed(StreamBody::new(futures::stream::iter(frames))))
        });
        let mut client = http2(world.open(SERVICE, &upstream)).await;
        let mut sum = HeaderMap::new();
        sum.insert("x-sum", HeaderValue::from_static("1"));
        let frames = [
            Ok::<_, std::io::Error>(Frame::data(Bytes::from("message"))),
            Ok(Frame::trailers(sum)),
        ];
        let request = Request::post("http://cart/shop.Cart/Get")
            .header("te", "trailers")
            .header("content-type", "application/grpc")
            .body(boxed(StreamBody::new(futures::stream::iter(frames))))
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        let body = response.into_body().collect().await.unwrap();
        assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
        assert_eq!(body.to_bytes(), "message");
    })
    .await;
}

#[tokio::test]
async fn a_grpc_client_is_told_of_a_failure_in_its_own_way() {
    worker(async {
        let world = World::new();
        world.http_service();
        let mut client = http2(world.open(SERVICE, &Upstream::absent())).await;
        let request = Request::post("http://cart/shop.Cart/Get")
            .header("content-type", "application/grpc")
            .body(heddle_filters::empty())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["grpc-status"], "14");
        assert_eq!(response.headers()["grpc-message"], "nobody is there");
    })
    .await;
}

#[tokio::test]
async fn a_websocket_to_an_application_carries_bytes_both_ways() {
    worker(async {
        let world = World::new();
        world.change_pod(|pod| {
            let http = heddle_config::InboundHttp { forward_identity: true };
            pod.http_ports.insert(8080, http);
        });
        let app = App::new(|mut io| async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 101 X\r\nconnection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: y\r\n\r\n";
            io.write_all(answer).await.unwrap();
            let (mut reader, mut writer) = tokio::io::split(io);
            let _ = tokio::io::copy(&mut reader, &mut writer).await;
            let _ = writer.shutdown().await;
        });
        let mut client = http1(world.arrive(CLIENT, "10.1.0.9:8080", &app)).await;
        let request = Request::get("/chat")
            .header("host", "cart")
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .body(heddle_filters::empty())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "y");
        let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        // Not HTTP any more: what would be an offence there must pass here.
        let frames = b"\r\ncontent-length: 1\r\n transfer-encoding: chunked\r\n\r\n";
        socket.write_all(frames).await.unwrap();
        let mut heard = vec![0; frames.len()];
        socket.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, frames);
        socket.shutdown().await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
        drop((socket, client));
        world.drain.finish(std::time::Duration::MAX).await;
        assert!(world.counted("heddle_http_requests_total{", &["code=\"101\"", "flag=\"-\""]));
    })
    .await;
}
