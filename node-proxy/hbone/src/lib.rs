//! heddle-hbone: to be written.
