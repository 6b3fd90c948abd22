//! Keeps the CNI plugin in place on the node, for as long as this process is the one that the plugin asks.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use heddle_cni::{
    install::{self, InstallError, Keeping, Options},
    plugin::{Settings, Unreachable},
};
use heddle_telemetry::Metrics;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::arguments::{Arguments, WhenUnreachable};

/// The plugin, kept in place.
pub(crate) struct Plugin {
    options: Options,
    keeping: Keeping,
}

/// Whether the plugin is in place, for health and metrics.
#[derive(Clone, Default)]
pub(crate) struct InPlace(Option<Arc<Seen>>);

struct Seen {
    /// Why not; `None`: it is.
    problem: Mutex<Option<String>>,
    installed: Gauge,
}

impl InPlace {
    /// Not looked at yet, if it is our affair.
    pub(crate) fn new(arguments: &Arguments, metrics: &Metrics) -> Self {
        if arguments.cni_conf_dir.is_none() {
            return Self(None);
        }
        let installed = Gauge::default();
        metrics.register(
            "heddle_cni_installed",
            "Whether the CNI plugin is in place on the node",
            installed.clone(),
        );
        let problem = Mutex::new(Some("not looked at yet".to_owned()));
        Self(Some(Arc::new(Seen { problem, installed })))
    }

    fn set(&self, problem: Option<String>) {
        if let Some(seen) = &self.0 {
            seen.installed.set(i64::from(problem.is_none()));
            *seen.problem.lock().unwrap_or_else(PoisonError::into_inner) = problem;
        }
    }

    /// `None`: it is not our affair. Else why it is not in place, if it is not.
    pub(crate) fn get(&self) -> Option<Option<String>> {
        let seen = self.0.as_ref()?;
        let problem = seen.problem.lock().unwrap_or_else(PoisonError::into_inner);
        Some(problem.clone())
    }
}

impl Plugin {
    /// Puts the plugin in place and keeps it there while the node is ours; `None`: it is not wanted. The socket must be open. Whatever stands
    /// in the way is told and tried again.
    ///
    /// # Errors
    /// The folders cannot be watched.
    pub(crate) fn keep(
        arguments: &Arguments,
        superseded: watch::Receiver<bool>,
        in_place: InPlace,
    ) -> anyhow::Result<Option<Self>> {
        let (Some(conf_dir), Some(socket)) = (&arguments.cni_conf_dir, &arguments.cni_socket)
        else {
            return Ok(None);
        };
        let options = options(arguments, conf_dir, socket);
        // A successor keeps it in its own version and with its own settings.
        let is_ours = move || !*superseded.borrow();
        let report = move |result: Result<Vec<String>, InstallError>| match result {
            Ok(done) => {
                done.iter().for_each(|line| tracing::info!("CNI: {line}"));
                in_place.set(None);
            }
            Err(error) => {
                tracing::error!(
                    "CNI: the plugin is not in place, pods are captured only after they start: {error}"
                );
                in_place.set(Some(error.to_string()));
            }
        };
        let keeping = install::keep(options.clone(), is_ours, report)?;
        Ok(Some(Self { options, keeping }))
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
                WhenUnreachable::Known => Unreachable::Known,
            },
            host_critical_namespaces: arguments.critical(),
        },
    }
}
