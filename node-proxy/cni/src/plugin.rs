//! One call by a container runtime (CNI specification 1.1.0).
//!
//! ADD tells the node proxy of the sandbox and waits until the pod's capture stands. A pod of the mesh never passes uncaptured; a pod
//! of which nothing is known passes only where the configuration says so.

mod config;
mod enrol;
mod environment;
mod error;
mod proxy;
#[cfg(test)]
mod tests;

use std::{
    io::{self, Read, Write},
    process::ExitCode,
};

use serde_json::json;

use config::Config;
pub use config::{Settings, Unreachable};
pub use environment::Environment;
use environment::{Attached, Command};
pub use error::{Code, Failure};

use crate::protocol::{Answer, Request};

/// Versions of the specification that are spoken: those with a previous result.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const NEWEST: &str = VERSIONS[VERSIONS.len() - 1];

/// Serves the call that this process was started for.
pub fn serve_runtime(environment: &Environment) -> ExitCode {
    let mut input = Vec::new();
    let served = io::stdin()
        .read_to_end(&mut input)
        .and_then(|_| run(environment, &input, &mut io::stdout()));
    match served {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("heddle-cni: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves one call: what the runtime set and wrote, and where its answer goes. `false`: it was answered with an error.
///
/// # Errors
/// The answer cannot be written.
pub fn run(environment: &Environment, input: &[u8], output: &mut impl Write) -> io::Result<bool> {
    let said = serve(environment, input);
    match &said {
        Ok(text) => output.write_all(text.as_bytes())?,
        Err(failure) => {
            let version = config::version(input).unwrap_or_else(|| NEWEST.to_owned());
            output.write_all(failure.json(&version).as_bytes())?;
        }
    }
    output.flush()?;
    Ok(said.is_ok())
}

fn serve(environment: &Environment, input: &[u8]) -> Result<String, Failure> {
    let command = environment.command()?;
    if let Command::Version = command {
        let version = config::version(input).unwrap_or_else(|| NEWEST.to_owned());
        return Ok(json!({"cniVersion": version, "supportedVersions": VERSIONS}).to_string());
    }
    let config = Config::parse(input)?;
    match command {
        // A node whose plugin has no good status is taken for not ready, with all pods on it; one whose node proxy is just being
        // replaced is ready. New pods wait in ADD.
        Command::Version | Command::Status => Ok(String::new()),
        Command::Add(attached) => add(&config, attached),
        Command::Check(attached) => check(&config, attached),
        Command::Del { container } => {
            // A proxy that is away finds out by itself: the namespace's file is gone. And a pod must be able to go.
            let _ = proxy::ask(
                &config.settings.socket,
                &Request::Del { container },
                proxy::PROMPT,
            );
            Ok(String::new())
        }
        Command::Gc => collect(&config),
    }
}

fn add(config: &Config<'_>, attached: Attached) -> Result<String, Failure> {
    let result = config.previous_result()?;
    if let Some(attachment) = attached.of_a_pod(config.addresses()?) {
        enrol::enrol(&config.settings, attachment)?;
    }
    Ok(result.to_owned())
}

fn check(config: &Config<'_>, attached: Attached) -> Result<String, Failure> {
    config.previous_result()?;
    let Some(attachment) = attached.of_a_pod(config.addresses()?) else {
        return Ok(String::new());
    };
    let container = attachment.container;
    let answer = proxy::ask(
        &config.settings.socket,
        &Request::Check { container },
        proxy::PROMPT,
    );
    match answer {
        Ok(Answer::Captured | Answer::Outside) => Ok(String::new()),
        Ok(Answer::Waiting { why }) => Err(Failure::again("the pod is not captured", why)),
        Ok(Answer::Refused { why }) => Err(Failure::refused(why)),
        Ok(Answer::Unknown | Answer::Done) if config.settings.passes(&attachment.namespace) => {
            Ok(String::new())
        }
        Ok(Answer::Unknown | Answer::Done) => Err(Failure::unknown(
            "the node proxy does not know this sandbox",
        )),
        Err(_) if config.settings.passes(&attachment.namespace) => Ok(String::new()),
        Err(error) => Err(Failure::unreachable(&config.settings.socket, &error)),
    }
}

fn collect(config: &Config<'_>) -> Result<String, Failure> {
    let containers = config.valid_containers()?;
    proxy::ask(
        &config.settings.socket,
        &Request::Gc { containers },
        proxy::PROMPT,
    )
    .map(|_| String::new())
    .map_err(|error| Failure::unreachable(&config.settings.socket, &error))
}
