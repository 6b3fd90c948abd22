//! Golden files of the unit tests: `UPDATE_GOLDEN=1 cargo test` writes them anew.

use std::{fs, path::Path};

/// Compares with `tests/golden/<name>`.
pub(crate) fn check(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, found).unwrap();
        return;
    }
    let wanted = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        wanted == found,
        "{name} differs (UPDATE_GOLDEN=1 rewrites it); found:\n{found}"
    );
}
