//! Changes to header maps.

use http::{HeaderMap, HeaderName, HeaderValue};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderOp {
    /// Replaces all values of the name.
    Set(HeaderName, HeaderValue),
    /// Adds one more value.
    Append(HeaderName, HeaderValue),
    /// Removes all values of the name.
    Remove(HeaderName),
}

/// Changes, applied in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderOps(pub Vec<HeaderOp>);

impl HeaderOps {
    /// Applies the changes.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for op in &self.0 {
            match op {
                HeaderOp::Set(name, value) => {
                    headers.insert(name, value.clone());
                }
                HeaderOp::Append(name, value) => {
                    headers.append(name, value.clone());
                }
                HeaderOp::Remove(name) => {
                    headers.remove(name);
                }
            }
        }
    }
}
