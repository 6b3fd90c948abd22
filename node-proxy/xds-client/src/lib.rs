//! heddle-xds-client: to be written.
