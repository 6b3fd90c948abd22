//! `heddle status`: one row for each client of the control plane, and below what they refuse, with what to do next.

use std::process::ExitCode;

use clap::ValueEnum;
use heddle_proto::type_url;
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    FINDINGS,
    ask::{Question, ask},
    client::{Client, Held, State},
    kinds::Kind,
    reach::Reach,
    text::{length, printable, table, until},
};

/// Who is connected, how far each client is, and what it refuses. Ends with 79 if a client refuses something, so that scripts can tell.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    reach: Reach,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

/// How to print it.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// For people.
    Table,
    /// With identity, address and age of each stream.
    Wide,
    /// For programs.
    Json,
}

const HEAD: [&str; 11] = [
    "CLIENT",
    "KIND",
    "VERSION",
    "LISTENERS",
    "ROUTES",
    "CLUSTERS",
    "ENDPOINTS",
    "OTHER",
    "LAG",
    "NACK",
    "CERT",
];

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (clients, problems) = ask(&arguments.reach, Question::Overview).await?;
    let now = OffsetDateTime::now_utc();
    match arguments.output {
        Output::Table => print!("{}", report(&clients, now, false)),
        Output::Wide => print!("{}", report(&clients, now, true)),
        Output::Json => println!("{:#}", list(&clients)),
    }
    for problem in &problems {
        eprintln!("{problem}");
    }
    let found = clients
        .iter()
        .any(|client| refused(client).next().is_some());
    Ok(if found {
        ExitCode::from(FINDINGS)
    } else if problems.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn refused(client: &Client) -> impl Iterator<Item = &Held> {
    let resources = client.resources.iter();
    resources.filter(|held| held.state == State::Refused)
}

/// Everything for people.
pub(super) fn report(clients: &[Client], now: OffsetDateTime, wide: bool) -> String {
    if clients.is_empty() {
        return "No client is connected. Do node proxies run, and does one of them log why it cannot connect?\n".to_owned();
    }
    let mut head = HEAD.to_vec();
    if wide {
        head.extend(["IDENTITY", "PEER", "STREAM", "CONNECTED"]);
    }
    let mut text = table(&head, clients.iter().map(|client| row(client, now, wide)));
    for client in clients {
        for held in refused(client) {
            text += &refusal(client, held);
        }
    }
    text
}

fn row(client: &Client, now: OffsetDateTime, wide: bool) -> Vec<String> {
    let columns = [
        type_url::LISTENER,
        type_url::ROUTE_CONFIGURATION,
        type_url::CLUSTER,
        type_url::CLUSTER_LOAD_ASSIGNMENT,
    ];
    let mut row = vec![
        client.name.clone(),
        client.role.clone(),
        client.version.clone(),
    ];
    row.extend(columns.map(|type_url| counts(client, |of| of == type_url)));
    row.push(counts(client, |of| !columns.contains(&of)));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an age in seconds"
    )]
    let lag = client.unanswered.map(|seconds| length(seconds as u64));
    row.push(lag.unwrap_or_default());
    row.push(match refused(client).count() {
        0 => String::new(),
        count => count.to_string(),
    });
    let expires = client.certificate_expires.as_deref();
    row.push(expires.map(|at| until(at, now)).unwrap_or_default());
    if wide {
        row.extend([
            client.identity.clone(),
            client.peer.clone(),
            format!("{} {}", client.stream, client.variant),
            client.connected_since.clone(),
        ]);
    }
    row
}

/// `12` if all are in sync, else `11/12`; nothing where nothing was asked for.
fn counts(client: &Client, which: impl Fn(&str) -> bool) -> String {
    let mut of_types = client
        .types
        .iter()
        .filter(|of| which(&of.type_url))
        .peekable();
    if of_types.peek().is_none() {
        return String::new();
    }
    let (wanted, synced) = of_types.fold((0, 0), |(wanted, synced), of| {
        (wanted + of.wanted, synced + of.synced)
    });
    match wanted == synced {
        true => wanted.to_string(),
        false => format!("{synced}/{wanted}"),
    }
}

fn refusal(client: &Client, held: &Held) -> String {
    let kind = Kind::of(&held.type_url);
    let (name, what) = (
        printable(&client.name),
        kind.map_or("resource", Kind::singular),
    );
    let goes_on = match held.running.version.as_str() {
        "" => "It has no version of this that it can use, or did not say which it goes on with."
            .to_owned(),
        version => format!("It goes on with version {}.", printable(version)),
    };
    let look = kind.map_or_else(String::new, |kind| {
        format!(
            "\n  Look: heddle config {} {name} --name {} --diff",
            kind.word(),
            printable(&held.name)
        )
    });
    format!(
        "\n{name} refuses the {what} {} (version {}):\n  {}\n  {goes_on}{look}\n",
        printable(&held.name),
        printable(&held.wanted.version),
        printable(&held.details).replace('\n', "\n  "),
    )
}

/// Everything for programs.
pub(super) fn list(clients: &[Client]) -> Value {
    let items = clients.iter().map(|client| {
        let types = client.types.iter().map(|of| {
            let counts = json!({"wanted": of.wanted, "synced": of.synced});
            (of.type_url.clone(), counts)
        });
        let pending = client.resources.iter().map(|held| {
            json!({
                "typeUrl": held.type_url,
                "name": held.name,
                "state": held.state.word(),
                "wantedVersion": held.wanted.version,
                "runningVersion": held.running.version,
                "details": held.details,
            })
        });
        json!({
            "name": client.name,
            "role": client.role,
            "version": client.version,
            "identity": client.identity,
            "peer": client.peer,
            "stream": client.stream,
            "variant": client.variant,
            "connectedSince": client.connected_since,
            "unansweredSeconds": client.unanswered,
            "certificateExpires": client.certificate_expires,
            "types": types.collect::<serde_json::Map<_, _>>(),
            "pending": pending.collect::<Vec<_>>(),
        })
    });
    json!({
        "apiVersion": "heddle.dev/v1",
        "kind": "ClientStatusList",
        "items": items.collect::<Vec<_>>(),
    })
}
