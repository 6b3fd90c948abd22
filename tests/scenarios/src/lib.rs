//! Scenarios: Heddle's own programs, as a user runs them, on real namespaces.
//!
//! The programs must be built before (`cargo build --workspace --bins`); `make test` does so. Each scenario is a function that a test
//! program without harness runs and counts as libtest would, because the programs go into namespaces of their own, which a thread of
//! libtest cannot.

mod report;
mod running;

pub use report::{Outcome, conclude};
pub use running::Demo;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

/// The folder of built programs: two above a test program, which lies in `<target>/debug/deps`.
pub fn programs() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("this program's own file")?;
    let folder = own.ancestors().nth(2).unwrap_or_else(|| Path::new("/"));
    for name in ["heddle", "heddle-control-plane", "heddle-node-proxy"] {
        if !folder.join(name).is_file() {
            bail!(
                "{} is not there: run `cargo build --workspace --bins` first",
                folder.join(name).display()
            );
        }
    }
    Ok(folder.to_owned())
}

/// The lesson's YAML.
pub fn lesson() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/lesson")
}

/// Copies the files of a folder, readable for everybody.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}
