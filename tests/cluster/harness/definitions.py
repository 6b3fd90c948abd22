"""Taking custom resource definitions away."""

import contextlib
import time
from collections.abc import Callable

from .process import ClusterError, wait_for


def delete(kubectl: Callable[..., str], names: list[str], failed: type[Exception] = ClusterError) -> None:
    """Deletes definitions, named as `kubectl get -o name` does, and waits.

    The API server's clean-up fails for one whose storage is just being made anew, and then tries again only after minutes, or when the
    definition changes: so it is changed until it is gone. `kubectl` raises `failed` if the program ends badly.
    """
    if not names:
        return
    kubectl("delete", *names, "--wait=false")

    def gone() -> bool:
        left = kubectl("get", *names, "--ignore-not-found", "-o", "name").split()
        for name in left:
            # It may be gone by now.
            with contextlib.suppress(failed):
                kubectl("annotate", name, f"tried={time.monotonic()}", "--overwrite")
        return not left

    wait_for("the end of the definitions", 120, gone)
