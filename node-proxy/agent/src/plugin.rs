//! Keeps the CNI plugin in place on the node, for as long as this process is the one that the plugin asks.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use heddle_cni::{
    install::{self, InstallError, Keeping, Options},
    plugin::{Settings, Unreachable},
};

use crate::arguments::{Arguments, WhenUnreachable};

/// The plugin, kept in place.
pub(crate) struct Plugin {
    options: Options,
    keeping: Keeping,
    in_place: Arc<AtomicBool>,
}

impl Plugin {
    /// Puts the plugin in place and keeps it there; `None`: it is not wanted. The socket must be open. Whatever stands in the way is told in
    /// the log and tried again.
    ///
    /// # Errors
    /// The folders cannot be watched, or the socket is not there.
    pub(crate) fn keep(arguments: &Arguments) -> anyhow::Result<Option<Self>> {
        let (Some(conf_dir), Some(socket)) = (&arguments.cni_conf_dir, &arguments.cni_socket)
        else {
            return Ok(None);
        };
        let options = options(arguments, conf_dir, socket);
        // A successor opens the socket anew: from then on the plugin is its affair, in its version and with its settings.
        let own = identity(socket)?;
        let socket = socket.clone();
        let is_ours = move || identity(&socket).is_ok_and(|now| now == own);
        let in_place = Arc::new(AtomicBool::new(false));
        let observed = Arc::clone(&in_place);
        let report = move |result: Result<Vec<String>, InstallError>| {
            observed.store(result.is_ok(), Ordering::Relaxed);
            match result {
                Ok(done) => done.iter().for_each(|line| tracing::info!("CNI: {line}")),
                Err(error) => tracing::error!(
                    "CNI: the plugin is not in place, pods are captured only after they start: {error}"
                ),
            }
        };
        let keeping = install::keep(options.clone(), is_ours, report)?;
        Ok(Some(Self {
            options,
            keeping,
            in_place,
        }))
    }

    /// Whether it stood when it was last looked at.
    pub(crate) fn in_place(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.in_place)
    }

    /// Takes the plugin away.
    pub(crate) fn uninstall(self) {
        self.keeping.stop();
        match install::uninstall(&self.options) {
            Ok(()) => tracing::info!("CNI: the plugin is taken away"),
            Err(error) => tracing::error!("CNI: {error}"),
        }
    }
}

fn options(arguments: &Arguments, conf_dir: &Path, socket: &Path) -> Options {
    Options {
        bin_dir: arguments.cni_bin_dir.clone(),
        conf_dir: conf_dir.to_owned(),
        binary: arguments.cni_binary.clone(),
        once: false,
        settings: Settings {
            socket: PathBuf::from(socket),
            time_limit_seconds: arguments.cni_time_limit,
            when_unreachable: match arguments.cni_when_unreachable {
                WhenUnreachable::Fail => Unreachable::Fail,
                WhenUnreachable::Pass => Unreachable::Pass,
            },
            host_critical_namespaces: arguments.cni_critical.clone(),
        },
    }
}

/// Which file this is, whatever its name.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
