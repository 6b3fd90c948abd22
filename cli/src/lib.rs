//! heddle: to be written.
