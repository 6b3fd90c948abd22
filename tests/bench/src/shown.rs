//! What every program of a run was told, for whoever wants to know how fair it was.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;
use heddle_interop_xds::fixed::Fixed;
use heddle_proto::{Message, Name};
use serde_json::{Value, json};

/// The folder beside the report.
pub(crate) const FOLDER: &str = "configs";
/// The file with the command lines.
const COMMANDS: &str = "commands.txt";
/// Longer lists are cut in the middle, where they repeat themselves, to so many entries at both ends.
const ENDS: usize = 3;

/// Files and command lines as they were, but for keys and for where programs are installed.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    files: Vec<(String, String)>,
    commands: String,
}

impl Shown {
    /// A configuration file, by its name in the folder.
    pub(crate) fn file(&mut self, name: &str, text: &str) {
        self.files.push((name.to_owned(), text.to_owned()));
    }

    /// A program that is started.
    pub(crate) fn command(&mut self, name: &str, command: &Command) {
        let words = [command.get_program()]
            .into_iter()
            .chain(command.get_args());
        let mut words: Vec<_> = words.map(|word| word_of(&word.to_string_lossy())).collect();
        // What comes before enters the namespaces of a node or a pod.
        let begin = words.iter().position(|word| word == "taskset");
        words.drain(..begin.unwrap_or_default());
        // Writing to a String does not fail.
        let _ = writeln!(self.commands, "{name}: {}", words.join(" "));
    }

    /// Names of all files.
    pub(crate) fn names(&self) -> Vec<String> {
        let files = self.files.iter().map(|(name, _)| name.clone());
        files.chain([COMMANDS.to_owned()]).collect()
    }

    /// Writes them into [`FOLDER`] in a folder, in the place of an earlier run's.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        let folder = folder.join(FOLDER);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| folder.display().to_string())?;
        }
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let files = self.files.iter().map(|(name, text)| (name.as_str(), text));
        for (name, text) in files.chain([(COMMANDS, &self.commands)]) {
            let file: PathBuf = folder.join(name);
            fs::write(&file, text).with_context(|| file.display().to_string())?;
        }
        Ok(())
    }
}

/// A program's own folder says nothing of the run.
fn word_of(word: &str) -> String {
    let path = Path::new(word);
    match path.file_name() {
        Some(name) if path.is_absolute() && !path.starts_with("/run") => {
            name.to_string_lossy().into_owned()
        }
        _ => word.to_owned(),
    }
}

/// Listeners, clusters and secrets in the form of Envoy's static configuration. What repeats itself is cut, and keys are taken out.
pub(crate) fn fixed(fixed: &Fixed) -> anyhow::Result<String> {
    let mut all = json!({"staticResources": {
        "listeners": each(&fixed.listeners)?,
        "clusters": each(&fixed.clusters)?,
        "secrets": each(&fixed.secrets)?,
    }});
    heddle_proto_json::redact(&mut all);
    cut(&mut all);
    Ok(serde_json::to_string_pretty(&all)? + "\n")
}

fn each<M: Message + Name>(messages: &[M]) -> anyhow::Result<Vec<Value>> {
    let value = |message: &M| {
        let value = heddle_proto_json::message(&M::full_name(), &message.encode_to_vec());
        value.with_context(|| M::full_name())
    };
    messages.iter().map(value).collect()
}

fn cut(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(cut),
        Value::Array(items) => {
            let left_out = items.len().saturating_sub(2 * ENDS);
            if left_out > ENDS {
                let note = json!(format!("... {left_out} more of these ..."));
                items.splice(ENDS..ENDS + left_out, [note]);
            }
            items.iter_mut().for_each(cut);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_lists_are_cut_and_both_ends_of_them_stay() {
        let mut value =
            json!({"long": (0..5000).collect::<Vec<_>>(), "short": (0..9).collect::<Vec<_>>()});
        cut(&mut value);
        let note = "... 4994 more of these ...";
        assert_eq!(value["long"], json!([0, 1, 2, note, 4997, 4998, 4999]));
        assert_eq!(value["short"], json!((0..9).collect::<Vec<_>>()));
    }

    #[test]
    fn a_command_tells_neither_its_namespaces_nor_where_programs_are_installed() {
        let mut shown = Shown::default();
        let mut command = Command::new("nsenter");
        command.args([
            "--net=/run/netns/node-a",
            "--",
            "taskset",
            "-c",
            "0",
            "/home/someone/bin/proxy",
            "/run/bench/proxy.cfg",
        ]);
        shown.command("proxy", &command);
        assert_eq!(
            shown.commands,
            "proxy: taskset -c 0 proxy /run/bench/proxy.cfg\n"
        );
    }
}
