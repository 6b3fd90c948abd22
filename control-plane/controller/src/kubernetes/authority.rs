//! The certificate authority's Secret: the one place of the roots for all replicas.
//!
//! Each replica works on a copy in a folder. The leader makes the first root, takes the steps of the rotation in its own copy and stores
//! them; the others see that the Secret has changed, and start again with it, which is rare (three times in a root's ten years) and harms
//! nobody: proxies keep what they have. A Secret that was deleted is made again; one that somebody broke is told and not used.

use std::{
    collections::BTreeMap,
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use heddle_issuer::Issuer;
use heddle_model::TrustDomain;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{Api, Client, api::PostParams, core::ObjectMeta};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

use crate::{arguments::Arguments, concerns::Concern};

/// How often the Secret is looked at.
const LOOK: Duration = Duration::from_secs(30);
/// How often, before there is one.
const AWAIT: Duration = Duration::from_secs(1);
/// How long one request may take.
const REQUEST: Duration = Duration::from_secs(10);

/// The authority's files by name, as [`Issuer`] lays them out.
type Files = BTreeMap<String, Vec<u8>>;

/// The Secret, and this replica's copy of it.
pub(crate) struct Authority {
    api: Api<Secret>,
    name: String,
    folder: PathBuf,
    trust_domain: TrustDomain,
    leading: watch::Receiver<bool>,
    /// What the Secret held when it was last looked at.
    seen: Files,
    concern: Concern,
}

impl Authority {
    pub(super) fn new(
        client: Client,
        leading: watch::Receiver<bool>,
        arguments: &Arguments,
        concern: Concern,
    ) -> Self {
        Self {
            api: Api::namespaced(client, arguments.namespace.as_str()),
            name: arguments.ca_secret.clone(),
            // A folder of its own: an authority that lies in --ca-dir from elsewhere is not overwritten.
            folder: arguments.ca_dir.join("secret"),
            trust_domain: arguments.trust_domain.clone(),
            leading,
            seen: Files::new(),
            concern,
        }
    }

    /// Waits for the Secret to be there and usable, or makes it as the leader, and copies it to the folder.
    ///
    /// # Errors
    /// The folder cannot be written, or no root can be made.
    pub(super) async fn obtain(mut self) -> anyhow::Result<Self> {
        loop {
            match self.read().await {
                // Never written over: what a person or another program broke, they can mend.
                Ok(Some(secret)) => match self.check(&files(&secret))? {
                    None => {
                        self.seen = files(&secret);
                        write(&self.folder, &self.seen)?;
                        self.concern.settled();
                        return Ok(self);
                    }
                    Some(broken) => self.complain(&broken),
                },
                Ok(None) if *self.leading.borrow() => {
                    let folder = self.scratch("new");
                    write(&folder, &Files::new())?;
                    let settings = heddle_issuer::Settings::default();
                    Issuer::open(&folder, self.trust_domain.clone(), settings)?;
                    let made = read(&folder)?;
                    fs::remove_dir_all(&folder)?;
                    // Read back in the next turn: only what is stored counts.
                    match self.create(&made).await {
                        Ok(()) => continue,
                        Err(error) => self.complain(&error),
                    }
                }
                Ok(None) => self.concern.raise(format!(
                    "there is no Secret {} yet; the leader makes it",
                    self.name
                )),
                Err(error) => self.complain(&error),
            }
            sleep(AWAIT).await;
        }
    }

    /// The copy.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks after the Secret until it holds another authority than this replica began with.
    pub(crate) async fn keep(mut self, issuer: Arc<Issuer>) {
        loop {
            sleep(LOOK).await;
            match self.look(&issuer).await {
                Ok(false) => self.concern.settled(),
                Ok(true) => return,
                Err(error) => self.complain(&format!("{error:#}")),
            }
        }
    }

    /// One look; tells whether the Secret holds another authority.
    pub(super) async fn look(&mut self, issuer: &Issuer) -> anyhow::Result<bool> {
        let leads = *self.leading.borrow();
        let secret = self.read().await.map_err(anyhow::Error::msg)?;
        match secret {
            Some(secret) if files(&secret) != self.seen => match self.check(&files(&secret))? {
                None => Ok(true),
                Some(broken) => anyhow::bail!("{broken}; the former one stays in force"),
            },
            Some(secret) if leads => {
                issuer.rotate(false)?;
                let own = read(&self.folder)?;
                if own != self.seen {
                    self.replace(secret, &own).await?;
                    self.seen = own;
                }
                Ok(false)
            }
            None if leads => {
                tracing::warn!("the Secret {} is gone and is made again", self.name);
                let own = read(&self.folder)?;
                self.create(&own).await.map_err(anyhow::Error::msg)?;
                self.seen = own;
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    async fn read(&self) -> Result<Option<Secret>, String> {
        within(self.api.get_opt(&self.name)).await
    }

    async fn create(&self, files: &Files) -> Result<(), String> {
        let labels = [("app.kubernetes.io/part-of", "heddle")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                labels: Some(labels.into()),
                ..ObjectMeta::default()
            },
            data: Some(data(files)),
            ..Secret::default()
        };
        let parameters = PostParams::default();
        within(self.api.create(&parameters, &secret)).await?;
        tracing::info!(
            "the Secret {} of the certificate authority was made",
            self.name
        );
        Ok(())
    }

    /// Over the version that was read: another leader's rotation is not lost.
    async fn replace(&self, mut secret: Secret, files: &Files) -> anyhow::Result<()> {
        let data = data(files);
        secret.data = Some(data);
        let parameters = PostParams::default();
        let write = self.api.replace(&self.name, &parameters, &secret);
        within(write).await.map_err(anyhow::Error::msg)?;
        tracing::info!("the Secret {} holds the rotated roots", self.name);
        Ok(())
    }

    /// Says why these files are no authority that can be used.
    fn check(&self, files: &Files) -> anyhow::Result<Option<String>> {
        if files.is_empty() {
            return Ok(Some("it holds no certificate authority; restore it from a backup, or remove it to begin with a new root".to_owned()));
        }
        let folder = self.scratch("check");
        write(&folder, files)?;
        let settings = heddle_issuer::Settings::default();
        let opened = Issuer::load(&folder, self.trust_domain.clone(), settings);
        fs::remove_dir_all(&folder)?;
        // People know the Secret's keys, not our folder.
        let inside = format!("{}/", folder.display());
        Ok(opened.err().map(|error| {
            let error = error.to_string().replace(&inside, "its key ");
            let error = error.replace(&*folder.to_string_lossy(), "it");
            format!("what it holds is not used: {error}")
        }))
    }

    fn scratch(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn complain(&self, error: &str) {
        let name = &self.name;
        self.concern.raise(format!(
            "the Secret {name} of the certificate authority: {error}"
        ));
    }
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, String> {
    match timeout(REQUEST, request).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", REQUEST.as_secs())),
    }
}

/// Whether a file is one of an authority's: a Secret's other keys are not written anywhere.
fn is_ours(name: &str) -> bool {
    let root = name.strip_prefix("root-").and_then(|rest| {
        rest.strip_suffix(".crt")
            .or_else(|| rest.strip_suffix(".key"))
    });
    let numbered =
        |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    matches!(name, "rotation.json" | "tls.crt" | "tls.key" | "ca.crt") || root.is_some_and(numbered)
}

fn files(secret: &Secret) -> Files {
    let data = secret.data.iter().flatten();
    data.filter(|(name, _)| is_ours(name))
        .map(|(name, ByteString(content))| (name.clone(), content.clone()))
        .collect()
}

fn data(files: &Files) -> BTreeMap<String, ByteString> {
    let files = files.iter();
    files
        .map(|(name, content)| (name.clone(), ByteString(content.clone())))
        .collect()
}

/// Makes the folder hold exactly these files of an authority, readable by the owner only.
fn write(folder: &Path, files: &Files) -> anyhow::Result<()> {
    let write = || {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        for name in names(folder)? {
            if !files.contains_key(&name) {
                fs::remove_file(folder.join(name))?;
            }
        }
        for (name, content) in files {
            let mut options = fs::OpenOptions::new();
            options.write(true).create(true).truncate(true).mode(0o600);
            options.open(folder.join(name))?.write_all(content)?;
        }
        io::Result::Ok(())
    };
    write().with_context(|| format!("cannot write {}", folder.display()))
}

fn read(folder: &Path) -> anyhow::Result<Files> {
    let read = || {
        let names = names(folder)?.into_iter();
        names
            .map(|name| fs::read(folder.join(&name)).map(|content| (name, content)))
            .collect::<io::Result<Files>>()
    };
    read().with_context(|| format!("cannot read {}", folder.display()))
}

/// The files of an authority in a folder.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().unwrap_or_default();
        if is_ours(&name) {
            names.push(name);
        }
    }
    Ok(names)
}
