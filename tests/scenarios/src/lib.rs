//! heddle-scenarios: to be written.
