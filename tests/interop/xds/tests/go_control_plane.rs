//! go-control-plane keeps the rules, except where it is known not to: this proves the rules, and not only our server.
//!
//! Its server is written in Go; `scripts/interop.sh xds` builds it and runs these tests, which are ignored elsewhere.

use heddle_interop_xds::{
    Variant,
    go_control_plane::{GoControlPlane, KNOWN},
    rules::RULES,
    run::check,
    variant::{DELTA_ADS, DELTA_PER_TYPE, WORLD_ADS, WORLD_PER_TYPE},
};

async fn run(rule: &str, variant: Variant) {
    let rule = RULES.iter().find(|known| known.name == rule);
    let server = GoControlPlane::start().await.expect("the Go server");
    check(rule.expect("a rule of this name"), variant, &server, KNOWN).await;
}

macro_rules! variant {
    ($name:ident, $variant:ident) => {
        #[tokio::test]
        #[ignore = "needs the Go server: scripts/interop.sh xds"]
        async fn $name() {
            run(RULE, $variant).await;
        }
    };
}

heddle_interop_xds::for_each_rule!(variant);
