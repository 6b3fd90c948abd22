//! Running `nft` and `ip` inside a namespace.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use crate::{Netns, NetnsError};

/// Why a rule could not be set or read.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The program is not there.
    #[error("`{program}` is not installed (Debian, Ubuntu: apt-get install {package})")]
    Missing {
        /// The program.
        program: &'static str,
        /// The package that has it.
        package: &'static str,
    },
    /// The program could not be run.
    #[error("cannot run `{program}`: {source}")]
    Run {
        /// The program.
        program: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The program says no.
    #[error("`{command}` failed: {message}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// What it said.
        message: String,
    },
}

/// What a program printed, and whether it was content.
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A program that sets or reads rules.
#[derive(Clone, Copy)]
pub(crate) enum Program {
    Nft,
    Ip,
}

impl Program {
    fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Ip => "ip",
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Nft => "nftables",
            Self::Ip => "iproute2",
        }
    }

    /// Runs it in the namespace with `input` on its standard input. Blocks until it ends.
    pub(crate) fn ask(
        self,
        netns: &Netns,
        arguments: &[&str],
        input: &str,
    ) -> Result<Answer, CommandError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => CommandError::Missing {
                program: self.name(),
                package: self.package(),
            },
            _ => CommandError::Run {
                program: self.name(),
                source,
            },
        };
        // The child is in the namespace that the thread was in when it was started; waiting happens outside.
        let mut child = netns
            .run(|| {
                Command::new(self.name())
                    .args(arguments)
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })?
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that stops reading early says why on its error output, and by its status.
            match stdin.write_all(input.as_bytes()) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(failed(error));
                }
                _ => {}
            }
        }
        let output = child.wait_with_output().map_err(failed)?;
        Ok(Answer {
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// As [`ask`](Self::ask), and an error if the program is not content. Gives what it printed.
    pub(crate) fn tell(
        self,
        netns: &Netns,
        arguments: &[&str],
        input: &str,
    ) -> Result<String, CommandError> {
        let answer = self.ask(netns, arguments, input)?;
        if answer.success {
            return Ok(answer.stdout);
        }
        Err(self.failure(arguments, &answer))
    }

    /// The error for an answer that is not good enough.
    pub(crate) fn failure(self, arguments: &[&str], answer: &Answer) -> CommandError {
        CommandError::Failed {
            command: format!("{} {}", self.name(), arguments.join(" ")),
            message: first_lines(&answer.stderr),
        }
    }
}

/// Enough to see what is wrong: nft repeats the rule and underlines it, and an input may hold thousands.
fn first_lines(text: &str) -> String {
    text.trim().lines().take(6).collect::<Vec<_>>().join("; ")
}
