//! heddle-redirect: to be written.
