//! heddle-issuer: to be written.
