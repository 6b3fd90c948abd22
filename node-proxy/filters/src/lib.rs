//! heddle-filters: to be written.
