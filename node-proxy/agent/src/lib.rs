//! heddle-node-proxy: to be written.
