//! heddle-testbed: to be written.
