//! heddle-control-plane: to be written.
