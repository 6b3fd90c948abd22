//! Heddle's xDS server keeps the rules.

use heddle_interop_xds::{
    Variant,
    heddle::Heddle,
    rules::RULES,
    run::{Deviation, check},
    variant::{DELTA_ADS, DELTA_PER_TYPE, WORLD_ADS, WORLD_PER_TYPE},
};

/// What Heddle leaves out on purpose.
const KNOWN: &[Deviation] = &[Deviation {
    rule: "a_heartbeat_has_no_body",
    variants: &[],
    reason: "Heddle gives no resource a time to live: what it sends counts until it is replaced",
    certain: true,
}];

async fn run(rule: &str, variant: Variant) {
    let rule = RULES.iter().find(|known| known.name == rule);
    let server = Heddle::start().await.expect("a server on loopback");
    check(rule.expect("a rule of this name"), variant, &server, KNOWN).await;
}

macro_rules! variant {
    ($name:ident, $variant:ident) => {
        #[tokio::test]
        async fn $name() {
            run(RULE, $variant).await;
        }
    };
}

heddle_interop_xds::for_each_rule!(variant);
