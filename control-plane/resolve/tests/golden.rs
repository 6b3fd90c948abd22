//! Golden folders: `tests/golden/<topic>/<case>/in.yaml` (after the topic's `_base.yaml`, if there is one) must resolve to exactly
//! `out.mesh.yaml` and `out.status.yaml` (statuses, then problems). A file that would be empty does not exist. A line `# sections: routes, gateways` at the top
//! of `_base.yaml` keeps only these sections of the mesh: what a topic is about.
//!
//! Each folder is one test, with the folder as its name. `HEDDLE_UPDATE_GOLDEN=1` rewrites the outputs and deletes stale ones; read the difference before you
//! commit it: a golden file that records a bug is worse than none.

mod golden_harness;
mod support;

use std::{fs, path::Path};

use golden_harness::{Case, compare, run};
use heddle_resolve::{Resolved, resolve};
use serde_json::{Map, Value};

fn main() -> std::process::ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    run(&root, check)
}

fn check(case: &Case) -> Result<(), String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let mut objects = Vec::new();
    let base = case.topic.join("_base.yaml");
    let base = if base.exists() {
        read(&base)?
    } else {
        String::new()
    };
    objects.extend(support::objects(&base).map_err(|error| format!("_base.yaml: {error}"))?);
    let sections = base
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# sections: "));
    objects.extend(
        support::objects(&read(&case.folder.join("in.yaml"))?)
            .map_err(|error| format!("in.yaml: {error}"))?,
    );
    let forward = resolve(&support::cluster(objects.clone()), &support::settings());
    let backward = resolve(
        &support::cluster(objects.into_iter().rev()),
        &support::settings(),
    );
    if forward != backward {
        return Err("the order of the documents makes a difference".to_owned());
    }
    let outputs = [
        ("out.mesh.yaml", mesh(&forward, sections)?),
        ("out.status.yaml", statuses(&forward)?),
    ];
    compare(case, &outputs)
}

/// Empty lists that say nothing and would fill the pages.
const QUIET: [&str; 8] = [
    "request_headers",
    "response_headers",
    "headers",
    "query",
    "timeouts",
    "except",
    "http_ports",
    "version",
];

fn mesh(resolved: &Resolved, only: Option<&str>) -> Result<String, String> {
    let mut value = serde_json::to_value(&resolved.mesh).map_err(|error| error.to_string())?;
    if let Value::Object(sections) = &mut value {
        let wanted =
            |name: &String| only.is_none_or(|only| only.split(", ").any(|one| one == name));
        sections.retain(|name, section| {
            !name.ends_with("_domain") && !is_empty(section) && wanted(name)
        });
    }
    tidy(&mut value);
    yaml(&value)
}

fn statuses(resolved: &Resolved) -> Result<String, String> {
    let mut value = serde_json::to_value(&resolved.statuses).map_err(|error| error.to_string())?;
    let problems: Vec<Value> = resolved
        .problems
        .iter()
        .map(|problem| Value::String(problem.to_string()))
        .collect();
    if let (Value::Object(sections), false) = (&mut value, problems.is_empty()) {
        sections.insert("problems".to_owned(), Value::Array(problems));
    }
    yaml(&value)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

/// Leaves out what is absent, and writes durations as people do.
fn tidy(value: &mut Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(tidy),
        Value::Object(map) => {
            if let Some(duration) = duration(map) {
                *value = Value::String(duration);
                return;
            }
            map.values_mut().for_each(tidy);
            map.retain(|name, value| {
                let quiet = QUIET.contains(&name.as_str()) && is_empty(value);
                !value.is_null() && !quiet
            });
        }
        _ => {}
    }
}

fn duration(map: &Map<String, Value>) -> Option<String> {
    let (seconds, nanos) = (map.get("secs")?.as_u64()?, map.get("nanos")?.as_u64()?);
    Some(format!("{}ms", seconds * 1000 + nanos / 1_000_000))
}

fn yaml(value: &Value) -> Result<String, String> {
    if is_empty(value) {
        return Ok(String::new());
    }
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}
