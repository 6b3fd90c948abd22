//! heddle-dns: to be written.
