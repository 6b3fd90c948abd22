use std::convert::Infallible;

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, spawn_local},
};

use super::{
    super::world::{self, OWN, PEER, worker},
    Mesh, http_app, http1,
};

#[tokio::test]
async fn requests_get_from_pod_to_pod_by_mutual_tls_and_through_a_gateway() {
    worker(async {
        let mesh = Mesh::new(true, http_app).await;
        let told = format!("By={OWN};URI={PEER}");
        for address in [mesh.service, mesh.gateway] {
            let mut client = http1(address).await;
            for _ in 0..3 {
                client.ready().await.unwrap();
                let answer = client.send_request(world::get("/a")).await.unwrap();
                assert_eq!(answer.status(), 200);
                assert_eq!(world::text_of(answer).await, format!("HTTP/1.1 /a {told}"));
            }
        }
        let stream = TcpStream::connect(mesh.service).await.unwrap();
        let executor = heddle_filters::LocalExecutor;
        let (mut client, connection) =
            hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
                .await
                .unwrap();
        spawn_local(connection);
        let request = Request::get("http://cart/b")
            .body(heddle_filters::empty())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(world::text_of(answer).await, format!("HTTP/2.0 /b {told}"));
        drop(client);
        let metrics = mesh.stop().await.encode();
        let seen = |parts: &[&str]| {
            metrics.lines().any(|line| {
                line.starts_with("heddle_http_requests_total{")
                    && parts.iter().all(|part| line.contains(part))
            })
        };
        assert!(seen(&[
            "reporter=\"source\"",
            "destination_workload=\"cart\"",
            "mtls=\"true\"",
            "flag=\"-\""
        ]));
        assert!(seen(&[
            "reporter=\"destination\"",
            "mtls=\"true\"",
            "code=\"200\""
        ]));
    })
    .await;
}

fn parrot_app(mut stream: TcpStream) -> JoinHandle<()> {
    spawn_local(async move {
        let (mut reader, mut writer) = stream.split();
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    })
}

#[tokio::test]
async fn bytes_get_from_pod_to_pod_and_end_in_each_direction_by_itself() {
    worker(async {
        let mesh = Mesh::new(false, parrot_app).await;
        let mut client = TcpStream::connect(mesh.service).await.unwrap();
        let data: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (mut reader, mut writer) = client.split();
        let mut heard = Vec::new();
        let (sent, received) = tokio::join!(
            async {
                writer.write_all(&data).await?;
                writer.shutdown().await
            },
            reader.read_to_end(&mut heard)
        );
        sent.unwrap();
        received.unwrap();
        assert_eq!(heard, data);
        mesh.stop().await;
    })
    .await;
}

fn greeting_app(mut stream: TcpStream) -> JoinHandle<()> {
    spawn_local(async move {
        let _ = stream.write_all(b"220 hello\r\n").await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    })
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard() {
    worker(async {
        let mesh = Mesh::new(false, greeting_app).await;
        let mut client = TcpStream::connect(mesh.service).await.unwrap();
        let mut greeting = [0; 11];
        client.read_exact(&mut greeting).await.unwrap();
        assert_eq!(&greeting, b"220 hello\r\n");
        drop(client);
        mesh.stop().await;
    })
    .await;
}

fn websocket_app(mut stream: TcpStream) -> JoinHandle<()> {
    spawn_local(async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let answer = b"HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
        stream.write_all(answer).await.unwrap();
        parrot_app(stream);
    })
}

#[tokio::test]
async fn a_websocket_gets_through_both_proxies() {
    worker(async {
        let mesh = Mesh::new(true, websocket_app).await;
        let mut client = http1(mesh.service).await;
        let request = Request::get("/chat")
            .header("host", "cart")
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .body(heddle_filters::empty())
            .unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), 101);
        let mut socket = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        socket.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        socket.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
        socket.shutdown().await.unwrap();
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0);
        drop((socket, client));
        mesh.stop().await;
    })
    .await;
}

/// Answers each request with its body and, as gRPC does, with the status behind it.
fn grpc_app(stream: TcpStream) -> JoinHandle<()> {
    let service = service_fn(|request: Request<Incoming>| async move {
        let asked = request.into_body().collect().await.unwrap();
        assert_eq!(asked.trailers().unwrap()["x-sum"], "1");
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let frames = [
            Ok::<_, Infallible>(Frame::data(asked.to_bytes())),
            Ok(Frame::trailers(trailers)),
        ];
        let body = StreamBody::new(futures::stream::iter(frames));
        let mut response = Response::new(body);
        let kind = HeaderValue::from_static("application/grpc");
        response.headers_mut().insert("content-type", kind);
        Ok::<_, Infallible>(response)
    });
    spawn_local(async move {
        let builder = hyper::server::conn::http2::Builder::new(heddle_filters::LocalExecutor);
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
}

#[tokio::test]
async fn grpc_gets_through_with_its_trailers_from_pods_and_gateways() {
    worker(async {
        let mesh = Mesh::new(true, grpc_app).await;
        for address in [mesh.service, mesh.gateway] {
            let stream = TcpStream::connect(address).await.unwrap();
            let executor = heddle_filters::LocalExecutor;
            let (mut client, connection) =
                hyper::client::conn::http2::handshake(executor, TokioIo::new(stream))
                    .await
                    .unwrap();
            spawn_local(connection);
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("1"));
            let frames = [
                Ok::<_, Infallible>(Frame::data(bytes::Bytes::from_static(b"hello"))),
                Ok(Frame::trailers(trailers)),
            ];
            let request = Request::post("http://cart/shop.Cart/Get")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(StreamBody::new(futures::stream::iter(frames)))
                .unwrap();
            let response = client.send_request(request).await.unwrap();
            assert_eq!(response.headers()["content-type"], "application/grpc");
            let body = response.into_body().collect().await.unwrap();
            assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
            assert_eq!(body.to_bytes(), "hello");
        }
        mesh.stop().await;
    })
    .await;
}

/// Answers with the request's body as it comes.
fn mirror_app(stream: TcpStream) -> JoinHandle<()> {
    let service = service_fn(|request: Request<Incoming>| async move {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    spawn_local(async move {
        let builder = hyper_util::server::conn::auto::Builder::new(heddle_filters::LocalExecutor);
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    })
}

#[tokio::test]
async fn what_is_under_way_ends_well_while_the_whole_proxy_drains() {
    worker(async {
        let mesh = Mesh::new(true, mirror_app).await;
        let stream = TcpStream::connect(mesh.service).await.unwrap();
        let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        spawn_local(connection);
        let (more, rest) = futures::channel::mpsc::unbounded();
        let say = |text: &'static str| {
            let frame = Frame::data(bytes::Bytes::from_static(text.as_bytes()));
            more.unbounded_send(Ok::<_, Infallible>(frame)).unwrap();
        };
        let request = Request::post("/")
            .header("host", "cart")
            .body(StreamBody::new(rest))
            .unwrap();
        say("before, ");
        let mut response = client.send_request(request).await.unwrap();
        let first = response.body_mut().frame().await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "before, ");
        let service = mesh.service;
        let stopping = spawn_local(mesh.stop());
        // Nobody new is taken, through none of the doors.
        while TcpStream::connect(service).await.is_ok() {
            tokio::task::yield_now().await;
        }
        say("after");
        drop(more);
        let rest = response.into_body().collect().await.unwrap();
        assert_eq!(rest.to_bytes(), "after");
        drop(client);
        stopping.await.unwrap();
    })
    .await;
}
