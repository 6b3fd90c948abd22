//! heddle-architecture: to be written.
