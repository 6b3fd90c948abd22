//! Tests that the code has the shape that ARCHITECTURE.md draws. There is nothing here to use.
