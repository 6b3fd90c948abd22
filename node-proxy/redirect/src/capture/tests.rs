use super::{CaptureRules, Ports, render::ruleset};

#[test]
fn the_rules_are_those_of_the_golden_file() {
    let rules = CaptureRules {
        node_addresses: ["172.18.0.11", "10.244.1.1", "fd00::1", "10.244.1.1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect(),
        ports: Ports::default(),
    };
    crate::golden::check("capture.nft", &ruleset(&rules));
}
