//! heddle-cert-client: to be written.
