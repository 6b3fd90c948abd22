//! Which resources a NACK names.

use crate::session::blame::blamed;

fn names(text: &str, sent: &[&str]) -> Vec<String> {
    blamed(text, sent.iter().copied())
        .named
        .into_iter()
        .map(|(name, message)| format!("{name} | {message}"))
        .collect()
}

const SENT: [&str; 4] = ["shop/cart:80", "shop/cart:8080", "shop/db:5432", "a"];

#[test]
fn our_own_client_writes_a_line_for_each() {
    let text = "shop/cart:80: weights: sum is 0\nshop/db:5432: no such cluster\n";
    assert_eq!(
        names(text, &SENT),
        [
            "shop/cart:80 | weights: sum is 0",
            "shop/db:5432 | no such cluster"
        ]
    );
}

#[test]
fn our_node_proxy_names_the_kind_and_separates_by_semicolons() {
    let text = "Cluster shop/cart:80: connect_timeout: is 0; Cluster shop/db:5432: type: unknown";
    assert_eq!(
        names(text, &SENT),
        [
            "shop/cart:80 | connect_timeout: is 0",
            "shop/db:5432 | type: unknown"
        ]
    );
}

#[test]
fn a_text_may_say_that_it_does_not_name_all() {
    let text = "Cluster a: bad; and 7 more";
    assert_eq!(names(text, &SENT), ["a | bad"]);
    assert!(blamed(text, SENT.into_iter()).more);
    assert!(!blamed("a: bad; and much more", SENT.into_iter()).more);
}

#[test]
fn a_name_in_the_message_of_another_is_innocent() {
    let text = "shop/cart:80: refers to shop/db:5432: not known";
    assert_eq!(
        names(text, &SENT),
        ["shop/cart:80 | refers to shop/db:5432: not known"]
    );
}

#[test]
fn envoy_lists_them_after_its_own_words() {
    let text = "Error adding/updating cluster(s) shop/cart:80: bad, shop/db:5432: worse";
    assert_eq!(
        names(text, &SENT),
        [
            "shop/cart:80 | bad, shop/db:5432: worse",
            "shop/db:5432 | worse"
        ]
    );
}

#[test]
fn a_sentence_with_a_name_in_it_names_it() {
    let text = "Only unique values for domains are permitted in route \"shop/cart:8080\".";
    assert_eq!(names(text, &SENT), [format!("shop/cart:8080 | {text}")]);
}

#[test]
fn a_name_is_not_found_inside_another_or_inside_a_word() {
    assert_eq!(
        names("cluster 'shop/cart:8080' is bad", &["shop/cart:80"]),
        Vec::<String>::new()
    );
    assert_eq!(names("nothing at all", &SENT), Vec::<String>::new());
    assert_eq!(names("", &["", "x"]), Vec::<String>::new());
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let text = format!("a: {}", "ü".repeat(2000));
    let found = names(&text, &SENT);
    assert_eq!(found[0].len(), "a | ".len() + 1024);
}
