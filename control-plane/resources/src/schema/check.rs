//! Checks a value against a [`Schema`], filling in defaults.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    shape::{Field, List, Schema, Shape, Text, Unique},
    violation::{Path, Violation},
};

/// Checks a document; what is absent and has a default is filled in, and nulls that mean "absent" are removed.
pub(super) fn check(schema: &Schema, document: &mut Value) -> Vec<Violation> {
    let mut checker = Checker::default();
    checker.value(schema, document, Path::Root);
    checker.violations
}

#[derive(Default)]
struct Checker {
    violations: Vec<Violation>,
}

impl Checker {
    fn refuse(&mut self, path: Path<'_>, message: impl Into<String>) {
        if self.violations.len() < Violation::MOST {
            self.violations
                .push(Violation::new(path.to_string(), message));
        }
    }

    fn value(&mut self, schema: &Schema, value: &mut Value, path: Path<'_>) {
        if value.is_null() && schema.nullable {
            return;
        }
        match (&schema.shape, &mut *value) {
            (Shape::Any, _)
            | (Shape::Boolean, Value::Bool(_))
            | (Shape::Number | Shape::IntOrString, Value::Number(_))
            | (Shape::IntOrString, Value::String(_)) => {}
            (Shape::Integer(range), Value::Number(number))
                if number.as_i64().is_some_and(|n| range.contains(&n)) => {}
            (Shape::Integer(range), Value::Number(number)) => {
                let (least, most) = (range.start(), range.end());
                self.refuse(
                    path,
                    format!("must be a whole number from {least} to {most}, not {number}"),
                );
            }
            (Shape::Text(text), Value::String(value)) => self.text(text, value, path),
            (Shape::List(list), Value::Array(items)) => self.list(list, items, path),
            (Shape::Map { values, length }, Value::Object(entries)) => {
                entries.retain(|_, value| values.nullable || !value.is_null());
                if !length.contains(&entries.len()) {
                    return self.refuse(
                        path,
                        count("entries", entries.len(), *length.start(), *length.end()),
                    );
                }
                for (key, value) in entries {
                    self.value(values, value, Path::Field(&path, key));
                }
            }
            (Shape::Record(fields), Value::Object(object)) => self.record(fields, object, path),
            (shape, value) => {
                let hint = match (shape, &value) {
                    (Shape::Text(_), Value::Bool(_) | Value::Number(_)) => " (put it in quotes)",
                    _ => "",
                };
                self.refuse(
                    path,
                    format!("must be {}, not {}{hint}", expected(shape), found(value)),
                );
            }
        }
    }

    fn text(&mut self, text: &Text, value: &str, path: Path<'_>) {
        let length = value.chars().count();
        if !text.choices.is_empty() && !text.choices.iter().any(|choice| choice == value) {
            let choices = text.choices.join(", ");
            self.refuse(
                path,
                format!("must be one of {choices}, not {:?}", shortened(value)),
            );
        } else if !text.length.contains(&length) {
            self.refuse(
                path,
                count(
                    "characters",
                    length,
                    *text.length.start(),
                    *text.length.end(),
                ),
            );
        } else if let Some(pattern) = text
            .pattern
            .as_ref()
            .filter(|pattern| !pattern.is_match(value))
        {
            self.refuse(
                path,
                format!("{:?} does not match {pattern}", shortened(value)),
            );
        }
    }

    fn list(&mut self, list: &List, items: &mut [Value], path: Path<'_>) {
        if !list.length.contains(&items.len()) {
            // Too long a list is not looked into: that is what the limit is for.
            return self.refuse(
                path,
                count(
                    "items",
                    items.len(),
                    *list.length.start(),
                    *list.length.end(),
                ),
            );
        }
        for (index, item) in items.iter_mut().enumerate() {
            self.value(&list.items, item, Path::Item(&path, index));
        }
        self.duplicates(&list.unique, items, path);
    }

    fn duplicates(&mut self, unique: &Unique, items: &[Value], path: Path<'_>) {
        let key = |item: &Value| match unique {
            Unique::No => None,
            Unique::Whole => Some(item.to_string()),
            Unique::By(fields) => {
                let values = fields
                    .iter()
                    .map(|field| format!("{field}: {}", item[field.as_str()]));
                Some(values.collect::<Vec<_>>().join(", "))
            }
        };
        let mut seen = BTreeSet::new();
        for (index, key) in items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| Some((index, key(item)?)))
        {
            if !seen.insert(key.clone()) {
                self.refuse(
                    Path::Item(&path, index),
                    format!("duplicate of another item ({})", shortened(&key)),
                );
            }
        }
    }

    fn record(
        &mut self,
        fields: &BTreeMap<String, Field>,
        object: &mut Map<String, Value>,
        path: Path<'_>,
    ) {
        object.retain(|name, value| {
            !value.is_null() || fields.get(name).is_none_or(|field| field.schema.nullable)
        });
        for name in object.keys().filter(|name| !fields.contains_key(*name)) {
            self.refuse(path, unknown(name, fields));
        }
        for (name, field) in fields {
            if let Some(value) = object.get_mut(name) {
                self.value(&field.schema, value, Path::Field(&path, name));
            } else if let Some(default) = &field.schema.default {
                let mut value = default.clone();
                self.value(&field.schema, &mut value, Path::Field(&path, name));
                object.insert(name.clone(), value);
            } else if field.required {
                self.refuse(path, format!("required field {name:?} is missing"));
            }
        }
    }
}

fn unknown(name: &str, fields: &BTreeMap<String, Field>) -> String {
    let close = fields
        .keys()
        .map(|known| (distance(name, known), known))
        .min();
    match close {
        Some((distance, known)) if distance <= 2 => {
            format!(
                "unknown field {:?} (did you mean {known:?}?)",
                shortened(name)
            )
        }
        _ => format!("unknown field {:?}", shortened(name)),
    }
}

/// How many letters must be added, removed or changed to make one word of the other, whatever their case.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, letter) in one
        .chars()
        .take(64)
        .flat_map(char::to_lowercase)
        .enumerate()
    {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, known) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *known);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

fn count(what: &str, is: usize, least: usize, most: usize) -> String {
    if is > most {
        format!("has {is} {what}, at most {most} are allowed")
    } else {
        format!("has {is} {what}, at least {least} must be given")
    }
}

fn expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Any => "a value",
        Shape::Boolean => "true or false",
        Shape::Integer(_) => "a whole number",
        Shape::Number => "a number",
        Shape::IntOrString => "a number or a string",
        Shape::Text(_) => "a string",
        Shape::List(_) => "a list",
        Shape::Map { .. } | Shape::Record(_) => "an object",
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => format!("{value}"),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {:?}", shortened(text)),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A user's text, short enough for a log line.
fn shortened(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}
