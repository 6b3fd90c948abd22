use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

use super::world::*;

/// Greets, then repeats.
fn greeter() -> Upstream {
    Upstream::absent().connections(|mut io| async move {
        io.write_all(b"220 hello\r\n").await.unwrap();
        let (mut reader, mut writer) = tokio::io::split(io);
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
    })
}

fn parrot() -> Upstream {
    Upstream::absent().connections(|io| async move {
        let (mut reader, mut writer) = tokio::io::split(io);
        let _ = tokio::io::copy(&mut reader, &mut writer).await;
        let _ = writer.shutdown().await;
    })
}

#[tokio::test(start_paused = true)]
async fn a_server_that_speaks_first_is_not_delayed() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let began = Instant::now();
        let mut client = world.open(SERVICE, &greeter());
        expect(&mut client, b"220 hello\r\n").await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        expect(&mut client, b"GET / HTTP/1.1\r\n\r\n").await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http_is_routed_even_before_the_server_is_connected() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let upstream = http_upstream()
            .connections(|_| async {})
            .slowly(Duration::from_secs(3));
        let began = Instant::now();
        let mut client = http1(world.open(SERVICE, &upstream)).await;
        let answer = client.send_request(get("/a")).await.unwrap();
        assert_eq!(text_of(answer).await, "HTTP/1.1 GET /a");
        assert_eq!(began.elapsed(), Duration::ZERO);
        let mut client = http2(world.open(SERVICE, &upstream)).await;
        let request = http::Request::get("http://cart/b")
            .body(heddle_filters::empty())
            .unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(text_of(answer).await, "HTTP/2.0 GET /b");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn http_in_pieces_is_still_http() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let upstream = http_upstream().connections(|io| async move {
            let _open = io;
            std::future::pending().await
        });
        let mut client = world.open(SERVICE, &upstream);
        for piece in [
            "G",
            "ET",
            " ",
            "/slow HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        ] {
            client.write_all(piece.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!(rest(client).await.contains("HTTP/1.1 GET /slow"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_bytes_go_to_the_server_as_they_are() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let upstream = parrot();
        let mut client = world.open(SERVICE, &upstream);
        client.write_all(b"PING\r\n").await.unwrap();
        expect(&mut client, b"PING\r\n").await;
        client.shutdown().await.unwrap();
        assert_eq!(rest(client).await, "");
        assert_eq!(upstream.requests.get(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_waited_for_only_a_moment_and_may_speak_later() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let connected = std::rc::Rc::new(std::cell::Cell::new(None));
        let when = std::rc::Rc::clone(&connected);
        // Speaks only once it was spoken to, or closes after 100 ms of silence.
        let upstream = Upstream::absent().connections(move |mut io| {
            when.set(Some(Instant::now()));
            async move {
                let mut byte = [0];
                io.read_exact(&mut byte).await.unwrap();
                io.write_all(&byte).await.unwrap();
            }
        });
        let mut client = world.open(SERVICE, &upstream);
        tokio::time::sleep(Duration::from_millis(200)).await;
        // Decided already: now it is bytes, whatever they look like.
        client.write_all(b"G").await.unwrap();
        expect(&mut client, b"G").await;
        assert!(connected.get().is_some());
        assert_eq!(upstream.requests.get(), 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_server_http_gets_an_answer_and_silence_an_end() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = exchange(world.open(SERVICE, &Upstream::absent()), request).await;
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        let began = Instant::now();
        assert_eq!(rest(world.open(SERVICE, &Upstream::absent())).await, "");
        assert_eq!(began.elapsed(), Duration::from_millis(50));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_closes_gets_its_servers_last_words() {
    worker(async {
        let world = World::new();
        world.detected_service();
        let upstream = Upstream::absent().connections(|mut io| async move {
            io.read_to_end(&mut Vec::new()).await.unwrap();
            io.write_all(b"bye").await.unwrap();
        });
        let mut client = world.open(SERVICE, &upstream);
        client.shutdown().await.unwrap();
        assert_eq!(rest(client).await, "bye");
    })
    .await;
}
