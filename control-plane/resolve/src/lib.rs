//! heddle-resolve: to be written.
