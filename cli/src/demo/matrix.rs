//! The policy matrix: who may talk to whom, expected and seen.

use anyhow::{Context, bail};
use serde::Serialize;

use super::{
    mesh::Mesh,
    probes::{Outcome, ask, requests},
};

/// One attempt, and what should come of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Cell {
    pub(super) from: String,
    pub(super) how: How,
    pub(super) to: String,
    /// Whether an answer should come.
    pub(super) allowed: bool,
    pub(super) because: String,
}

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum How {
    Http,
    Tcp,
    Udp,
}

impl How {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Seen {
    #[serde(flatten)]
    pub(super) cell: Cell,
    /// Whether an answer came.
    pub(super) answered: bool,
    /// The answer or the error, in a few words.
    pub(super) detail: String,
}

impl Seen {
    pub(super) fn is_as_expected(&self) -> bool {
        self.answered == self.cell.allowed
    }
}

/// The lesson's matrix.
pub(super) fn lesson() -> anyhow::Result<Vec<Cell>> {
    parse(include_str!("matrix.txt"))
}

fn parse(text: &str) -> anyhow::Result<Vec<Cell>> {
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| cell(line).with_context(|| line.to_owned()))
        .collect()
}

fn cell(line: &str) -> anyhow::Result<Cell> {
    let words: Vec<_> = line.split_whitespace().collect();
    let [from, how, to, expected, because @ ..] = words.as_slice() else {
        bail!("a line is: from how to expected because");
    };
    Ok(Cell {
        from: (*from).to_owned(),
        how: match *how {
            "http" => How::Http,
            "tcp" => How::Tcp,
            "udp" => How::Udp,
            other => bail!("{other}: http, tcp or udp"),
        },
        to: (*to).to_owned(),
        allowed: match *expected {
            "allow" => true,
            "deny" => false,
            other => bail!("{other}: allow or deny"),
        },
        because: because.join(" "),
    })
}

/// How many are tried at the same time.
const AT_ONCE: usize = 8;

/// Tries every cell.
pub(super) fn look(mesh: &Mesh, cells: &[Cell]) -> anyhow::Result<Vec<Seen>> {
    let mut all = Vec::with_capacity(cells.len());
    for some in cells.chunks(AT_ONCE) {
        let seen: anyhow::Result<Vec<_>> = std::thread::scope(|scope| {
            let running: Vec<_> = some
                .iter()
                .map(|cell| scope.spawn(|| attempt(mesh, cell)))
                .collect();
            let ended = running.into_iter().map(|thread| match thread.join() {
                Ok(seen) => seen,
                Err(_) => bail!("an attempt of the matrix panicked"),
            });
            ended.collect()
        });
        all.extend(seen?);
    }
    Ok(all)
}

fn attempt(mesh: &Mesh, cell: &Cell) -> anyhow::Result<Seen> {
    let (answered, detail) = match cell.how {
        How::Http => by_http(mesh, cell)?,
        How::Tcp => by_words(mesh, cell, &["--say", "PING"])?,
        How::Udp => by_words(mesh, cell, &["--udp", "--say", "hello"])?,
    };
    Ok(Seen {
        cell: cell.clone(),
        answered,
        detail,
    })
}

fn by_http(mesh: &Mesh, cell: &Cell) -> anyhow::Result<(bool, String)> {
    let one = ["--count", "1", "--connections", "1", &cell.to];
    let seen = requests(mesh, Some(&cell.from), &one)?;
    let detail = match (seen.backends.first(), seen.errors.keys().next()) {
        (Some(backend), _) => format!("{} answered", backend.pod),
        (None, Some(error)) => error.clone(),
        (None, None) => "nothing".to_owned(),
    };
    Ok((seen.ok == 1, detail))
}

fn by_words(mesh: &Mesh, cell: &Cell, words: &[&str]) -> anyhow::Result<(bool, String)> {
    let arguments = [&["connect", &cell.to], words].concat();
    Ok(match ask(mesh, Some(&cell.from), &arguments)? {
        Outcome::Answered { answer, .. } => (true, answer),
        Outcome::Closed => (false, "closed".to_owned()),
        Outcome::Failed { error } => (false, error),
        Outcome::TimedOut => (false, "no answer".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lesson_has_both_kinds_of_cells_for_each_protocol() {
        let cells = lesson().unwrap();
        for how in [How::Http, How::Tcp, How::Udp] {
            for allowed in [true, false] {
                assert!(
                    cells
                        .iter()
                        .any(|cell| cell.how == how && cell.allowed == allowed),
                    "{how:?} {allowed}"
                );
            }
        }
    }

    #[test]
    fn a_line_that_is_no_cell_is_named() {
        let error = parse("a/b http c maybe because").unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "a/b http c maybe because: maybe: allow or deny"
        );
    }
}
