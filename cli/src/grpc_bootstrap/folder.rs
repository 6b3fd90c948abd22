//! The files, changed as one: a key never lies beside another key's certificate.
//!
//! ```text
//! certificate.pem ─▶ ..data/certificate.pem     ..data ─▶ ..<number>/     (as the kubelet lays out Secrets)
//! ```

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink},
    path::{Path, PathBuf},
};

use anyhow::Context;

pub(super) const CERTIFICATE: &str = "certificate.pem";
pub(super) const KEY: &str = "key.pem";
pub(super) const ROOTS: &str = "roots.pem";
const BOOTSTRAP: &str = "bootstrap.json";
/// What the files' links go through.
const CURRENT: &str = "..data";

/// Where the files lie.
pub(super) struct Folder(PathBuf);

/// What belongs together.
pub(super) struct Content<'a> {
    pub(super) certificate: &'a str,
    pub(super) key: &'a str,
    pub(super) roots: &'a str,
}

impl Folder {
    /// Makes it if it is not there.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let context = || format!("the folder {}", path.display());
        fs::create_dir_all(path).with_context(context)?;
        let path = path.canonicalize().with_context(context)?;
        Ok(Self(path))
    }

    /// Absolute.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Replaces certificate, key and roots.
    pub(super) fn write(&self, content: &Content<'_>) -> anyhow::Result<()> {
        let written = self.replace(content);
        written.with_context(|| format!("writing into {}", self.0.display()))
    }

    fn replace(&self, content: &Content<'_>) -> io::Result<()> {
        let former = fs::read_link(self.0.join(CURRENT)).ok();
        let number = (0..).map(|number| format!("..{number}"));
        let next = number.map(|name| self.0.join(name)).find(|path| {
            Some(path.file_name().unwrap_or_default()) != former.as_deref().map(Path::as_os_str)
        });
        let Some(next) = next else { return Ok(()) };
        // Left behind by one who was ended in the middle.
        let _ = fs::remove_dir_all(&next);
        fs::DirBuilder::new().mode(0o755).create(&next)?;
        create(&next.join(CERTIFICATE), content.certificate, 0o644)?;
        create(&next.join(KEY), content.key, 0o600)?;
        create(&next.join(ROOTS), content.roots, 0o644)?;
        self.link(Path::new(next.file_name().unwrap_or_default()), CURRENT)?;
        for name in [CERTIFICATE, KEY, ROOTS] {
            self.link(&Path::new(CURRENT).join(name), name)?;
        }
        if let Some(former) = former {
            let _ = fs::remove_dir_all(self.0.join(former));
        }
        Ok(())
    }

    /// Replaces the bootstrap file.
    pub(super) fn write_bootstrap(&self, text: &str) -> anyhow::Result<()> {
        let path = self.0.join(BOOTSTRAP);
        let beside = self.0.join("..bootstrap");
        let written = create(&beside, text, 0o644).and_then(|()| fs::rename(&beside, &path));
        written.with_context(|| format!("writing {}", path.display()))
    }

    fn link(&self, to: &Path, name: &str) -> io::Result<()> {
        let beside = self.0.join("..link");
        let _ = fs::remove_file(&beside);
        symlink(to, &beside)?;
        fs::rename(&beside, self.0.join(name))
    }
}

fn create(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    let mut file = file?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(folder: &Folder, text: &str) {
        let content = Content {
            certificate: text,
            key: text,
            roots: text,
        };
        folder.write(&content).unwrap();
    }

    #[test]
    fn files_change_together_and_nothing_is_left_behind() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(&place.path().join("new/folder")).unwrap();
        for text in ["first", "second", "third"] {
            write(&folder, text);
            for name in [CERTIFICATE, KEY, ROOTS] {
                let path = folder.path().join(name);
                assert_eq!(fs::read_to_string(path).unwrap(), text);
            }
        }
        let entries = fs::read_dir(folder.path()).unwrap();
        assert_eq!(entries.count(), 5, "three links, ..data and what it means");
    }

    #[test]
    fn nobody_else_may_read_the_key() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        write(&folder, "secret");
        let key = fs::metadata(folder.path().join(KEY)).unwrap();
        assert_eq!(key.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_bootstrap_file_replaces_the_former_one() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        for text in ["first", "second"] {
            folder.write_bootstrap(text).unwrap();
            let read = fs::read_to_string(folder.path().join(BOOTSTRAP)).unwrap();
            assert_eq!(read, text);
        }
    }
}
