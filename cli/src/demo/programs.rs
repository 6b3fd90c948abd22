//! Where Heddle's programs lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The programs that the demo starts, all beside this one.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) heddle: PathBuf,
    pub(super) control_plane: PathBuf,
    pub(super) node_proxy: PathBuf,
}

impl Programs {
    pub(super) fn find() -> anyhow::Result<Self> {
        let heddle = std::env::current_exe().context("cannot find this program's own file")?;
        let folder = heddle.parent().unwrap_or_else(|| Path::new("/"));
        let beside = |name: &str| {
            let path = folder.join(name);
            if !path.is_file() {
                bail!(
                    "{} is not there; build it with `cargo build --workspace --bins`",
                    path.display()
                );
            }
            Ok(path)
        };
        Ok(Self {
            control_plane: beside("heddle-control-plane")?,
            node_proxy: beside("heddle-node-proxy")?,
            heddle,
        })
    }
}

/// A path as an argument; the workspace builds into folders with ordinary names.
pub(super) fn text(path: &Path) -> String {
    path.display().to_string()
}
