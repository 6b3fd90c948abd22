//! Whose a token is.

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use heddle_xds_server::{AuthError, Authenticate, NodeIdentity, Token};
use serde_json::{Value, json};

use super::{super::Reviews, api::ApiServer};

const USER: &str = "system:serviceaccount:heddle-system:heddle-node-proxy";
const NODE: &str = "authentication.kubernetes.io/node-name";
const POD: &str = "authentication.kubernetes.io/pod-name";
const UID: &str = "authentication.kubernetes.io/pod-uid";

fn jwt(payload: &Value) -> Token {
    let payload = URL_SAFE_NO_PAD.encode(payload.to_string());
    Token::new(&format!("e30.{payload}.c2ln"))
}

/// A token of the node proxies that ends so many seconds from now.
fn token(left: i64) -> Token {
    token_of(USER, left)
}

fn token_of(user: &str, left: i64) -> Token {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap();
    let ends = i64::try_from(now.as_secs()).unwrap() + left;
    jwt(&json!({"sub": user, "aud": ["heddle"], "exp": ends}))
}

fn accepted(extra: Value) -> Value {
    accepted_as(USER, extra)
}

fn accepted_as(user: &str, extra: Value) -> Value {
    json!({"authenticated": true, "audiences": ["heddle"], "user": {"username": user, "extra": extra}})
}

fn on_node_a() -> Value {
    accepted(json!({NODE: ["node-a"], POD: ["p"], UID: ["u"]}))
}

fn reviews(review: Value) -> (ApiServer, Reviews) {
    let server = ApiServer::default();
    server.with(|state| state.review = review);
    let node_proxy = "spiffe://cluster.local/ns/heddle-system/sa/heddle-node-proxy";
    let reviews = Reviews::new(server.client(), "heddle", &node_proxy.parse().unwrap());
    (server, reviews)
}

async fn node(reviews: &Reviews, token: &Token) -> Result<String, AuthError> {
    let identity = reviews.authenticate(token).await?;
    Ok(identity.node.to_string())
}

/// How long its token still lasts.
fn left_of(identity: &NodeIdentity) -> Duration {
    let expires = identity.expires.unwrap();
    expires.duration_since(SystemTime::now()).unwrap()
}

#[tokio::test]
async fn the_node_is_the_one_that_the_token_is_bound_to() {
    let (server, reviews) = reviews(on_node_a());
    let identity = reviews.authenticate(&token(3600)).await.unwrap();
    assert_eq!(&*identity.node, "node-a");
    assert!(left_of(&identity) <= Duration::from_secs(3600));
    assert_eq!(server.count("/pods/"), 0);
}

#[tokio::test]
async fn without_a_node_it_is_the_pods() {
    let (server, reviews) = reviews(accepted(json!({POD: ["p"], UID: ["u"]})));
    let path = "/api/v1/namespaces/heddle-system/pods/p";
    assert_eq!(
        node(&reviews, &token(1)).await,
        Err(AuthError::Unknown),
        "there is no such pod"
    );
    let pod = |uid: &str, node: &str| json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "uid": uid}, "spec": {"nodeName": node, "containers": []}});
    let put = |pod: Value| server.with(|state| state.objects.insert(path.to_owned(), pod));
    put(pod("another", "node-b"));
    assert_eq!(node(&reviews, &token(1000)).await, Err(AuthError::Unknown));
    put(pod("u", ""));
    assert_eq!(node(&reviews, &token(2000)).await, Err(AuthError::Unknown));
    put(pod("u", "node-b"));
    assert_eq!(node(&reviews, &token(3000)).await.as_deref(), Ok("node-b"));
}

#[tokio::test]
async fn what_the_server_does_not_vouch_for_counts_for_nothing() {
    let other = json!({"authenticated": true, "audiences": ["heddle"], "user": {"username": "system:serviceaccount:shop:cart", "extra": {NODE: ["node-a"]}}});
    let mut elsewhere = on_node_a();
    elsewhere["audiences"] = json!(["other"]);
    let mut anywhere = on_node_a();
    anywhere["audiences"] = Value::Null;
    let mut failed = on_node_a();
    failed["authenticated"] = json!(false);
    for review in [
        Value::Null,
        json!({"error": "expired"}),
        failed,
        other,
        elsewhere,
        anywhere,
        accepted(Value::Null),
        accepted(json!({POD: ["p"]})),
        accepted(json!({NODE: ["node-a", "node-b"]})),
        accepted(json!({NODE: [""]})),
    ] {
        let (_, reviews) = reviews(review.clone());
        assert_eq!(
            node(&reviews, &token(3600)).await,
            Err(AuthError::Unknown),
            "{review}"
        );
    }
}

const CART: &str = "system:serviceaccount:shop:cart";

/// What the API server says of a pod of the service account `cart` that runs beside a node proxy.
fn cart_on_node_a() -> Value {
    accepted_as(
        CART,
        json!({NODE: ["node-a"], POD: ["cart-7d4"], UID: ["u"]}),
    )
}

#[tokio::test]
async fn a_token_of_any_other_service_account_is_that_workloads_and_no_nodes() {
    let (server, reviews) = reviews(cart_on_node_a());
    let identity = reviews.authenticate(&token_of(CART, 3600)).await.unwrap();
    assert_eq!(&*identity.node, "spiffe://cluster.local/ns/shop/sa/cart");
    assert!(identity.is_workload());
    assert!(left_of(&identity) <= Duration::from_secs(3600));
    assert_eq!(server.count("/pods/"), 0);
    // Of the node proxies' name, but of another namespace.
    let namesake = "system:serviceaccount:shop:heddle-node-proxy";
    server.with(|state| {
        state.review = accepted_as(namesake, json!({NODE: ["node-a"], POD: ["p"], UID: ["u"]}))
    });
    assert_eq!(
        node(&reviews, &token_of(namesake, 3600)).await.as_deref(),
        Ok("spiffe://cluster.local/ns/shop/sa/heddle-node-proxy")
    );
}

#[tokio::test]
async fn a_workloads_token_counts_only_if_the_server_vouches_for_that_account_audience_and_pod() {
    let with = |change: fn(&mut Value)| {
        let mut review = cart_on_node_a();
        change(&mut review);
        review
    };
    for review in [
        with(|review| review["authenticated"] = json!(false)),
        with(|review| review["audiences"] = json!(["other"])),
        with(|review| review["audiences"] = Value::Null),
        // The claims lie about whose it is.
        with(|review| review["user"]["username"] = json!("system:serviceaccount:shop:pay")),
        with(|review| review["user"]["username"] = json!(USER)),
        // Made by `kubectl create token`.
        with(|review| review["user"]["extra"] = Value::Null),
        with(|review| review["user"]["extra"] = json!({NODE: ["node-a"]})),
        with(|review| review["user"]["extra"] = json!({POD: ["cart-7d4"]})),
    ] {
        let (_, reviews) = reviews(review.clone());
        assert_eq!(
            node(&reviews, &token_of(CART, 3600)).await,
            Err(AuthError::Unknown),
            "{review}"
        );
    }
    // And a workload's review does not make a node proxy of who claims to be one.
    let (_, reviews) = reviews(cart_on_node_a());
    assert_eq!(node(&reviews, &token(3600)).await, Err(AuthError::Unknown));
}

#[tokio::test]
async fn a_token_that_cannot_count_is_not_even_asked_about() {
    let (server, reviews) = reviews(on_node_a());
    for refused in [
        Token::new("secret"),
        Token::new("a.b.c"),
        Token::new("a.b.c.d"),
        Token::new(&"x".repeat(100_000)),
        jwt(&json!({})),
        jwt(&json!({"sub": "system:node:node-a", "aud": ["heddle"], "exp": 1u64 << 40})),
        jwt(&json!({"sub": "system:serviceaccount:shop", "aud": ["heddle"], "exp": 1u64 << 40})),
        jwt(
            &json!({"sub": "system:serviceaccount:shop:a/../b", "aud": ["heddle"], "exp": 1u64 << 40}),
        ),
        jwt(&json!({"sub": USER, "aud": "other", "exp": 1u64 << 40})),
        jwt(&json!({"sub": USER, "aud": ["heddle"], "exp": -1})),
        jwt(&json!({"sub": USER, "aud": ["heddle"], "exp": u64::MAX})),
    ] {
        assert_eq!(
            node(&reviews, &refused).await,
            Err(AuthError::Unknown),
            "{}",
            refused.secret()
        );
    }
    assert_eq!(node(&reviews, &token(-1)).await, Err(AuthError::Expired));
    assert_eq!(server.count(""), 0);
    let one = jwt(&json!({"sub": USER, "aud": "heddle", "exp": 1u64 << 40}));
    assert_eq!(node(&reviews, &one).await.as_deref(), Ok("node-a"));
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_remembered_for_a_short_time() {
    let (server, reviews) = reviews(on_node_a());
    let (good, asked) = (token(3600), || server.count("tokenreviews"));
    for _ in 0..5 {
        assert_eq!(node(&reviews, &good).await.as_deref(), Ok("node-a"));
    }
    assert_eq!(asked(), 1);
    // Revoked: its pod is gone.
    server.with(|state| state.review = Value::Null);
    assert!(node(&reviews, &good).await.is_ok());
    tokio::time::advance(Duration::from_secs(30)).await;
    for _ in 0..5 {
        assert_eq!(node(&reviews, &good).await, Err(AuthError::Unknown));
    }
    assert_eq!(asked(), 2);
    server.with(|state| state.review = on_node_a());
    tokio::time::advance(Duration::from_secs(10)).await;
    assert!(node(&reviews, &good).await.is_ok());
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_says_nothing_about_the_token() {
    let (server, reviews) = reviews(on_node_a());
    server.with(|state| state.fault = 403);
    let error = node(&reviews, &token(3600)).await.unwrap_err();
    assert!(matches!(error, AuthError::Unavailable(_)), "{error}");
    server.with(|state| state.fault = 0);
    assert!(
        node(&reviews, &token(3600)).await.is_ok(),
        "and is not remembered"
    );
}
