//! Token files, good and bad.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use super::{BootstrapTokens, TokensError};
use crate::{AuthError, NodeIdentity, Token};

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn error(text: &str) -> String {
    let file = file(text);
    BootstrapTokens::open(file.path()).unwrap_err().to_string()
}

#[test]
fn a_token_is_known_by_its_node() {
    let file =
        file("tokens:\n- {node: node-a, token: secret-a}\n- {node: node-b, token: secret-b}\n");
    let tokens = BootstrapTokens::open(file.path()).unwrap();
    let expected = NodeIdentity {
        node: "node-b".into(),
        expires: None,
    };
    assert_eq!(tokens.check(&Token::new("secret-b")), Ok(expected));
    assert_eq!(
        tokens.check(&Token::new("secret-c")),
        Err(AuthError::Unknown)
    );
    assert_eq!(tokens.check(&Token::new("")), Err(AuthError::Unknown));
}

#[test]
fn a_token_counts_until_it_expires() {
    let file = file("tokens:\n- node: node-a\n  token: secret\n  expires: 2030-01-01T00:00:00Z\n");
    let clock = Arc::new(AtomicU64::new(1_893_455_999));
    let hand = Arc::clone(&clock);
    let now = move || SystemTime::UNIX_EPOCH + Duration::from_secs(hand.load(Ordering::Relaxed));
    let tokens = BootstrapTokens::with_clock(file.path(), now).unwrap();
    let expires = SystemTime::UNIX_EPOCH + Duration::from_secs(1_893_456_000);
    let identity = tokens.check(&Token::new("secret")).unwrap();
    assert_eq!(identity.expires, Some(expires));
    clock.store(1_893_456_000, Ordering::Relaxed);
    assert_eq!(tokens.check(&Token::new("secret")), Err(AuthError::Expired));
}

#[test]
fn a_changed_file_counts_at_once_and_a_broken_or_lost_one_changes_nothing() {
    let file = file("tokens:\n- {node: node-a, token: first}\n");
    let tokens = BootstrapTokens::open(file.path()).unwrap();
    std::fs::write(file.path(), "tokens:\n- {node: node-a, token: second}\n").unwrap();
    assert_eq!(tokens.check(&Token::new("first")), Err(AuthError::Unknown));
    assert!(tokens.check(&Token::new("second")).is_ok());
    std::fs::write(file.path(), "tokens: [").unwrap();
    assert!(tokens.check(&Token::new("second")).is_ok());
    std::fs::remove_file(file.path()).unwrap();
    assert!(tokens.check(&Token::new("second")).is_ok());
}

#[test]
fn errors_name_the_file_and_the_entry_but_no_token() {
    assert!(matches!(
        BootstrapTokens::open("/nonexistent/tokens"),
        Err(TokensError::Read { .. })
    ));
    assert!(error("tokens: {").contains("expected YAML"));
    assert!(error("tokens:\n- {node: a, token: x, extra: 1}").contains("expected YAML"));
    assert!(error("tokens:\n- {node: a, token: x, expires: tomorrow}").contains("expected YAML"));
    assert!(
        error("tokens:\n- {node: a, token: ''}").contains("entry 0 (\"a\"): the token is empty")
    );
    assert!(error("tokens:\n- {node: '', token: x}").contains("1 to 253"));
    let twice = error("tokens:\n- {node: a, token: tops3cret}\n- {node: b, token: tops3cret}");
    assert!(twice.contains("entry 1 (\"b\"): the token stands in the file twice"));
    assert!(!twice.contains("tops3cret"));
}

#[test]
fn no_debug_output_shows_a_token() {
    let file = file("tokens:\n- {node: node-a, token: tops3cret}\n");
    let tokens = BootstrapTokens::open(file.path()).unwrap();
    let shown = format!("{tokens:?} {:?}", Token::new("tops3cret"));
    assert!(!shown.contains("tops3cret"), "{shown}");
}

#[test]
fn a_workloads_token_is_known_by_its_identity_which_no_nodes_token_can_be() {
    let identity = "spiffe://cluster.local/ns/shop/sa/cart";
    let good = file(&format!(
        "tokens:\n- {{identity: \"{identity}\", token: secret}}\n"
    ));
    let tokens = BootstrapTokens::open(good.path()).unwrap();
    let found = tokens.check(&Token::new("secret")).unwrap();
    assert_eq!(&*found.node, identity);
    assert!(found.is_workload());
    for bad in [
        format!("node: \"{identity}\""),
        "identity: node-a".to_owned(),
    ] {
        let told = error(&format!("tokens:\n- {{{bad}, token: secret}}\n"));
        assert!(told.contains("SPIFFE id"), "{told}");
    }
    let both = format!("node: node-a, identity: \"{identity}\"");
    let told = error(&format!(
        "tokens:\n- {{node: b, token: x}}\n- {{{both}, token: y}}"
    ));
    let expected = "entry 1 (\"node-a\"): it has both a node and an identity";
    assert!(told.contains(expected), "{told}");
}
