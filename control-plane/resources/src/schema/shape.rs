//! A schema, in the form that is quick to check against.

use std::{collections::BTreeMap, ops::RangeInclusive, sync::Arc};

use regex::Regex;
use serde_json::Value;

/// What a value may be.
#[derive(Debug)]
pub(super) struct Schema {
    /// Its type with the limits of that type.
    pub(super) shape: Shape,
    /// What it is where it is absent.
    pub(super) default: Option<Value>,
    /// Whether `null` is a value of its own; otherwise it means absent.
    pub(super) nullable: bool,
}

/// A type with its limits.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything: the schema leaves it open.
    Any,
    /// `true` or `false`.
    Boolean,
    /// A whole number within these limits.
    Integer(RangeInclusive<i64>),
    /// A number.
    Number,
    /// A number or a string: a port or its name, a quantity.
    IntOrString,
    /// A string.
    Text(Text),
    /// A list.
    List(List),
    /// An object with keys that the user chooses.
    Map {
        /// What the values may be.
        values: Arc<Schema>,
        /// How many.
        length: RangeInclusive<usize>,
    },
    /// An object with known fields, and no others.
    Record(BTreeMap<String, Field>),
}

/// A string.
#[derive(Debug)]
pub(super) struct Text {
    /// How many characters (not bytes).
    pub(super) length: RangeInclusive<usize>,
    /// What it must match.
    pub(super) pattern: Option<Regex>,
    /// The only values, if not empty.
    pub(super) choices: Vec<String>,
}

/// A list.
#[derive(Debug)]
pub(super) struct List {
    /// What the items may be.
    pub(super) items: Arc<Schema>,
    /// How many.
    pub(super) length: RangeInclusive<usize>,
    /// No two items may be the same by this.
    pub(super) unique: Unique,
}

/// By what the items of a list must differ.
#[derive(Debug)]
pub(super) enum Unique {
    /// By nothing.
    No,
    /// As a whole (list type `set`).
    Whole,
    /// By these fields (list type `map`).
    By(Vec<String>),
}

/// A field of a record.
#[derive(Debug)]
pub(super) struct Field {
    /// What it may be.
    pub(super) schema: Arc<Schema>,
    /// Whether it must be there.
    pub(super) required: bool,
}
