"""Which code a config may bring: with `--no-plugins` and `--untrusted` none but this package's own is imported."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from data_juicer_sandbox.errors import ConfigError

_PACKAGE = __package__ or "data_juicer_sandbox"


class CodeNotImported(ConfigError):
    """Code that a config names is not imported, since it is not part of this package."""


class _Policy:
    own_code_only = False
    untrusted = False


@contextmanager
def code_policy(*, own_code_only: bool = False, untrusted: bool = False) -> Iterator[None]:
    """Set the policy of the process for the block. An outer policy is never relaxed.

    Args:
        own_code_only: import no code by dotted path, and no plug-in.
        untrusted: also refuse what `workflow.untrusted` lists.
    """
    before = _Policy.own_code_only, _Policy.untrusted
    _Policy.untrusted = before[1] or untrusted
    _Policy.own_code_only = before[0] or own_code_only or _Policy.untrusted
    try:
        yield
    finally:
        _Policy.own_code_only, _Policy.untrusted = before


def is_untrusted() -> bool:
    """Whether the config is somebody else's (`--untrusted`)."""
    return _Policy.untrusted


def own_code_only() -> bool:
    """Whether no other code than this package's is imported."""
    return _Policy.own_code_only


def check_user_code(name: str) -> None:
    """Check that code which a config names may be imported.

    Args:
        name: a dotted path, or the name of a plug-in.

    Raises:
        CodeNotImported: the policy forbids it.
    """
    if _Policy.own_code_only:
        raise CodeNotImported(f"{name!r} is not imported: it is not part of {_PACKAGE}", hint=_reason())


def check_target(target: str) -> None:
    """Check that an object may be imported.

    Raises:
        CodeNotImported: it lies in another package, and the policy forbids it.
    """
    if not target.startswith(f"{_PACKAGE}."):
        check_user_code(target)


def _reason() -> str:
    return "--untrusted refuses code of a config" if _Policy.untrusted else "--no-plugins"
