//! The whole of `Certificates`, with tokio's clock paused: the calendar follows it.

use std::{
    cell::Cell,
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use heddle_identity::SpiffeId;
use tokio::time::{Instant, sleep};

use super::authority::{Authority, HOUR, id};
use crate::{CertError, Certificates, Issue, IssueError, Settings};

const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

thread_local! {
    static ORIGIN: Cell<Option<(Instant, SystemTime)>> = const { Cell::new(None) };
}

/// The calendar of this test: moves with tokio's clock.
fn calendar() -> SystemTime {
    let (instant, time) = ORIGIN.get().unwrap_or_else(|| {
        let origin = (Instant::now(), SystemTime::now());
        ORIGIN.set(Some(origin));
        origin
    });
    time + instant.elapsed()
}

#[derive(Default)]
struct Log {
    asked: Mutex<Vec<(SpiffeId, Instant)>>,
    under_way: AtomicUsize,
    most_under_way: AtomicUsize,
    failing: AtomicBool,
}

impl Log {
    fn asked(&self) -> usize {
        self.asked.lock().expect("no panic").len()
    }
}

#[derive(Clone)]
struct Fake {
    authority: Arc<Authority>,
    log: Arc<Log>,
    delay: Duration,
    /// Signs another request than the one that was sent, if set.
    swapped: Option<&'static str>,
}

impl Fake {
    fn new() -> Self {
        Self {
            authority: Arc::new(Authority::new("root")),
            log: Arc::default(),
            delay: Duration::from_millis(10),
            swapped: None,
        }
    }

    fn start(&self) -> Certificates {
        calendar();
        let settings = Settings {
            clock: calendar,
            ..Settings::default()
        };
        let certificates = Certificates::start(self.clone(), settings);
        certificates
            .set_trust_bundle(&self.authority.pem)
            .expect("a bundle");
        certificates
    }
}

impl Issue for Fake {
    async fn issue(
        &self,
        csr_pem: String,
        identity: &SpiffeId,
        validity: Duration,
    ) -> Result<Vec<String>, IssueError> {
        self.log
            .asked
            .lock()
            .expect("no panic")
            .push((identity.clone(), Instant::now()));
        let now = self.log.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.log.most_under_way.fetch_max(now, Ordering::SeqCst);
        sleep(self.delay).await;
        self.log.under_way.fetch_sub(1, Ordering::SeqCst);
        if self.log.failing.load(Ordering::SeqCst) {
            return Err(IssueError::Denied("not on this node".to_owned()));
        }
        let csr_pem = match self.swapped {
            Some(other) => {
                crate::key::KeyRequest::new(&id(other))
                    .expect("a request")
                    .csr_pem
            }
            None => csr_pem,
        };
        let now = calendar();
        Ok(self.authority.sign(&csr_pem, now, now + validity))
    }
}

fn only(identity: &str) -> BTreeSet<SpiffeId> {
    BTreeSet::from([id(identity)])
}

#[tokio::test(start_paused = true)]
async fn a_caller_who_came_first_is_woken_when_the_certificate_comes() {
    let fake = Fake::new();
    let certificates = fake.start();
    let waiting = tokio::spawn({
        let certificates = certificates.clone();
        async move { certificates.server_config(&id(CART)).await }
    });
    sleep(Duration::from_secs(1)).await;
    certificates.want(only(CART));
    assert!(waiting.await.expect("no panic").is_ok());
    assert!(certificates.is_complete());
}

#[tokio::test(start_paused = true)]
async fn a_caller_waits_for_the_trust_bundle_too() {
    let fake = Fake::new();
    let certificates = fake.start();
    certificates.want(only(CART));
    certificates.set_trust_bundle("").expect("withdrawn");
    let error = certificates
        .server_config(&id(CART))
        .await
        .expect_err("nobody to trust");
    assert!(matches!(error, CertError::NoTrustBundle { .. }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_is_renewed_at_half_life_and_not_before() {
    let fake = Fake::new();
    let certificates = fake.start();
    certificates.want(only(CART));
    let first = certificates
        .client_config(&id(CART), &id(CART))
        .await
        .expect("issued");
    sleep(HOUR * 10).await;
    assert_eq!(fake.log.asked(), 1);
    sleep(HOUR * 4).await;
    assert_eq!(fake.log.asked(), 2);
    let second = certificates
        .client_config(&id(CART), &id(CART))
        .await
        .expect("renewed");
    assert!(
        !Arc::ptr_eq(&first, &second),
        "the new certificate is in use"
    );
}

#[tokio::test(start_paused = true)]
async fn the_old_certificate_serves_until_it_ends_when_renewal_fails() {
    let fake = Fake::new();
    let certificates = fake.start();
    certificates.want(only(CART));
    certificates.server_config(&id(CART)).await.expect("issued");
    fake.log.failing.store(true, Ordering::SeqCst);

    sleep(HOUR * 23).await;
    certificates
        .server_config(&id(CART))
        .await
        .expect("still valid");
    let state = certificates.states().remove(0);
    assert!(state.failures > 1 && state.not_after.is_some());
    assert_eq!(
        state.last_error.as_deref(),
        Some("the issuer refused: not on this node")
    );

    sleep(HOUR * 2).await;
    let error = certificates
        .server_config(&id(CART))
        .await
        .expect_err("over");
    assert!(error.to_string().contains("not on this node"), "{error}");

    fake.log.failing.store(false, Ordering::SeqCst);
    sleep(Duration::from_secs(31)).await;
    certificates
        .server_config(&id(CART))
        .await
        .expect("recovered");
    assert_eq!(certificates.states().remove(0).last_error, None);
}

#[tokio::test(start_paused = true)]
async fn failures_are_retried_with_growing_pauses() {
    let fake = Fake::new();
    fake.log.failing.store(true, Ordering::SeqCst);
    let certificates = fake.start();
    certificates.want(only(CART));
    sleep(Duration::from_secs(30)).await;
    let times: Vec<Instant> = fake
        .log
        .asked
        .lock()
        .expect("no panic")
        .iter()
        .map(|a| a.1)
        .collect();
    for (index, pair) in times.windows(2).enumerate() {
        let pause = (pair[1] - pair[0] - fake.delay).as_secs_f64();
        let full = (0.5 * f64::powi(2.0, index as i32)).min(3.0);
        // Timers of tokio have a resolution of a millisecond.
        assert!(
            pause >= full / 2.0 - 0.001 && pause <= full + 0.002,
            "pause {index}: {pause} s"
        );
    }
    assert!(times.len() > 8, "{} attempts", times.len());
}

#[tokio::test(start_paused = true)]
async fn no_more_than_eight_requests_are_under_way() {
    let fake = Fake::new();
    let certificates = fake.start();
    let many = (0..30).map(|n| id(&format!("spiffe://cluster.local/ns/shop/sa/s{n}")));
    certificates.want(many.collect());
    sleep(Duration::from_secs(1)).await;
    assert_eq!(fake.log.asked(), 30);
    assert_eq!(fake.log.most_under_way.load(Ordering::SeqCst), 8);
    assert!(certificates.is_complete());
}

#[tokio::test(start_paused = true)]
async fn identities_that_are_not_wanted_any_more_are_forgotten() {
    let fake = Fake::new();
    let certificates = fake.start();
    certificates.want(only(CART));
    certificates.server_config(&id(CART)).await.expect("issued");
    certificates.want(BTreeSet::new());
    let error = certificates
        .server_config(&id(CART))
        .await
        .expect_err("forgotten");
    assert!(
        error.to_string().contains("no pod of this identity"),
        "{error}"
    );
    sleep(HOUR * 48).await;
    assert_eq!(fake.log.asked(), 1, "and not renewed");
}

#[tokio::test(start_paused = true)]
async fn a_certificate_of_somebody_else_is_not_taken_from_the_issuer() {
    let mut fake = Fake::new();
    fake.swapped = Some("spiffe://cluster.local/ns/shop/sa/other");
    let certificates = fake.start();
    certificates.want(only(CART));
    let error = certificates
        .server_config(&id(CART))
        .await
        .expect_err("refused");
    assert!(
        error
            .to_string()
            .contains("the issuer sent spiffe://cluster.local/ns/shop/sa/other"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_certificate_for_another_key_is_not_taken_from_the_issuer() {
    let mut fake = Fake::new();
    fake.swapped = Some(CART);
    let certificates = fake.start();
    certificates.want(only(CART));
    let error = certificates
        .server_config(&id(CART))
        .await
        .expect_err("refused");
    assert!(
        error.to_string().contains("does not fit the key"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_renewal_task_ends_with_the_last_handle() {
    let fake = Fake::new();
    let certificates = fake.start();
    certificates.want(only(CART));
    sleep(Duration::from_secs(1)).await;
    drop(certificates);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        Arc::strong_count(&fake.authority),
        1,
        "the task's issuer is gone"
    );
}
