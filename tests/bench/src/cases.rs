//! What is measured.

use anyhow::bail;

use crate::wire::Exchange;

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    /// Short, for the command line and the JSON.
    pub(crate) name: &'static str,
    /// For people.
    pub(crate) title: &'static str,
    /// What is sent and answered.
    pub(crate) exchange: Exchange,
    /// Whether a connection serves more than one exchange.
    pub(crate) connections: Connections,
    /// Exchanges a second over all clients; `None`: each client sends the next as soon as it has the answer.
    pub(crate) rate: Option<f64>,
    /// Whether the path without proxies is measured too. At full speed it is bound by client and server, which tells nothing.
    pub(crate) with_control: bool,
}

/// What becomes of a connection after an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Connections {
    /// It serves the next one.
    Kept,
    /// The client closes it, and opens another for the next one.
    New,
}

/// Clients that send at the same time, each over one connection at a time.
pub(crate) const CLIENTS: u32 = 16;

const CASES: &[Case] = &[
    Case {
        name: "http-paced",
        title: "HTTP/1.1, 2,000 requests/s",
        exchange: Exchange::Http,
        connections: Connections::Kept,
        rate: Some(2000.0),
        with_control: true,
    },
    Case {
        name: "http-full",
        title: "HTTP/1.1, full speed",
        exchange: Exchange::Http,
        connections: Connections::Kept,
        rate: None,
        with_control: false,
    },
    Case {
        name: "bytes-paced",
        title: "bytes, 2,000 exchanges/s",
        exchange: Exchange::Bytes,
        connections: Connections::Kept,
        rate: Some(2000.0),
        with_control: true,
    },
    Case {
        name: "bytes-full",
        title: "bytes, full speed",
        exchange: Exchange::Bytes,
        connections: Connections::Kept,
        rate: None,
        with_control: false,
    },
    Case {
        name: "http-new",
        title: "HTTP/1.1, 500 new connections/s",
        exchange: Exchange::Http,
        connections: Connections::New,
        rate: Some(500.0),
        with_control: true,
    },
    Case {
        name: "bytes-new",
        title: "bytes, 500 new connections/s",
        exchange: Exchange::Bytes,
        connections: Connections::New,
        rate: Some(500.0),
        with_control: true,
    },
];

/// The cases whose names begin with one of the given ones; all, if none is given.
pub(crate) fn chosen(beginnings: &[String]) -> anyhow::Result<Vec<Case>> {
    let wanted = |case: &&Case| {
        beginnings.is_empty() || beginnings.iter().any(|begin| case.name.starts_with(begin))
    };
    let cases: Vec<_> = CASES.iter().filter(wanted).copied().collect();
    if cases.is_empty() {
        let names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        bail!("no such case; there are: {}", names.join(", "));
    }
    Ok(cases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_chosen_by_the_beginning_of_their_names() {
        let names = |beginnings: &[&str]| {
            let beginnings: Vec<_> = beginnings.iter().map(|&text| text.to_owned()).collect();
            let cases = chosen(&beginnings).unwrap();
            cases.iter().map(|case| case.name).collect::<Vec<_>>()
        };
        assert_eq!(names(&[]).len(), CASES.len());
        assert_eq!(names(&["bytes-p"]), ["bytes-paced"]);
        assert_eq!(
            names(&["bytes-new", "http-full"]),
            ["http-full", "bytes-new"]
        );
        assert!(chosen(&["quic".to_owned()]).is_err());
    }
}
