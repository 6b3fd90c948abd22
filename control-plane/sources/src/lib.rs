//! heddle-sources: to be written.
