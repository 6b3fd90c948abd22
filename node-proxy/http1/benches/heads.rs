//! What the head of a message costs to read and to write.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use heddle_http1::{Encoder, Out, request_head, response_head, write_request, write_response};

const SHORT: &str = "GET /bench HTTP/1.1\r\nHost: server.bench\r\nUser-Agent: heddle-bench\r\nAccept: */*\r\nX-Mark: load\r\n\r\n";
/// As a browser sends it.
const LONG: &str = "GET /shop/cart?item=4711&colour=green HTTP/1.1\r\nHost: shop.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\nAccept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.7,de;q=0.3\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nReferer: https://shop.example.com/\r\nDNT: 1\r\nConnection: keep-alive\r\nCookie: session=4d1f6c2e9a7b4c5d8e0f1a2b3c4d5e6f; consent=yes; theme=dark\r\nUpgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Site: same-origin\r\nCache-Control: no-cache\r\n\r\n";
const ANSWER: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("heads");
    for (name, text) in [("4 lines", SHORT), ("14 lines", LONG)] {
        let bytes = Bytes::from_static(text.as_bytes());
        let (head, length) = request_head(&bytes).expect("well formed").expect("whole");
        assert_eq!(length, bytes.len());
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(format!("a request is read, {name}"), |bencher| {
            bencher.iter(|| request_head(black_box(&bytes)));
        });
        group.bench_function(format!("a request is written, {name}"), |bencher| {
            bencher.iter(|| {
                let mut out = Out::default();
                write_request(
                    black_box(&head.method),
                    &head.uri,
                    &head.headers,
                    Encoder::None,
                    &mut out,
                );
                out
            });
        });
    }
    let bytes = Bytes::from_static(ANSWER.as_bytes());
    let (head, length) = response_head(&bytes).expect("well formed").expect("whole");
    group.throughput(Throughput::Bytes(length as u64));
    group.bench_function("an answer is read", |bencher| {
        bencher.iter(|| response_head(black_box(&bytes)));
    });
    group.bench_function("an answer is written", |bencher| {
        bencher.iter(|| {
            let mut out = Out::default();
            let encoder = Encoder::Length(100);
            write_response(
                black_box(head.status),
                None,
                &head.headers,
                encoder,
                &mut out,
            );
            out
        });
    });
    group.finish();
}

criterion_group!(benches, heads);
criterion_main!(benches);
