"""How this package is installed: the commands that install an extra of it, and that start it.

The package is on no index, so that `pip install data-juicer-sandbox` finds nothing.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from importlib.metadata import Distribution

NAME = "data-juicer-sandbox"
PROGRAM = "dj-sandbox"
_EXTRA = re.compile(r"""extra\s*==\s*['"](?P<name>[\w-]+)['"]""")
_OWN_EXTRA = re.compile(rf"{NAME}\[(?P<names>[^\]]*)\]")


def install_command(extra: str) -> str:
    """The command that installs an extra of this package, from where the package itself was installed.

    Args:
        extra: such as `search`.

    Returns:
        for a clone, an install of its folder; for a URL of a version control system, an install of this URL; for a
        wheel, an install of the packages of the extra.
    """
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        package = distribution(NAME)
        origin = json.loads(package.read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        package, origin = None, {}
    url = str(origin.get("url", ""))
    if (control := origin.get("vcs_info")) and not checkout():
        target = f"{NAME}[{extra}] @ {control.get('vcs')}+{url}"
        return f"{_pip()} install {_quoted(target)}"
    folder = checkout() or (Path(unquote(urlsplit(url).path)) if "dir_info" in origin else None)
    if folder is not None and folder.is_dir():
        editable = "-e " if checkout() else ""
        return f"{_pip()} install {editable}{_quoted(f'{folder}[{extra}]')}"
    packages = requirements(package, extra) if package is not None else []
    return f"{_pip()} install {' '.join(map(_quoted, packages or [f'.[{extra}]']))}"


def requirements(package: Distribution, extra: str) -> list[str]:
    """The packages that an extra of a distribution adds, those of the extras that it names included.

    Args:
        package: the distribution.
        extra: the name of the extra.
    """
    packages = []
    for line in package.requires or ():
        requirement, _, marker = line.partition(";")
        match = _EXTRA.search(marker)
        if match is None or match["name"] != extra:
            continue
        if other := _OWN_EXTRA.match(requirement):
            packages += [name for part in other["names"].split(",") for name in requirements(package, part.strip())]
        else:
            packages.append(requirement.strip())
    return list(dict.fromkeys(packages))


def program() -> str:
    """The command that starts this program in the shell: its full path where the environment is not active."""
    script = Path(sys.executable).with_name(PROGRAM)
    if shutil.which(PROGRAM) is None and os.access(script, os.X_OK):
        return shlex.quote(str(script))
    return PROGRAM


def _pip() -> str:
    """`pip`, or the full command where the shell's `pip` belongs to another Python or is missing."""
    shell_pip = shutil.which("pip")
    if shell_pip is not None and Path(shell_pip).parent == Path(sys.executable).parent:
        return "pip"
    return f"{shlex.quote(sys.executable)} -m pip"


def checkout() -> Path | None:
    """The folder of the clone that this package is imported from."""
    folder = Path(__file__).parent.parent
    project = folder / "pyproject.toml"
    try:
        return folder if f'name = "{NAME}"' in project.read_text(encoding="utf-8") else None
    except (OSError, ValueError):
        return None


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\"'\"'") + "'"
