//! Projected tokens of service accounts, checked by the API server (TokenReview).
//!
//! A token must be bound to our audience, so that one that was given to somebody else is worth nothing here, and to a pod. Of the node
//! proxies' service account its bearer speaks for the pod's node: the API server tells that node (Kubernetes 1.30 and later), or the pod
//! does. Of any other service account it is a workload that speaks for itself, by the identity of that account and nothing else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use futures::future::BoxFuture;
use heddle_identity::{SpiffeId, TrustDomain};
use heddle_xds_server::{AuthError, Authenticate, NodeIdentity, Token};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, TokenReviewStatus},
    core::v1::Pod,
};
use kube::{Api, Client, api::PostParams};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{
    cache::Cache,
    claims::{Account, Claims},
};

/// How long the API server may take, for all that it is asked about one token.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many tokens are asked about at a time: nobody without a good token may load the API server through us.
const AT_A_TIME: usize = 32;

/// For how long the same reason for a refusal is not told again.
const QUIET: Duration = Duration::from_secs(60);

const UNBOUND: &str = "it is bound to no pod; use a projected token";

/// Where the API server says which node and pod a token is bound to.
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";

/// Asks the API server whose a token is.
pub(crate) struct Reviews {
    client: Client,
    audience: String,
    /// Of the identities of workloads.
    trust_domain: TrustDomain,
    /// What node proxies are.
    node_proxies: Account,
    cache: Cache,
    places: Semaphore,
    /// What was told about refused tokens, and when.
    told: Mutex<BTreeMap<&'static str, Instant>>,
}

impl Reviews {
    /// For tokens that are bound to this audience; those of `node_proxy` speak for nodes.
    pub(crate) fn new(client: Client, audience: &str, node_proxy: &SpiffeId) -> Self {
        Self {
            client,
            audience: audience.to_owned(),
            trust_domain: node_proxy.trust_domain.clone(),
            node_proxies: Account {
                namespace: node_proxy.namespace.clone(),
                name: node_proxy.service_account.clone(),
            },
            cache: Cache::default(),
            places: Semaphore::new(AT_A_TIME),
            told: Mutex::default(),
        }
    }

    async fn check(&self, token: &Token) -> Result<NodeIdentity, AuthError> {
        let claims = Claims::read(token.secret(), &self.audience);
        let claims = claims.map_err(|problem| self.refused(problem))?;
        let expires = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(claims.expires));
        let expires = expires.ok_or_else(|| self.refused("its end cannot be read"))?;
        if expires <= SystemTime::now() {
            return Err(AuthError::Expired);
        }
        let hash = blake3::hash(token.secret().as_bytes());
        if let Some(answer) = self.cache.get(hash, Instant::now()) {
            return answer;
        }
        let asked = timeout(PATIENCE, self.ask(token, &claims.account)).await;
        let answer = match asked {
            Ok(node) => node.map(|node| NodeIdentity {
                node,
                expires: Some(expires),
            }),
            Err(_) => Err(AuthError::Unavailable(
                "the API server does not answer".to_owned(),
            )),
        };
        self.cache.put(hash, &answer, Instant::now());
        answer
    }

    /// Whom the bearer of a token of this service account speaks for: a node, or itself.
    async fn ask(&self, token: &Token, account: &Account) -> Result<Arc<str>, AuthError> {
        let _place = self.places.acquire().await.map_err(unavailable)?;
        let review = TokenReview {
            spec: TokenReviewSpec {
                audiences: Some(vec![self.audience.clone()]),
                token: token.secret().to_owned(),
            },
            ..TokenReview::default()
        };
        let api = Api::<TokenReview>::all(self.client.clone());
        let review = api.create(&PostParams::default(), &review).await;
        let status = review.map_err(unavailable)?.status.unwrap_or_default();
        match self.judge(&status, account)? {
            Bearer::Workload(identity) => Ok(identity.to_string().into()),
            Bearer::Node(node) => Ok(node.into()),
            Bearer::Pod { name, uid } => self.node_of(&name, &uid).await,
        }
    }

    /// Whom the API server vouches for. The claims have said whose the token would be, and it has to say the same.
    fn judge(&self, status: &TokenReviewStatus, account: &Account) -> Result<Bearer, AuthError> {
        if status.authenticated != Some(true) {
            if let Some(error) = &status.error {
                tracing::debug!(%error, "the API server refuses a token");
            }
            return Err(self.refused("the API server does not accept it"));
        }
        // A server that knows nothing of audiences gives none back (TokenReview, status.audiences).
        let audiences = status.audiences.as_deref().unwrap_or_default();
        if !audiences.contains(&self.audience) {
            return Err(self.refused("it is for another audience"));
        }
        let user = status.user.clone().unwrap_or_default();
        if user.username != Some(account.to_string()) {
            return Err(self.refused("it belongs to another user"));
        }
        let extra = user.extra.unwrap_or_default();
        let pod = only(&extra, POD_NAME).zip(only(&extra, POD_UID));
        if *account == self.node_proxies {
            return match (only(&extra, NODE_NAME), pod) {
                (Some(node), _) => Ok(Bearer::Node(node)),
                (None, Some((name, uid))) => Ok(Bearer::Pod { name, uid }),
                (None, None) => Err(self.refused(UNBOUND)),
            };
        }
        // Whoever may only create tokens of an account is not yet one of its pods.
        pod.ok_or_else(|| self.refused(UNBOUND))?;
        Ok(Bearer::Workload(SpiffeId {
            trust_domain: self.trust_domain.clone(),
            namespace: account.namespace.clone(),
            service_account: account.name.clone(),
        }))
    }

    /// The node that a pod runs on. A pod of the same name that is another one proves nothing.
    async fn node_of(&self, name: &str, uid: &str) -> Result<Arc<str>, AuthError> {
        let api = Api::<Pod>::namespaced(self.client.clone(), self.node_proxies.namespace.as_str());
        let pod = api.get_opt(name).await.map_err(unavailable)?;
        let pod = pod.filter(|pod| pod.metadata.uid.as_deref() == Some(uid));
        let node = pod.and_then(|pod| pod.spec?.node_name);
        node.filter(|node| !node.is_empty())
            .map(Arc::from)
            .ok_or_else(|| self.refused("its pod is gone, or on no node"))
    }

    /// The bearer learns no more than that; the operator learns why, but not so often that anybody could fill the log.
    fn refused(&self, problem: &'static str) -> AuthError {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_news = told.get(problem).is_none_or(|last| now >= *last + QUIET);
        if is_news {
            told.insert(problem, now);
            let audience = &self.audience;
            tracing::warn!(
                "a token is refused: {problem}; expected a pod's projected service account token for the audience {audience}"
            );
        }
        AuthError::Unknown
    }
}

/// Who the API server says the bearer is.
enum Bearer {
    /// A node proxy, of this node.
    Node(String),
    /// A node proxy, of the node of this pod.
    Pod { name: String, uid: String },
    /// Anybody else.
    Workload(SpiffeId),
}

/// The value of a key that has exactly one.
fn only(extra: &BTreeMap<String, Vec<String>>, key: &str) -> Option<String> {
    match extra.get(key)?.as_slice() {
        [one] if !one.is_empty() => Some(one.clone()),
        _ => None,
    }
}

fn unavailable(error: impl std::fmt::Display) -> AuthError {
    AuthError::Unavailable(error.to_string())
}

impl Authenticate for Reviews {
    fn authenticate<'a>(
        &'a self,
        token: &'a Token,
    ) -> BoxFuture<'a, Result<NodeIdentity, AuthError>> {
        Box::pin(self.check(token))
    }
}
