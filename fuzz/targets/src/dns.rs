//! What pods send to port 53.

use std::{net::Ipv4Addr, sync::Arc};

use heddle_config::{Cluster, ClusterKind, DnsAnswer, DnsRecord, ProxyConfig, UpstreamHttp};
use heddle_dns::{Outcome, Zone, answer};
use hickory_proto::op::Message;

/// One message: whatever it asks, the answer says which question it is for, and what is written of it can be read again.
pub fn dns_message(bytes: &[u8]) {
    let Ok(query) = Message::from_vec(bytes) else {
        return;
    };
    let zone = Zone::new("cluster.local");
    let (Outcome::Local(response)
    | Outcome::Alias {
        message: response, ..
    }) = answer(&query, &configuration(), &zone)
    else {
        return;
    };
    assert_eq!(response.metadata.id, query.metadata.id);
    if let Ok(written) = response.to_vec() {
        let read = Message::from_vec(&written);
        assert!(read.is_ok(), "what was written cannot be read: {read:?}");
    }
}

/// A ClusterIP Service with a port, and an ExternalName: `cart.shop` and `db.shop`.
fn configuration() -> ProxyConfig {
    let mut config = ProxyConfig::default();
    let mut add = |name: &str, answer| {
        let name: Arc<str> = format!("{name}.svc.cluster.local").into();
        let record = DnsRecord {
            name: Arc::clone(&name),
            answer,
        };
        config.dns.insert(name, Arc::new(record));
    };
    let address = Ipv4Addr::new(10, 96, 0, 1).into();
    add("cart.shop", DnsAnswer::Addresses(vec![address]));
    let service = DnsAnswer::Service {
        target: "cart.shop.svc.cluster.local".into(),
        port: 80,
    };
    add("_http._tcp.cart.shop", service);
    add("db.shop", DnsAnswer::Cluster("shop/db".into()));
    let alias = Cluster {
        name: "shop/db".into(),
        kind: ClusterKind::Alias("db.example.com".into()),
        http: UpstreamHttp::AsClient,
        connect_timeout: std::time::Duration::from_secs(1),
        tls: heddle_config::ClusterTls::None,
    };
    config.clusters.insert("shop/db".into(), Arc::new(alias));
    config
}
