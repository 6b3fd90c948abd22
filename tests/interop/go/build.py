"""Builds the Go server of the protocol suite into the cache, unless it is there, and prints its path."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "cluster"))

from harness import build, layout  # noqa: E402

MODULE = build.Module("go-control-plane", package=".", folder=FOLDER, cache=layout.CACHE.parent / "interop")

if __name__ == "__main__":
    (program,) = build.build(MODULE, MODULE.compiler()).iterdir()
    print(program)
