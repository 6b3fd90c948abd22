//! heddle-listeners: to be written.
