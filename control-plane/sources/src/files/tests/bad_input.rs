//! What cannot be read gets a problem that says where, and harms nothing else.

use super::*;

/// Reads one file beside a good one; returns what is told.
fn told(file: &str, content: impl AsRef<[u8]>) -> Vec<String> {
    let mut manifests = Manifests::new(&[("good.yaml", &service("good", 80))]);
    write(manifests.folder.path(), file, content);
    let update = manifests.refresh();
    assert_eq!(port(&update.cluster, "good"), Some(80), "the rest works");
    shown(&update)
}

#[test]
fn each_bad_document_is_named_with_file_document_object_and_field() {
    let broken = format!("{}---\nkind: [\n---\n{}", service("a", 1), service("b", 2));
    let route = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: api, namespace: production}\n\
                 spec:\n  rules:\n  - matches:\n    - pth: {value: /}\n";
    let table = [
        (broken.as_str(), r"x/bad.yaml#2: line "),
        (
            route,
            r#"x/bad.yaml#1 HTTPRoute production/api: spec.rules[0].matches[0]: unknown field "pth" (did you mean "path"?)"#,
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: http}]}",
            r#"x/bad.yaml#1 Service default/s: spec.ports[0].port: must be a whole number, not the string "http""#,
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {}\n",
            "x/bad.yaml#1: metadata.name: is missing",
        ),
        (
            "apiVersion: v1\nkind: Service\nmetadata: {name: Big}\n",
            "x/bad.yaml#1: metadata.name: \"Big\" is not a valid name",
        ),
        (
            "just a text",
            "x/bad.yaml#1: must be an object with apiVersion, kind and metadata",
        ),
        (
            "a: 1\na: 2\n",
            "x/bad.yaml#1: line 2: broken YAML: duplicate mapping key",
        ),
        (
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Service, metadata: {name: s}, spec: {prts: []}}\n",
            "x/bad.yaml#1 Service default/s: items[0].spec: unknown field \"prts\" (did you mean \"ports\"?)",
        ),
        (
            "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: '%%%'}\n",
            "x/bad.yaml#1 Secret default/s: ",
        ),
    ];
    for (text, expected) in table {
        let told = told("x/bad.yaml", text);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with(expected),
            "{:?} instead of {expected:?}",
            told[0]
        );
    }
}

#[test]
fn the_line_of_broken_yaml_is_counted_from_the_beginning_of_the_file() {
    let text = format!(
        "# a comment\n{}---\n# another\na: [1\nb: 2\n",
        service("a", 1)
    );
    let told = told("bad.yaml", text);
    let expected = "bad.yaml#2: line 9: broken YAML: illegal placement of ':' indicator";
    assert_eq!(told, [expected]);
}

#[test]
fn a_duplicate_is_a_problem_and_the_first_definition_wins() {
    let mut manifests = Manifests::new(&[
        ("b.yaml", &service("s", 2)),
        (
            "a.yaml",
            &format!("{}---\n{}", service("s", 1), service("s", 3)),
        ),
    ]);
    let update = manifests.refresh();
    assert_eq!(port(&update.cluster, "s"), Some(1));
    assert_eq!(
        shown(&update),
        [
            "a.yaml#2 Service default/s: is already defined in a.yaml#1; this one is ignored",
            "b.yaml#1 Service default/s: is already defined in a.yaml#1; this one is ignored",
        ]
    );
}

#[test]
fn a_route_with_ten_thousand_rules_is_refused_by_its_limit() {
    let head = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: r}\nspec:\n  rules:\n";
    let rule = "  - matches: [{path: {type: Exact, value: /a}, method: GET}]\n    backendRefs: [{name: s, port: 80, weight: 1}]\n";
    let told = told("big.yaml", format!("{head}{}", rule.repeat(10_000)));
    assert_eq!(
        told,
        ["big.yaml#1 HTTPRoute default/r: spec.rules: has 10000 items, at most 16 are allowed"]
    );
}

#[test]
fn what_unfolds_to_more_than_it_is_gets_stopped() {
    let mut bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for (last, next) in ('a'..'j').zip('b'..='j') {
        let references = vec![format!("*{last}"); 9].join(", ");
        bomb += &format!("{next}: &{next} [{references}]\n");
    }
    let told = told("bomb.yaml", bomb);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("bomb.yaml#1: line "), "{told:?}");
}

#[test]
fn depth_is_limited() {
    for text in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(100_000),
    ] {
        let told = told("deep.yaml", text);
        assert!(
            told.len() == 1 && told[0].starts_with("deep.yaml#1: line 1: "),
            "{told:?}"
        );
    }
}

#[test]
fn a_file_that_is_too_large_or_not_utf8_is_not_read() {
    let large = "# a comment line\n".repeat(600_000);
    assert_eq!(
        told("large.yaml", large),
        ["large.yaml: is larger than 8 MiB"]
    );
    let text = [
        b"# fine\n# \xff\xfe\n".as_slice(),
        service("s", 1).as_bytes(),
    ]
    .concat();
    assert_eq!(
        told("latin.yaml", text),
        ["latin.yaml: line 2: is not UTF-8"]
    );
}

#[test]
fn kinds_that_are_not_read_are_told_once_each_and_by_how_much_it_matters() {
    let document = |api_version: &str, kind: &str| {
        format!("apiVersion: {api_version}\nkind: {kind}\nmetadata: {{name: x}}\n---\n")
    };
    let text = document("apps/v1", "Deployment").repeat(3)
        + &document("batch/v1", "Job")
        + &document("networking.k8s.io/v1", "Ingress")
        + &document("gateway.networking.k8s.io/v1", "HttpRoute");
    let mut manifests = Manifests::new(&[("a.yaml", &text)]);
    let update = manifests.refresh();
    let told: Vec<_> = update
        .problems
        .iter()
        .map(|problem| (problem.severity.as_str(), problem.to_string()))
        .collect();
    let expected = [
        (
            "info",
            "a.yaml#1: Deployment (apps/v1) is not read by Heddle",
        ),
        ("info", "a.yaml#4: Job (batch/v1) is not read by Heddle"),
        (
            "warning",
            "a.yaml#5: Ingress (networking.k8s.io/v1) is not read by Heddle: it has no effect",
        ),
        (
            "warning",
            "a.yaml#6: HttpRoute (gateway.networking.k8s.io/v1) is not read by Heddle: did you mean HTTPRoute of gateway.networking.k8s.io/v1?",
        ),
    ];
    assert_eq!(
        told,
        expected.map(|(severity, text)| (severity, text.to_owned()))
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error_that_names_it() {
    let error = crate::files::read("/nonexistent/manifests").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot read the folder /nonexistent/manifests: "),
        "{error}"
    );
}

mod any_bytes {
    use proptest::prelude::*;

    use crate::files::file::File;

    proptest! {
        #[test]
        fn no_content_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = File::parse(&"f.yaml".into(), &bytes);
        }

        #[test]
        fn no_text_that_looks_like_yaml_panics(text in "([a-z]{1,3}: ?|- |\\[|\\]|\\{|\\}|\"|'|&a |\\*a |\n|  |---|\\.\\.\\.|#|%|!!|\\||>|,){0,40}") {
            let _ = File::parse(&"f.yaml".into(), text.as_bytes());
        }
    }
}
