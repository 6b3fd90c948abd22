//! heddle-xds-server: to be written.
