//! Running `nft` inside a namespace, and what can go wrong with that and with the kernel.

use std::{
    io::{self, Write},
    process::{Command, Stdio},
};

use crate::{Netns, NetnsError, ROUTE_TABLE};

/// Why a rule could not be set or read.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The namespace cannot be entered.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The program is not there.
    #[error("`nft` is not installed (Debian, Ubuntu: apt-get install nftables)")]
    Missing,
    /// The program could not be run.
    #[error("cannot run `nft`: {0}")]
    Run(io::Error),
    /// The program says no.
    #[error("`{command}` failed: {message}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// What it said.
        message: String,
    },
    /// The kernel says no.
    #[error("cannot {action} of {family} for table {ROUTE_TABLE}: {source}{}", hint(.source))]
    Routing {
        /// What was to be done.
        action: &'static str,
        /// IPv4 or IPv6.
        family: &'static str,
        /// Why.
        source: io::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => " (CAP_NET_ADMIN is needed)",
        // EAFNOSUPPORT, EOPNOTSUPP: kernels may be built without.
        io::ErrorKind::Unsupported => {
            " (the kernel must have CONFIG_IP_MULTIPLE_TABLES and, with IPv6, CONFIG_IPV6_MULTIPLE_TABLES)"
        }
        _ => "",
    }
}

/// What `nft` printed, and whether it was content.
pub(crate) struct Answer {
    pub(crate) success: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `nft` in the namespace with `input` on its standard input. Blocks until it ends.
pub(crate) fn ask_nft(
    netns: &Netns,
    arguments: &[&str],
    input: &str,
) -> Result<Answer, CommandError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => CommandError::Missing,
        _ => CommandError::Run(source),
    };
    // The child is in the namespace that the thread was in when it was started; waiting happens outside.
    let mut child = netns
        .run(|| {
            Command::new("nft")
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

/// Has `nft` carry out a text of commands in the namespace, in one transaction.
pub(crate) fn tell_nft(netns: &Netns, commands: &str) -> Result<(), CommandError> {
    let arguments = ["-f", "-"];
    let answer = ask_nft(netns, &arguments, commands)?;
    if answer.success {
        return Ok(());
    }
    Err(failure(&arguments, &answer))
}

/// The error for an answer that is not good enough.
pub(crate) fn failure(arguments: &[&str], answer: &Answer) -> CommandError {
    CommandError::Failed {
        command: format!("nft {}", arguments.join(" ")),
        message: format!("{}{}", first_lines(&answer.stderr), lacking(&answer.stderr)),
    }
}

/// What to do about a kernel that knows no nftables. Without nfnetlink it has no such socket (EPROTONOSUPPORT), without nf_tables
/// nobody answers the request (EINVAL), and without the family inet the table is refused (EOPNOTSUPP, EAFNOSUPPORT).
fn lacking(stderr: &str) -> &'static str {
    let unknown = [
        "Protocol not supported",
        "cache initialization failed: Invalid argument",
        "Operation not supported",
        "Address family not supported",
    ];
    if unknown.iter().any(|said| stderr.contains(said)) {
        " (this node's kernel must have nftables: CONFIG_NF_TABLES_INET with NFT_CT, NFT_FIB_INET, NFT_REDIR and NFT_REJECT_INET; if they are modules, try `modprobe nf_tables`)"
    } else {
        ""
    }
}

/// Enough to see what is wrong: nft repeats the rule and underlines it, and an input may hold thousands.
fn first_lines(text: &str) -> String {
    text.trim().lines().take(6).collect::<Vec<_>>().join("; ")
}
