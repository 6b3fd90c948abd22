//! heddle-telemetry: to be written.
