"""Runs the Gateway API conformance suite against Heddle on a cluster, and writes down what passes. docs/conformance/README.md says how."""
