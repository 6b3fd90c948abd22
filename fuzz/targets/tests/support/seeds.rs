//! Valid messages: what the code itself writes.

use std::{fs, path::Path, sync::Arc};

use heddle_identity::TrustDomain;
use heddle_model::MtlsMode;
use heddle_proto::{
    Message as _, Update,
    envoy::service::discovery::v3::{DeltaDiscoveryResponse, Resource},
    google::protobuf::Any,
    type_url,
};
use heddle_resolve::{Settings, resolve};
use heddle_resources::{Cluster, Header, Object};
use heddle_snapshot::Snapshot;
use hickory_proto::{
    op::{Message, Query},
    rr::{Name, RecordType},
};
use serde_json::Value;

const ROOTS: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// The lesson, as the control plane writes it.
fn lesson() -> Arc<Snapshot> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/lesson");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the lesson")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    paths.sort();
    let mut cluster = Cluster::default();
    for path in paths {
        let text = fs::read_to_string(&path).expect("readable");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("YAML");
        for document in documents.into_iter().filter(|document| !document.is_null()) {
            let Ok(Header::Ours(id)) = Header::read(&document) else {
                panic!("{} has something else in it", path.display());
            };
            cluster.insert(Object::parse(id.kind, document).expect("a valid object"));
        }
    }
    let settings = Settings {
        trust_domain: TrustDomain::new("cluster.local").expect("a trust domain"),
        cluster_domain: "cluster.local".into(),
        mtls: MtlsMode::Permissive,
    };
    heddle_translate::translate(&resolve(&cluster, &settings).mesh, ROOTS)
}

/// A snapshot's resources of one type: name, version, body.
fn resources(snapshot: &Snapshot, type_url: &str) -> Vec<(String, String, Any)> {
    let resources = snapshot.types.get(type_url);
    resources
        .into_iter()
        .flat_map(|resources| resources.values())
        .map(|resource| {
            let body = Any::decode(&resource.any[..]).expect("an Any");
            let version = resource.version.as_str().to_owned();
            (resource.name.to_string(), version, body)
        })
        .collect()
}

fn bodies(snapshot: &Snapshot, type_url: &str) -> Vec<Vec<u8>> {
    let resources = resources(snapshot, type_url);
    resources
        .into_iter()
        .map(|(_, _, body)| body.value)
        .collect()
}

fn responses(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let response = |type_url: &&str| {
        let resource = |(name, version, body)| Resource {
            name,
            version,
            resource: Some(body),
            ..Resource::default()
        };
        let resources = resources(snapshot, type_url).into_iter().take(6);
        let response = DeltaDiscoveryResponse {
            type_url: (*type_url).to_owned(),
            nonce: "1".to_owned(),
            resources: resources.map(resource).collect(),
            removed_resources: vec!["gone".to_owned()],
            ..DeltaDiscoveryResponse::default()
        };
        response.encode_to_vec()
    };
    type_url::PUSH_ORDER.iter().map(response).collect()
}

/// The content of files, without their head: the target makes one that fits.
fn files(snapshot: &Snapshot) -> Vec<Vec<u8>> {
    let file = |type_url: &&str| {
        let update = Update {
            type_url: (*type_url).to_owned(),
            resources: resources(snapshot, type_url).into_iter().take(6).collect(),
            removed: Vec::new(),
        };
        let head = heddle_config::last_good::encode(&[]).len();
        heddle_config::last_good::encode(&[update]).split_off(head)
    };
    type_url::PUSH_ORDER.iter().map(file).collect()
}

fn queries() -> Vec<Vec<u8>> {
    let names = [
        ("cart.shop.svc.cluster.local.", RecordType::A),
        ("_http._tcp.cart.shop.svc.cluster.local.", RecordType::SRV),
        ("db.shop.svc.cluster.local.", RecordType::AAAA),
        ("dns-version.cluster.local.", RecordType::TXT),
        ("1.0.96.10.in-addr.arpa.", RecordType::PTR),
        ("example.com.", RecordType::ANY),
    ];
    let query = |(name, kind): (&str, _)| {
        let mut query = Message::query();
        query.metadata.id = 7;
        query.add_query(Query::query(Name::from_ascii(name).expect("a name"), kind));
        query.to_vec().expect("a message")
    };
    names.map(query).into()
}

fn requests() -> Vec<Vec<u8>> {
    let request = |identity: &str, algorithm| {
        let key = rcgen::KeyPair::generate_for(algorithm).expect("a key");
        let mut params = rcgen::CertificateParams::default();
        let uri = identity.try_into().expect("ASCII");
        params.subject_alt_names = vec![rcgen::SanType::URI(uri)];
        let request = params.serialize_request(&key).expect("a request");
        [
            request.pem().expect("PEM").into_bytes(),
            request.der().to_vec(),
        ]
    };
    let mut all = Vec::new();
    all.extend(request(
        "spiffe://cluster.local/ns/shop/sa/cart",
        &rcgen::PKCS_ECDSA_P256_SHA256,
    ));
    all.extend(request(
        "spiffe://cluster.local/ns/shop/sa/web",
        &rcgen::PKCS_ED25519,
    ));
    all
}

/// An HTTP/2 frame (RFC 9113 section 4.1).
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW: u8 = 8;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;

/// `:method CONNECT` and `:authority` as literals (RFC 7541 section 6.2.2).
fn connect(authority: &str) -> Vec<u8> {
    let mut block = vec![0x02, 7];
    block.extend(b"CONNECT");
    block.extend([0x01, authority.len() as u8]);
    block.extend(authority.as_bytes());
    block
}

fn of_clients() -> Vec<Vec<u8>> {
    let open = frame(HEADERS, END_HEADERS, 1, &connect("10.1.0.9:80"));
    let refused = frame(HEADERS, END_HEADERS, 3, &connect("10.1.0.9:81"));
    vec![
        [
            frame(SETTINGS, ACK, 0, &[]),
            open.clone(),
            frame(DATA, END_STREAM, 1, b"hello"),
        ]
        .concat(),
        [
            open.clone(),
            refused,
            frame(RESET, 0, 1, &8_u32.to_be_bytes()),
            frame(PING, 0, 0, b"12345678"),
        ]
        .concat(),
        [
            open,
            frame(WINDOW, 0, 1, &[0, 1, 0, 0]),
            frame(GOAWAY, 0, 0, &[0; 8]),
        ]
        .concat(),
    ]
}

fn of_servers() -> Vec<Vec<u8>> {
    // `:status 200` and `:status 404` from the static table.
    let accepted = frame(HEADERS, END_HEADERS, 1, &[0x88]);
    let refused = frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0x8d]);
    vec![
        [
            frame(SETTINGS, ACK, 0, &[]),
            accepted.clone(),
            frame(DATA, END_STREAM, 1, b"hello"),
        ]
        .concat(),
        [frame(SETTINGS, ACK, 0, &[]), refused].concat(),
        [
            accepted,
            frame(DATA, 0, 1, b"hel"),
            frame(RESET, 0, 1, &8_u32.to_be_bytes()),
            frame(GOAWAY, 0, 0, &[0; 8]),
        ]
        .concat(),
    ]
}

fn http1() -> Vec<Vec<u8>> {
    [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nabcdGET /2 HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;x=y\r\nabcde\r\n0\r\nt: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn http1_responses() -> Vec<Vec<u8>> {
    [
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 200 Fine\r\ntransfer-encoding: chunked\r\ntrailer: t\r\n\r\n5;x=y\r\nabcde\r\n0A\r\n0123456789\r\n0\r\nt: 1\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\netag: a\r\n\r\n",
        "HTTP/1.0 200 OK\r\nx: 1\r\nx: 2\r\n\r\nto the end",
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ]
    .map(|text| text.as_bytes().to_vec())
    .into()
}

fn first_words() -> Vec<Vec<u8>> {
    let mut words = http1();
    let others = [
        "EHLO example.com\r\n",
        "SET a b\r\n",
        "SSH-2.0-x\r\n",
        "PRI ",
    ];
    words.extend(others.map(|text| text.as_bytes().to_vec()));
    words
}

/// Valid inputs of a target.
pub(crate) fn seeds(target: &str) -> Vec<Vec<u8>> {
    match target {
        "certificate_request" => requests(),
        "config_address_set" => bodies(&lesson(), type_url::ADDRESS_SET),
        "config_cluster" => bodies(&lesson(), type_url::CLUSTER),
        "config_dns_table" => bodies(&lesson(), type_url::DNS_TABLE),
        "config_listener" => bodies(&lesson(), type_url::LISTENER),
        "config_load_assignment" => bodies(&lesson(), type_url::CLUSTER_LOAD_ASSIGNMENT),
        "config_route_configuration" => bodies(&lesson(), type_url::ROUTE_CONFIGURATION),
        "config_trust_bundle" => bodies(&lesson(), type_url::SECRET),
        "config_workload" => bodies(&lesson(), type_url::WORKLOAD),
        "dns_message" => queries(),
        "hbone_client" => of_servers(),
        "hbone_server" => of_clients(),
        "http1_framing" | "http1_request" => http1(),
        "http1_response" => http1_responses(),
        "last_good" => files(&lesson()),
        "protocol_detection" => first_words(),
        "tls_messages" => vec![
            vec![24, 0, 0, 1, 0],
            [&[4, 0, 0, 9][..], b"a ticket.", &[24, 0, 0, 1, 1]].concat(),
        ],
        "spiffe_id" => vec![b"spiffe://cluster.local/ns/shop/sa/cart".to_vec()],
        "xds_session" => responses(&lesson()),
        other => panic!("no seeds for {other}"),
    }
}
