//! The installer's command line.

use std::path::PathBuf;

use super::InstallError;
use crate::{
    conflist::TYPE,
    plugin::{Settings, Unreachable},
};

/// Where to install, and what.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the node's CNI plugins lie.
    pub bin_dir: PathBuf,
    /// Where its network configuration lies.
    pub conf_dir: PathBuf,
    /// The binary that is copied.
    pub binary: PathBuf,
    /// Do not stay.
    pub once: bool,
    /// What the plugin's entry says.
    pub settings: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bin_dir: "/opt/cni/bin".into(),
            conf_dir: "/etc/cni/net.d".into(),
            binary: "/proc/self/exe".into(),
            once: false,
            settings: Settings::default(),
        }
    }
}

impl Options {
    /// Reads what comes behind `install` or `uninstall`.
    ///
    /// # Errors
    /// An option is unknown, or its value is missing or wrong.
    pub fn parse(arguments: &[String]) -> Result<Self, InstallError> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(option) = arguments.next() {
            if option == "--once" {
                options.once = true;
                continue;
            }
            let (name, inline) = match option.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (option.as_str(), None),
            };
            let value = inline.or_else(|| arguments.next().map(String::as_str));
            options.set(name, value)?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: Option<&str>) -> Result<(), InstallError> {
        let settings = &mut self.settings;
        let known = [
            "--bin-dir",
            "--conf-dir",
            "--socket",
            "--time-limit",
            "--when-unreachable",
            "--critical",
        ];
        if !known.contains(&name) {
            return Err(InstallError::Usage(format!("{name} is no option")));
        }
        let value = value.ok_or_else(|| InstallError::Usage(format!("{name} needs a value")))?;
        let wrong = || InstallError::Usage(format!("{name}: {value:?} is wrong"));
        match name {
            "--bin-dir" => self.bin_dir = value.into(),
            "--conf-dir" => self.conf_dir = value.into(),
            "--socket" => settings.socket = value.into(),
            "--time-limit" => settings.time_limit_seconds = value.parse().map_err(|_| wrong())?,
            "--when-unreachable" => {
                settings.when_unreachable = match value {
                    "fail" => Unreachable::Fail,
                    "pass" => Unreachable::Pass,
                    "known" => Unreachable::Known,
                    _ => return Err(wrong()),
                };
            }
            _ => {
                let named = value.split(',').filter(|namespace| !namespace.is_empty());
                settings.host_critical_namespaces = named.map(str::to_owned).collect();
            }
        }
        Ok(())
    }

    /// Where the binary goes.
    pub(super) fn plugin(&self) -> PathBuf {
        self.bin_dir.join(TYPE)
    }
}
