//! Writes the random worlds of the property tests as YAML, for programs of others to read what becomes of them: `worlds COUNT FOLDER`.
//!
//! The same COUNT gives the same worlds.

#[path = "../tests/support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fs, io, path::Path};

use proptest::{
    collection::vec,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use serde_json::Value;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [count, folder] = &arguments[..] else {
        return Err(io::Error::other("usage: worlds COUNT FOLDER"));
    };
    let count: usize = count.parse().map_err(io::Error::other)?;
    let worlds = vec(support::worlds::document(), 20..60);
    let mut random = TestRunner::deterministic();
    for number in 0..count {
        let tree = worlds.new_tree(&mut random);
        let tree = tree.map_err(|reason| io::Error::other(reason.to_string()))?;
        // Of several of one name the last one counts; JSON is YAML too.
        let objects: BTreeMap<String, String> = (tree.current().iter())
            .map(|object| (name(object), object.to_string()))
            .collect();
        let documents: Vec<String> = objects.into_values().collect();
        let file = Path::new(folder).join(format!("{number:03}.yaml"));
        fs::write(file, documents.join("\n---\n") + "\n")?;
    }
    Ok(())
}

fn name(object: &Value) -> String {
    let of = |pointer| object.pointer(pointer).unwrap_or(&Value::Null).to_string();
    [of("/kind"), of("/metadata/namespace"), of("/metadata/name")].join("/")
}
