//! heddle-sample-apps: to be written.
