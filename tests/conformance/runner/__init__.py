"""Runs the Gateway API conformance suite against Heddle on a cluster, and writes down what passes. docs/conformance/README.md says how."""

import sys
from pathlib import Path

# Programs and images are built by the test cluster's own code, the package `harness`.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "cluster"))
