"""`Provenance`: how and from what a job produced its outputs, with the shape in which the checkpoint stores it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from data_juicer_sandbox.types import JsonValue

BOOKKEEPING = "__job__"
"""The key of a record's provenance beside its outputs in the checkpoint."""
FORCED = "forced"
"""The status of a job that `--force` or `--from` redoes, until it has run."""
_MAX_SECONDS = 1e12
"""Seconds since the epoch, far beyond any date: no time or duration of a job is as large, infinite or NaN."""


@dataclass(frozen=True)
class Trace:
    """What a job was computed from and what it wrote, as digests.

    Args:
        config: the digest of each config value by its key path.
        code: the digests of the user's modules that the job ran, by name; None in records of earlier versions.
        inputs: the fingerprints of the files that the job read, by path.
        outputs: the fingerprints of the files that the job wrote, by path.
        changed_inputs: the input files that changed while the job ran.
        missing_inputs: the declared inputs that did not exist; the job runs again once they do.
    """

    config: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, str] | None = None
    inputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    outputs: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changed_inputs: Sequence[str] = ()
    missing_inputs: Sequence[str] = ()

    def plain(self) -> dict[str, JsonValue]:
        """The shape that the checkpoint stores: without the parts that the record lacks."""
        plain: dict[str, JsonValue] = {"config": dict(self.config)}
        if self.code is not None:
            plain["code"] = dict(self.code)
        plain.update(inputs=dict(self.inputs), outputs=dict(self.outputs))
        if self.changed_inputs:
            plain["changed_inputs"] = list(self.changed_inputs)
        if self.missing_inputs:
            plain["missing_inputs"] = list(self.missing_inputs)
        return plain

    @classmethod
    def from_plain(cls, value: object) -> Trace:
        """The reverse of `plain`; parts may be missing.

        Raises:
            ValueError: a part has another type; its name is the message.
        """
        if not isinstance(value, Mapping):
            raise ValueError("trace")
        for key in ("config", "code", "inputs", "outputs"):
            part = value.get(key, {})
            if not isinstance(part, Mapping) or not all(map(_is_digest_entry, part.items())):
                raise ValueError(f"trace.{key}")
        for key in ("changed_inputs", "missing_inputs"):
            paths = value.get(key, ())
            if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
                raise ValueError(f"trace.{key}")
        return cls(**{part.name: value[part.name] for part in fields(cls) if part.name in value})


@dataclass(frozen=True)
class Provenance:
    """The facts about a job's last run that decide whether its outputs are still valid.

    Any of them may be None: records of earlier versions lack some.

    Args:
        hook: the name of its hook.
        phase: the phase of its pipeline.
        status: `done`, `failed` or `forced` (done, and to be redone).
        started, ended: seconds since the epoch.
        seconds: the duration.
        error: the message of the error with which the job failed.
        cache_key: the entry of `cache_dir` that the results were taken from; None if the job ran.
        trace: what it was computed from and what it wrote; None if it failed.
        other: keys that this version does not know; they are stored again unchanged.
    """

    hook: str | None = None
    phase: str | None = None
    status: str | None = None
    started: float | None = None
    ended: float | None = None
    seconds: float | None = None
    error: str | None = None
    cache_key: str | None = None
    trace: Trace | None = None
    other: Mapping[str, object] = field(default_factory=dict)

    @property
    def inputs(self) -> Mapping[str, Sequence[str]]:
        """The fingerprints of the files that the job read, by path; empty without a trace."""
        return {} if self.trace is None else self.trace.inputs

    @property
    def outputs(self) -> Mapping[str, Sequence[str]]:
        """The fingerprints of the files that the job wrote, by path; empty without a trace."""
        return {} if self.trace is None else self.trace.outputs

    def plain(self, *, trace: bool = True) -> dict[str, JsonValue]:
        """The shape that the checkpoint stores under `__job__`.

        Args:
            trace: whether to include the trace.
        """
        plain = {name: value for name in _SCALARS if (value := getattr(self, name)) is not None}
        if trace and self.trace is not None:
            plain["trace"] = self.trace.plain()
        return {**plain, **self.other}

    @classmethod
    def from_plain(cls, value: object) -> Provenance:
        """The reverse of `plain`; parts may be missing.

        Raises:
            ValueError: a part has another type; its name is the message.
        """
        if not isinstance(value, Mapping):
            raise ValueError(BOOKKEEPING)
        for key in ("hook", "phase", "status", "error", "cache_key"):
            if not isinstance(value.get(key, ""), str):
                raise ValueError(key)
        for key in ("started", "ended", "seconds"):
            if not _is_time(value.get(key, 0.0)):
                raise ValueError(key)
        trace = value.get("trace")
        return cls(
            **{name: value[name] for name in _SCALARS if name in value},
            trace=None if trace is None else Trace.from_plain(trace),
            other={key: item for key, item in value.items() if key not in (*_SCALARS, "trace")},
        )


_SCALARS = tuple(part.name for part in fields(Provenance) if part.name not in ("trace", "other"))


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MAX_SECONDS


def _is_digest_entry(entry: tuple[object, object]) -> bool:
    """Whether a name has a digest, or the parts of a fingerprint."""
    name, digests = entry
    if not isinstance(name, str):
        return False
    return isinstance(digests, str) or (isinstance(digests, list | tuple) and len(digests) > 0)
