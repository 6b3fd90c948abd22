//! heddle-translate: to be written.
