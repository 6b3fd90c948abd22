//! heddle-upstream: to be written.
