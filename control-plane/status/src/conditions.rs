//! A list of conditions (KEP-1623): a map by type, of which some types are ours.

use std::fmt;

use heddle_resolve::{Condition, ConditionType};
use serde_json::{Value, json};

/// The API's limit on a list of conditions (Gateway API, `maxItems`).
const MAX_CONDITIONS: usize = 8;
/// The API's limit on a message, in characters (metav1.Condition).
const MAX_MESSAGE: usize = 32_768;

/// A condition that turned: for the worse, from bad to good, or to another reason for being bad.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The part of the object that it is about, as in `listener http`; empty for the object itself.
    pub place: String,
    /// Which condition.
    pub r#type: ConditionType,
    /// What it is now.
    pub status: bool,
    /// Why, in one word.
    pub reason: &'static str,
    /// Why, for people; may be empty.
    pub message: String,
}

impl Transition {
    /// Whether it is for the worse.
    pub fn is_bad(&self) -> bool {
        is_bad(self.r#type, self.status)
    }
}

impl fmt::Display for Transition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        let word = if self.status { "True" } else { "False" };
        write!(f, "{} is {word}", self.r#type.as_str())?;
        match self.message.as_str() {
            "" => Ok(()),
            message => write!(f, ": {message}"),
        }
    }
}

/// Some conditions are good news when they are false.
fn is_bad(r#type: ConditionType, status: bool) -> bool {
    match r#type {
        ConditionType::Conflicted | ConditionType::PartiallyInvalid => status,
        ConditionType::Accepted
        | ConditionType::Programmed
        | ConditionType::ResolvedRefs
        | ConditionType::SupportedVersion => !status,
    }
}

/// Puts our conditions into a list, each in its place, and leaves those of other types alone.
pub(crate) struct Merge<'a> {
    /// Types that are ours in this list: one that is not wanted now is removed.
    pub(crate) owned: &'a [ConditionType],
    /// What to call the list in transitions.
    pub(crate) place: &'a str,
    /// The time of transitions, RFC 3339.
    pub(crate) now: &'a str,
}

impl Merge<'_> {
    pub(crate) fn apply(
        &self,
        current: &Value,
        wanted: &[Condition],
        transitions: &mut Vec<Transition>,
    ) -> Value {
        let current = current.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut merged: Vec<Value> = Vec::with_capacity(current.len().max(wanted.len()));
        let mut placed = Vec::with_capacity(wanted.len());
        for known in current {
            let name = known["type"].as_str().unwrap_or_default();
            let ours = wanted
                .iter()
                .find(|condition| condition.r#type.as_str() == name);
            match ours {
                // A second one of a type is no condition at all.
                Some(condition) if placed.contains(&condition.r#type) => {}
                Some(condition) => {
                    placed.push(condition.r#type);
                    merged.push(self.one(Some(known), condition, transitions));
                }
                None if self.owned.iter().any(|owned| owned.as_str() == name) => {}
                None => merged.push(known.clone()),
            }
        }
        for condition in wanted {
            if !placed.contains(&condition.r#type) {
                merged.push(self.one(None, condition, transitions));
            }
        }
        self.shorten(&mut merged);
        Value::Array(merged)
    }

    /// A list that is too long would be refused as a whole; what we have to say goes first.
    fn shorten(&self, merged: &mut Vec<Value>) {
        while merged.len() > MAX_CONDITIONS {
            let foreign = merged.iter().rposition(|condition| {
                let name = condition["type"].as_str();
                !self.owned.iter().any(|owned| Some(owned.as_str()) == name)
            });
            match foreign {
                Some(index) => drop(merged.remove(index)),
                None => return,
            }
        }
    }

    fn one(
        &self,
        known: Option<&Value>,
        wanted: &Condition,
        transitions: &mut Vec<Transition>,
    ) -> Value {
        let status = if wanted.status { "True" } else { "False" };
        let (was, since, reason) = known.map_or((None, None, None), |known| {
            (
                known["status"].as_str(),
                known["lastTransitionTime"].as_str(),
                known["reason"].as_str(),
            )
        });
        let same = was == Some(status);
        let bad = is_bad(wanted.r#type, wanted.status);
        let was_bad = was.is_some_and(|was| {
            let known = matches!(was, "True" | "False");
            known && is_bad(wanted.r#type, was == "True")
        });
        let news = match bad {
            true => !same || reason != Some(wanted.reason),
            false => was_bad,
        };
        if news {
            transitions.push(Transition {
                place: self.place.to_owned(),
                r#type: wanted.r#type,
                status: wanted.status,
                reason: wanted.reason,
                message: wanted.message.clone(),
            });
        }
        let since = since.filter(|since| same && !since.is_empty());
        let mut value = json!({
            "type": wanted.r#type.as_str(),
            "status": status,
            "reason": wanted.reason,
            // Required by the API, also where there is nothing to say.
            "message": shortened(&wanted.message),
            "lastTransitionTime": since.unwrap_or(self.now),
        });
        if let Some(generation) = wanted.observed_generation {
            value["observedGeneration"] = generation.into();
        }
        value
    }
}

fn shortened(message: &str) -> &str {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => &message[..end],
        None => message,
    }
}
