"""`dj-sandbox cp NAME [DEST]`: a shipped config to start from."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import data_juicer_sandbox
from data_juicer_sandbox.cli.messages import complain, say
from data_juicer_sandbox.config.suggestions import suggest
from data_juicer_sandbox.errors import SandboxError
from data_juicer_sandbox.files import replacing
from data_juicer_sandbox.installation import program

NAME = "cp"
HELP = "copy an example config; without a name, list them"
_SUFFIXES = (".yaml", ".yml", ".json")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("name", nargs="?", help="the example config, such as demo/sandbox.yaml")
    parser.add_argument("dest", nargs="?", default=".", help="a file or a folder (default: the current folder)")
    parser.add_argument("--force", action="store_true", help="overwrite an existing file")


def run(args: argparse.Namespace) -> int:
    """Copy, or list; returns the exit code."""
    root = shipped_root()
    names = {str(path.relative_to(root)): path for path in _shipped(root)}
    if args.name is None:
        for name, path in names.items():
            say(f"{name:<36} {_about(path)}")
        return 0
    if args.name not in names:
        complain(f"dj-sandbox: unknown example config {args.name!r} ({suggest(args.name, names)})")
        return 2
    target = Path(args.dest)
    if target.is_dir() or args.dest.endswith("/"):
        target = target / Path(args.name).name
    copies = {target: names[args.name]}
    copies |= {target.with_name(source.name): source for source in _companions(names[args.name])}
    if existing := [path for path in copies if os.path.lexists(path)] if not args.force else []:
        verb = "exists" if len(existing) == 1 else "exist"
        complain(f"dj-sandbox: {', '.join(map(str, existing))} {verb} (use --force to overwrite it)")
        return 2
    try:
        for path, source in copies.items():
            with replacing(path) as part:
                shutil.copyfile(source, part)
    except OSError as error:
        complain(f"dj-sandbox: {target} cannot be written: {error.strerror}")
        return 2
    except SandboxError as error:
        complain(f"dj-sandbox: {error}")
        return 2
    say("\n".join(map(str, copies)))
    say(f"run it with: {program()} --config {target}")
    return 0


def shipped_root() -> Path:
    """The folder of the shipped configs: inside an installed package, beside it in a checkout."""
    package = Path(data_juicer_sandbox.__file__).parent
    inside = package / "configs"
    return inside if inside.is_dir() else package.parent / "configs"


def _shipped(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.suffix in _SUFFIXES and path.is_file():
            yield path


def _companions(config: Path) -> Iterator[Path]:
    """The shipped files beside a config that it names, such as the file of its search."""
    lines = [line.partition(" #")[0] for line in config.read_text(encoding="utf-8").splitlines()]
    values = {line.partition(": ")[2].strip() for line in lines if not line.lstrip().startswith("#")}
    for path in sorted(config.parent.iterdir()):
        if path != config and path.name in values:
            yield path


def _about(path: Path) -> str:
    """The first sentence of the comment that a shipped config starts with (`# Shows: ...`)."""
    with path.open(encoding="utf-8") as stream:
        first = stream.readline().strip()
    comment = first.lstrip("# ").removeprefix("Shows:").strip() if first.startswith("#") else ""
    return comment.partition(". ")[0].rstrip(".")
