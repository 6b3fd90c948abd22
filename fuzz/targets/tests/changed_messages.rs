//! Every target on valid messages and on 20,000 changed ones, the same in every run.

mod support;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use heddle_fuzz_targets::{TARGETS, Target};
use support::{Changes, seeds};

const CHANGED: usize = 20_000;

fn endures((name, run): Target) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has nothing to begin with");
    let mut changes = Changes::new(blake3::hash(name.as_bytes()).as_bytes()[0].into());
    let changed = (0..CHANGED).map(|_| changes.of(&seeds));
    for bytes in seeds.iter().cloned().chain(changed) {
        let outcome = catch_unwind(AssertUnwindSafe(|| run(&bytes)));
        assert!(outcome.is_ok(), "{name} does not endure {bytes:?}");
    }
}

macro_rules! targets {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                endures((stringify!($name), heddle_fuzz_targets::$name));
            }
        )*

        #[test]
        fn each_target_is_tested_here_and_has_a_program_of_its_own() {
            let listed: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(listed, [$(stringify!($name)),*]);
            let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
            let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("readable");
            for name in listed {
                let program = fs::read_to_string(fuzz.join(format!("fuzz_targets/{name}.rs")));
                assert!(program.expect("a program").contains(&format!("::{name}(")));
                assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
            }
        }
    };
}

targets!(
    certificate_request,
    config_address_set,
    config_cluster,
    config_dns_table,
    config_listener,
    config_load_assignment,
    config_route_configuration,
    config_trust_bundle,
    config_workload,
    dns_message,
    hbone_client,
    hbone_server,
    http1_framing,
    http1_request,
    http1_response,
    last_good,
    protocol_detection,
    spiffe_id,
    tls_messages,
    xds_session,
);

/// Writes the seeds where cargo-fuzz looks for them, if asked to (`fuzz/README.md`).
#[test]
fn seeds_become_the_corpus_if_wanted() {
    let Ok(folder) = std::env::var("HEDDLE_FUZZ_CORPUS") else {
        return;
    };
    for (name, _) in TARGETS {
        let folder = Path::new(&folder).join(name);
        fs::create_dir_all(&folder).expect("a folder");
        for bytes in seeds(name) {
            let file = folder.join(blake3::hash(&bytes).to_hex().as_str());
            fs::write(file, bytes).expect("written");
        }
    }
}
