//! `heddle config`: the resources of one client, as the control plane wants them and as the client has accepted them.

use std::process::ExitCode;

use anyhow::bail;
use clap::ValueEnum;
use serde_json::{Value, json};
use similar::TextDiff;

use super::{
    FINDINGS,
    ask::{Question, ask},
    client::{Client, Held, State, Version},
    kinds::Kind,
    reach::Reach,
    text::{printable, table},
};

/// What one client should have, and has. Keys and passwords are never shown. With --diff it ends with 79 if they differ.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Which resources.
    #[arg(value_enum)]
    kind: Kind,
    /// Which client, as `heddle status` names it.
    client: String,
    /// Only the resource of this name.
    #[arg(long)]
    name: Option<String>,
    /// How to print it.
    #[arg(short, long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Only what differs between wanted and running, line by line.
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    reach: Reach,
}

/// How to print it.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// One line each.
    Table,
    /// Protobuf's canonical mapping, with type URLs.
    Json,
    /// The same as YAML.
    Yaml,
}

/// One resource, decoded.
pub(super) struct Shown<'a> {
    held: &'a Held,
    wanted: Value,
    running: Value,
}

pub(super) async fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let name = &arguments.client;
    let (clients, problems) = ask(&arguments.reach, Question::Client(name)).await?;
    for problem in &problems {
        eprintln!("{problem}");
    }
    if clients.is_empty() {
        bail!("no client {name:?} is connected; heddle status lists those that are");
    }
    let kind = arguments.kind;
    let mut shown = Vec::new();
    for client in &clients {
        shown.extend(select(client, kind, arguments.name.as_deref()));
    }
    if let (Some(wanted), true) = (&arguments.name, shown.is_empty()) {
        bail!("{name} has no {} of the name {wanted:?}", kind.singular());
    }
    if arguments.diff {
        let text = diff(&shown);
        print!("{text}");
        return Ok(match text.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::from(FINDINGS),
        });
    }
    match arguments.output {
        Output::Table => print!("{}", rows(kind, &shown)),
        Output::Json => println!("{:#}", list(name, &shown)),
        Output::Yaml => print!("{}", yaml(&list(name, &shown))),
    }
    Ok(ExitCode::SUCCESS)
}

/// The resources of a kind that a client has or should have.
pub(super) fn select<'a>(client: &'a Client, kind: Kind, name: Option<&str>) -> Vec<Shown<'a>> {
    let of_kind = client
        .resources
        .iter()
        .filter(|held| held.type_url == kind.type_url())
        .filter(|held| name.is_none_or(|name| held.name == name));
    of_kind
        .filter_map(|held| {
            let (wanted, running) = (part(kind, &held.wanted), part(kind, &held.running));
            let nothing = kind == Kind::Policies && wanted.is_null() && running.is_null();
            (!nothing).then_some(Shown {
                held,
                wanted,
                running,
            })
        })
        .collect()
}

/// Null: there is none, or it is not known. What cannot be decoded is shown as the error that it is.
fn part(kind: Kind, version: &Version) -> Value {
    let Some(body) = &version.body else {
        return Value::Null;
    };
    match heddle_proto_json::any(&body.type_url, &body.value) {
        Ok(mut value) => {
            heddle_proto_json::redact(&mut value);
            kind.part(value).unwrap_or_default()
        }
        Err(error) => json!({"@type": body.type_url, "cannotBeShown": error.to_string()}),
    }
}

pub(super) fn rows(kind: Kind, shown: &[Shown<'_>]) -> String {
    let rows = shown.iter().map(|shown| {
        let Held {
            name,
            state,
            wanted,
            running,
            ..
        } = shown.held;
        let content = if shown.wanted.is_null() {
            &shown.running
        } else {
            &shown.wanted
        };
        let summary = match content {
            Value::Null => String::new(),
            content => kind.summary(content),
        };
        vec![
            name.clone(),
            state.word().to_owned(),
            wanted.version.clone(),
            running.version.clone(),
            summary,
        ]
    });
    table(&["NAME", "STATE", "WANTED", "RUNNING", "CONTENT"], rows)
}

pub(super) fn list(client: &str, shown: &[Shown<'_>]) -> Value {
    let items = shown.iter().map(
        |Shown {
             held,
             wanted,
             running,
         }| {
            json!({
                "typeUrl": held.type_url,
                "name": held.name,
                "state": held.state.word(),
                "details": held.details,
                "wanted": {"version": held.wanted.version, "resource": wanted},
                "running": {"version": held.running.version, "resource": running},
            })
        },
    );
    json!({
        "apiVersion": "heddle.dev/v1",
        "kind": "ClientConfig",
        "client": client,
        "items": items.collect::<Vec<_>>(),
    })
}

/// Empty if nothing differs. Lines of the running version with `-`, of the wanted one with `+`.
pub(super) fn diff(shown: &[Shown<'_>]) -> String {
    let differing = shown
        .iter()
        .filter(|shown| !matches!(shown.held.state, State::Synced | State::Missing));
    let texts = differing.map(
        |Shown {
             held,
             wanted,
             running,
         }| {
            let (old, new) = (yaml(running), yaml(wanted));
            let title = |which: &str, version: &str| format!("{} {which} {version}", held.name);
            let changes = TextDiff::from_lines(&old, &new)
                .unified_diff()
                .header(
                    &title("running", &held.running.version),
                    &title("wanted", &held.wanted.version),
                )
                .to_string();
            let why = match held.details.as_str() {
                "" => String::new(),
                details => format!("# {}: {}\n", held.state.word(), details.replace('\n', " ")),
            };
            printable(&(why + &changes))
        },
    );
    texts.collect()
}

fn yaml(value: &Value) -> String {
    if value.is_null() {
        return String::new();
    }
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}
