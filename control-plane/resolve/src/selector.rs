//! Label selectors, parsed once.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use heddle_resources::k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::names::{excerpt, is_dns_subdomain};

/// Labels of an object.
pub(crate) type Labels = BTreeMap<String, String>;

/// A selector: all requirements must hold; none selects everything. Equal meaning mostly has equal form (sorted, no duplicates).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Selector {
    requirements: BTreeSet<Requirement>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Requirement {
    In(String, BTreeSet<String>),
    NotIn(String, BTreeSet<String>),
    Exists(String),
    DoesNotExist(String),
}

impl Selector {
    /// Parses a selector; the error is (field below the selector, message).
    pub(crate) fn parse(selector: &LabelSelector) -> Result<Self, (String, String)> {
        let mut requirements = BTreeSet::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            let field = || format!("matchLabels[{key}]");
            check_key(key).map_err(|message| (field(), message))?;
            check_value(value).map_err(|message| (field(), message))?;
            requirements.insert(Requirement::In(
                key.clone(),
                BTreeSet::from([value.clone()]),
            ));
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let values = expression.values.clone().unwrap_or_default();
            let requirement = requirement(&expression.key, &expression.operator, values).map_err(
                |(field, message)| (format!("matchExpressions[{index}].{field}"), message),
            )?;
            requirements.insert(requirement);
        }
        Ok(Self { requirements })
    }

    /// Whether it selects an object with these labels.
    pub(crate) fn matches(&self, labels: &Labels) -> bool {
        self.requirements
            .iter()
            .all(|requirement| match requirement {
                Requirement::In(key, values) => {
                    labels.get(key).is_some_and(|value| values.contains(value))
                }
                // Kubernetes: an object without the key is selected too.
                Requirement::NotIn(key, values) => {
                    labels.get(key).is_none_or(|value| !values.contains(value))
                }
                Requirement::Exists(key) => labels.contains_key(key),
                Requirement::DoesNotExist(key) => !labels.contains_key(key),
            })
    }
}

fn requirement(
    key: &str,
    operator: &str,
    values: Vec<String>,
) -> Result<Requirement, (&'static str, String)> {
    check_key(key).map_err(|message| ("key", message))?;
    for value in &values {
        check_value(value).map_err(|message| ("values", message))?;
    }
    let empty = values.is_empty();
    let values: BTreeSet<String> = values.into_iter().collect();
    let key = key.to_owned();
    match operator {
        "In" | "NotIn" if empty => Err(("values", format!("{operator} needs at least one value"))),
        "In" => Ok(Requirement::In(key, values)),
        "NotIn" => Ok(Requirement::NotIn(key, values)),
        "Exists" | "DoesNotExist" if !empty => {
            Err(("values", format!("{operator} takes no values")))
        }
        "Exists" => Ok(Requirement::Exists(key)),
        "DoesNotExist" => Ok(Requirement::DoesNotExist(key)),
        _ => Err((
            "operator",
            format!(
                "{} is not one of In, NotIn, Exists, DoesNotExist",
                excerpt(operator)
            ),
        )),
    }
}

/// A label key: an optional DNS prefix and a name of 1 to 63 characters.
fn check_key(key: &str) -> Result<(), String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let ok = prefix.is_none_or(is_dns_subdomain) && !name.is_empty() && is_label_text(name);
    if ok {
        Ok(())
    } else {
        Err(format!("{} is not a label key", excerpt(key)))
    }
}

fn check_value(value: &str) -> Result<(), String> {
    if value.is_empty() || is_label_text(value) {
        Ok(())
    } else {
        Err(format!("{} is not a label value", excerpt(value)))
    }
}

fn is_label_text(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.len() <= 63
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(c))
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

/// `app=cart,tier in (a,b),!debug`, in an order of its own. Label text cannot hold the separators, so that different selectors print differently.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, requirement) in self.requirements.iter().enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            match requirement {
                Requirement::In(key, values) if values.len() == 1 => {
                    write!(f, "{key}={}", join(values))?
                }
                Requirement::In(key, values) => write!(f, "{key} in ({})", join(values))?,
                Requirement::NotIn(key, values) => write!(f, "{key} notin ({})", join(values))?,
                Requirement::Exists(key) => write!(f, "{key}")?,
                Requirement::DoesNotExist(key) => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}

fn join(values: &BTreeSet<String>) -> String {
    values
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(",")
}

#[cfg(test)]
mod tests;
