//! A network configuration with the plugin in it, and without. Pure.
//!
//! Everything that others wrote stays, in its order. A single plugin's configuration (`.conf`) becomes a list of it and ours.

use serde_json::{Map, Value, json};

use crate::plugin::{Settings, VERSIONS};

/// The plugin's type, and so the binary's name.
pub const TYPE: &str = "heddle-cni";

/// Why a configuration is left as it is.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConflistError {
    /// Not JSON: somebody is writing it, or it is broken.
    #[error("it is no valid JSON: {0}")]
    Syntax(String),
    /// JSON, but neither a list of plugins nor a plugin.
    #[error("it is no network configuration: {0}")]
    Shape(&'static str),
    /// Plugins cannot be chained in this version.
    #[error("its cniVersion {0:?} is not one of {VERSIONS:?}")]
    Version(String),
}

/// The configuration with the plugin at its end. `None`: it is there already, with these settings.
///
/// An entry of ours that is there with other settings is changed where it stands; a second one goes.
///
/// # Errors
/// The text is no configuration that another plugin can be added to.
pub fn with_plugin(text: &str, settings: &Settings) -> Result<Option<String>, ConflistError> {
    let before = parse(text)?;
    let mut list = as_list(before.clone())?;
    let mut ours = entry(settings);
    let plugins = plugins(&mut list)?;
    match plugins.iter().position(is_ours) {
        Some(index) => {
            std::mem::swap(&mut plugins[index], &mut ours);
            let mut seen = false;
            plugins.retain(|plugin| !is_ours(plugin) || !std::mem::replace(&mut seen, true));
        }
        None => plugins.push(ours),
    }
    let after = Value::Object(list);
    Ok((after != Value::Object(before)).then(|| pretty(&after)))
}

/// The configuration without the plugin. `None`: it is not in there.
///
/// # Errors
/// The text is no configuration.
pub fn without_plugin(text: &str) -> Result<Option<String>, ConflistError> {
    let (stripped, changed) = stripped(text)?;
    Ok(changed.then(|| pretty(&Value::Object(stripped))))
}

/// Whether the plugin is in it.
///
/// # Errors
/// The text is no configuration.
pub fn has_plugin(text: &str) -> Result<bool, ConflistError> {
    stripped(text).map(|(_, changed)| changed)
}

/// Whether a configuration differs from an original by nothing but the plugin: then the original's bytes can come back.
pub fn came_from(text: &str, original: &str) -> bool {
    let original = parse(original).and_then(as_list);
    let stripped = stripped(text);
    matches!((stripped, original), (Ok((list, _)), Ok(original)) if list == original)
}

fn stripped(text: &str) -> Result<(Map<String, Value>, bool), ConflistError> {
    let mut list = parse(text)?;
    if !list.contains_key("plugins") {
        // A single plugin's: never ours, which comes after another.
        return Ok((list, false));
    }
    let plugins = plugins(&mut list)?;
    let before = plugins.len();
    plugins.retain(|plugin| !is_ours(plugin));
    let changed = plugins.len() != before;
    Ok((list, changed))
}

fn parse(text: &str) -> Result<Map<String, Value>, ConflistError> {
    let value = serde_json::from_str(text).map_err(|e| ConflistError::Syntax(e.to_string()))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(ConflistError::Shape("it is no object")),
    }
}

fn as_list(config: Map<String, Value>) -> Result<Map<String, Value>, ConflistError> {
    let list = if config.contains_key("plugins") {
        config
    } else if config.get("type").is_some_and(Value::is_string) {
        let name = config.get("name");
        let name = name.ok_or(ConflistError::Shape("it has no name"))?.clone();
        let version = config.get("cniVersion").cloned();
        let mut list = Map::new();
        list.extend(version.map(|version| ("cniVersion".to_owned(), version)));
        list.insert("name".to_owned(), name);
        list.insert("plugins".to_owned(), json!([config]));
        list
    } else {
        return Err(ConflistError::Shape("it has neither plugins nor a type"));
    };
    // No version is one from before lists. A list may name several versions, of which the runtime takes one.
    let of_list = list.get("cniVersion").into_iter();
    let several = list.get("cniVersions").and_then(Value::as_array);
    let mut named = of_list
        .chain(several.into_iter().flatten())
        .filter_map(Value::as_str);
    if !named.any(|version| VERSIONS.contains(&version)) {
        let version = list.get("cniVersion").and_then(Value::as_str);
        return Err(ConflistError::Version(
            version.unwrap_or_default().to_owned(),
        ));
    }
    Ok(list)
}

fn plugins(list: &mut Map<String, Value>) -> Result<&mut Vec<Value>, ConflistError> {
    match list.get_mut("plugins") {
        Some(Value::Array(plugins)) if plugins.iter().any(|plugin| !is_ours(plugin)) => Ok(plugins),
        Some(Value::Array(_)) => Err(ConflistError::Shape("it names no other plugin")),
        _ => Err(ConflistError::Shape("plugins is no list")),
    }
}

fn is_ours(plugin: &Value) -> bool {
    plugin.get("type").and_then(Value::as_str) == Some(TYPE)
}

fn entry(settings: &Settings) -> Value {
    let mut entry = json!({"type": TYPE});
    if let (Value::Object(entry), Ok(Value::Object(settings))) =
        (&mut entry, serde_json::to_value(settings))
    {
        entry.extend(settings);
    }
    entry
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests;
