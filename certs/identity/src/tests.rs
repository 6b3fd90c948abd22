use crate::{InvalidSpiffeId, Namespace, SpiffeId, spiffe_id_of};

#[test]
fn a_spiffe_id_survives_printing_and_parsing() {
    let text = "spiffe://cluster.local/ns/shop/sa/cart";
    let id: SpiffeId = text.parse().expect("valid");
    assert_eq!(id.namespace.as_str(), "shop");
    assert_eq!(id.to_string(), text);
}

#[test]
fn ids_of_another_form_are_refused() {
    for text in [
        "",
        "cluster.local/ns/shop/sa/cart",
        "spiffe://cluster.local/ns/shop/sa/cart/extra",
        "spiffe://cluster.local/sa/cart/ns/shop",
        "spiffe://cluster.local/ns//sa/cart",
        "spiffe://cluster.local/ns/shop/sa/",
        "spiffe://Cluster.local/ns/shop/sa/cart",
        "spiffe://cluster.local/ns/Shop/sa/cart",
        "spiffe://cluster.local/ns/shop%2f/sa/cart",
    ] {
        assert!(text.parse::<SpiffeId>().is_err(), "{text} was accepted");
    }
}

#[test]
fn the_error_tells_the_form_that_is_wanted() {
    let error = "https://x".parse::<SpiffeId>().expect_err("no SPIFFE id");
    assert!(matches!(error, InvalidSpiffeId::Form(_)));
    assert!(
        error
            .to_string()
            .contains("/ns/<namespace>/sa/<service-account>")
    );
}

#[test]
fn a_namespace_is_an_rfc_1123_label() {
    assert!(Namespace::new("a-1").is_ok());
    for bad in ["", "-a", "a-", "a.b", "A", &"x".repeat(64)] {
        assert!(Namespace::new(bad).is_err(), "{bad:?} was accepted");
    }
}

#[test]
fn bytes_that_are_no_certificate_name_nobody() {
    assert!(spiffe_id_of(b"not a certificate").is_err());
}
