use std::collections::BTreeMap;

use heddle_resources::k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    LabelSelector, LabelSelectorRequirement,
};

use super::{Labels, Selector};

fn expression(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
    LabelSelector {
        match_expressions: Some(vec![LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: Some(values.iter().map(|value| (*value).to_owned()).collect()),
        }]),
        match_labels: None,
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

#[test]
fn an_empty_selector_selects_everything() {
    let selector = Selector::parse(&LabelSelector::default()).expect("valid");
    assert!(selector.matches(&labels(&[])));
    assert_eq!(selector.to_string(), "");
}

#[test]
fn operators_mean_what_kubernetes_says() {
    let cases = [
        ("In", &["a", "b"][..], [true, false, false]),
        ("NotIn", &["a", "b"], [false, true, true]),
        ("Exists", &[], [true, true, false]),
        ("DoesNotExist", &[], [false, false, true]),
    ];
    let worlds = [labels(&[("k", "a")]), labels(&[("k", "c")]), labels(&[])];
    for (operator, values, wanted) in cases {
        let selector = Selector::parse(&expression("k", operator, values)).expect("valid");
        assert_eq!(
            worlds.each_ref().map(|labels| selector.matches(labels)),
            wanted,
            "{operator}"
        );
    }
}

#[test]
fn equal_meaning_has_one_form() {
    let by_label = LabelSelector {
        match_labels: Some(BTreeMap::from([("k".to_owned(), "a".to_owned())])),
        match_expressions: None,
    };
    assert_eq!(
        Selector::parse(&by_label),
        Selector::parse(&expression("k", "In", &["a", "a"]))
    );
}

#[test]
fn what_kubernetes_refuses_is_no_selector() {
    for (key, operator, values) in [
        ("k", "In", &[][..]),
        ("k", "NotIn", &[]),
        ("k", "Exists", &["a"]),
        ("k", "DoesNotExist", &["a"]),
        ("k", "in", &["a"]),
        ("", "Exists", &[]),
        ("a/b/c", "Exists", &[]),
        ("-k", "Exists", &[]),
        ("k", "In", &["a,b"]),
        ("k", "In", &["a)"]),
    ] {
        assert!(
            Selector::parse(&expression(key, operator, values)).is_err(),
            "{key:?} {operator} {values:?}"
        );
    }
}
