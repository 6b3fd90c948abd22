//! What is wrong with a resource, and where.

use std::fmt;

/// A resource, or a part of one, that is not understood. Prints as `filter_chains[0].filters[1]: unknown filter ...`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    field: String,
    problem: String,
}

impl DecodeError {
    pub(crate) fn new(problem: impl fmt::Display) -> Self {
        Self {
            field: String::new(),
            problem: problem.to_string(),
        }
    }

    /// The path of the field, empty for the resource as a whole.
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong there.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    pub(crate) fn within(mut self, outer: impl fmt::Display) -> Self {
        self.field = match self.field.as_str() {
            "" => outer.to_string(),
            inner => format!("{outer}.{inner}"),
        };
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.problem)
    }
}

impl std::error::Error for DecodeError {}

/// The result of decoding.
pub(crate) type Decoded<T> = Result<T, DecodeError>;

/// Refuses.
pub(crate) fn refuse<T>(problem: impl fmt::Display) -> Decoded<T> {
    Err(DecodeError::new(problem))
}

/// Adds the place to an error.
pub(crate) trait At<T> {
    /// In this field.
    fn at(self, field: impl fmt::Display) -> Decoded<T>;
    /// In this element of a repeated field.
    fn at_index(self, field: &str, index: usize) -> Decoded<T>;
}

impl<T, E: Into<DecodeError>> At<T> for Result<T, E> {
    fn at(self, field: impl fmt::Display) -> Decoded<T> {
        self.map_err(|error| error.into().within(field))
    }

    fn at_index(self, field: &str, index: usize) -> Decoded<T> {
        self.map_err(|error| error.into().within(format_args!("{field}[{index}]")))
    }
}

/// Decodes each element of a repeated field; errors say which one.
pub(crate) fn each<T, U>(
    field: &str,
    elements: &[T],
    mut decode: impl FnMut(&T) -> Decoded<U>,
) -> Decoded<Vec<U>> {
    elements
        .iter()
        .enumerate()
        .map(|(index, element)| decode(element).at_index(field, index))
        .collect()
}

/// Refuses what is set and not understood: silently dropping it could change what the sender meant.
pub(crate) fn unsupported(set: bool, field: &str) -> Decoded<()> {
    if set {
        return refuse("not understood by this proxy").at(field);
    }
    Ok(())
}

macro_rules! from_error {
    ($($error:ty),*) => {
        $(impl From<$error> for DecodeError {
            fn from(error: $error) -> Self {
                Self::new(error)
            }
        })*
    };
}

from_error!(
    heddle_proto::UnpackError,
    heddle_identity::InvalidName,
    heddle_identity::InvalidSpiffeId,
    std::net::AddrParseError,
    std::str::Utf8Error
);
