//! `heddle-cni`: a CNI plugin where a runtime calls it, an installer where a person or a DaemonSet does.

use std::{io::Write, process::ExitCode};

use heddle_cni::{
    install::{self, Options},
    plugin::{self, Environment},
};

const USAGE: &str = "\
heddle-cni: Heddle's chained CNI plugin (called by container runtimes), and its installer

  heddle-cni install [options]     put it in place, and keep it there when others rewrite the configuration
  heddle-cni uninstall [options]   take it away again

  --bin-dir DIR            where the node's CNI plugins lie (/opt/cni/bin)
  --conf-dir DIR           where its network configuration lies (/etc/cni/net.d)
  --once                   install: do not stay to keep it there
  --socket PATH            where the node proxy listens, as the plugin sees it (/run/heddle/cni.sock)
  --time-limit SECONDS     how long a new pod may wait for its capture (20)
  --when-unreachable WHAT  what becomes of a new pod while no node proxy is there (fail): fail, pass, or known, with which it starts
                           if its namespace was outside of the mesh when that was last known
  --critical NAMESPACES    comma-separated: pods that start in any case while nothing is known of them
                           (kube-system,heddle-system)
";

fn main() -> ExitCode {
    let environment = Environment::of_this_process();
    if environment.command.is_some() {
        return plugin::serve_runtime(&environment);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first() {
        Some((command, options)) if command == "install" => {
            Options::parse(options).and_then(|options| install::install(&options))
        }
        Some((command, options)) if command == "uninstall" => {
            Options::parse(options).and_then(|options| install::uninstall(&options))
        }
        Some((command, _)) if ["--version", "version"].contains(&command.as_str()) => {
            // Nothing depends on whether somebody reads it.
            let _ = writeln!(
                std::io::stdout(),
                "heddle-cni {}",
                env!("CARGO_PKG_VERSION")
            );
            return ExitCode::SUCCESS;
        }
        _ => {
            let _ = std::io::stderr().write_all(USAGE.as_bytes());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("heddle-cni: {error}");
            ExitCode::FAILURE
        }
    }
}
