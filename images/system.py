"""What the image takes from the system that it is built on: a program with its libraries, and the packages that files came from."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

LINKED = ("libc.a", "libgcc_eh.a", "crt1.o")
"""What the compiler links into each static program."""


class MissingFromSystem(Exception):
    """Something of the system is not as the image needs it."""


def closure(program: Path) -> list[Path]:
    """A program and the libraries that it is linked with, at the paths at which the loader looks for them."""
    said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    if "not a dynamic executable" in said.stderr or "statically linked" in said.stdout:
        return [program]
    if said.returncode != 0 or "not found" in said.stdout:
        raise MissingFromSystem(f"the libraries of {program} are not all there: {(said.stdout + said.stderr).strip()}")
    libraries = re.findall(r"(?:=> |^\s*)(/\S+) \(0x", said.stdout, flags=re.MULTILINE)
    return [program, *sorted({Path(library) for library in libraries})]


def find(tool: str) -> Path:
    """A program by its name; on Debian those for root are not in everybody's path."""
    found = shutil.which(tool, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise MissingFromSystem(f"{tool} is not installed")
    return Path(found).resolve()


def linked_files() -> list[Path]:
    """The compiler's own files that are in each static program."""
    said = [subprocess.run(["cc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip() for name in LINKED]
    return [Path(path) for path in said if path.startswith("/")]


def packages_of(files: list[Path]) -> dict[str, str]:
    """Names and versions of the Debian packages that files belong to. Other systems do not tell."""
    if shutil.which("dpkg-query") is None:
        return {}
    names = {name for path in files for name in owners(path)}
    said = (subprocess.run(["dpkg-query", "--show", "--showformat=${Package} ${Version}\\n", name], capture_output=True, text=True, check=True).stdout for name in names)
    return dict(line.split(" ", 1) for text in said for line in text.splitlines())


def owners(path: Path) -> list[str]:
    """`/lib` may be a link to `/usr/lib`, and packages name either."""
    for candidate in dict.fromkeys((path, path.resolve(), Path(str(path.resolve()).removeprefix("/usr")))):
        said = subprocess.run(["dpkg-query", "--search", candidate], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            return [line.split(": ", 1)[0] for line in said.stdout.splitlines() if not line.startswith("diversion")]
    raise MissingFromSystem(f"no package has {path}")


def distribution() -> str:
    """As package URLs name it: `debian`."""
    try:
        return platform.freedesktop_os_release().get("ID", "linux")
    except OSError:
        return "linux"
