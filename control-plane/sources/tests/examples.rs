//! The examples that we ship are read without a word.

use std::path::Path;

use heddle_resources::Kind;
use heddle_sources::files;

#[test]
fn the_lesson_has_no_problem() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/lesson");
    let (cluster, problems) = files::read(folder).unwrap();
    let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(problems, [""; 0]);
    for kind in [
        Kind::Node,
        Kind::Pod,
        Kind::Service,
        Kind::HTTPRoute,
        Kind::Gateway,
        Kind::NetworkPolicy,
    ] {
        assert!(cluster.count(kind) > 0, "{kind:?}");
    }
}
