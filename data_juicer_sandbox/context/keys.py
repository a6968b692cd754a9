"""The dotted keys of a config: results of jobs (`ContextKey`), settings (`SettingKey`, `ConfigKey`), watched values."""

from __future__ import annotations

from dataclasses import dataclass

from data_juicer_sandbox.errors import ResolveError

PREVIOUS = "-1"
"""Stands for the job that ran just before, in a key of `input`."""
CONFIGS = ("dj_configs", "extra_configs")
"""The two configs of a job."""
CONTEXT_KEY_FORM = "<pipeline>.<meta_name>.<output>"
SETTING_KEY_FORM = "<pipeline>.<meta_name>.<dj_configs|extra_configs>.<key>"


@dataclass(frozen=True)
class ContextKey:
    """A key of a job's output, or of a part of it: `pipeline.job.output.part`.

    Args:
        pipeline: the name of the pipeline.
        job: the job's `meta_name`; `PREVIOUS` in a key of `input`.
        output: the name of the output; empty if the key names the job only.
        part: the path inside the output; empty for the whole output.
    """

    pipeline: str
    job: str
    output: str = ""
    part: str = ""

    @classmethod
    def parse(cls, text: str) -> ContextKey:
        """Parse a key that begins with a pipeline: `pipeline.job.output.part`, or `pipeline.job` for all outputs.

        Raises:
            ResolveError: the key does not name a pipeline and a job.
        """
        pipeline, _, rest = text.partition(".")
        job, _, path = rest.partition(".")
        if not pipeline or not job:
            raise ResolveError(f"{text!r} is not the key of a result", hint=CONTEXT_KEY_FORM)
        return cls._of(pipeline, job, path)

    @classmethod
    def interpretations(cls, text: str, pipeline: str) -> tuple[ContextKey, ...]:
        """The keys that an entry of `input` may mean, in the order in which they are looked up.

        `-1.output` is an output of the previous job. `a.b.c` is output `c` of job `b` of pipeline `a`; if that does not
        exist, part `c` of output `b` of job `a` in the pipeline of the job that reads it.

        Args:
            text: the key.
            pipeline: the pipeline of the job that reads it.
        """
        head, _, rest = text.partition(".")
        if head == PREVIOUS:
            return (cls._of(pipeline, PREVIOUS, rest),)
        job, _, path = rest.partition(".")
        return cls._of(head, job, path), cls._of(pipeline, head, rest)

    @classmethod
    def _of(cls, pipeline: str, job: str, path: str) -> ContextKey:
        output, _, part = path.partition(".")
        return cls(pipeline, job, output, part)

    @property
    def label(self) -> str:
        """`<pipeline>.<meta_name>`, as in `Job.label`."""
        return f"{self.pipeline}.{self.job}"

    @property
    def path(self) -> str:
        """The path inside a job's outputs: `output.part`."""
        return f"{self.output}.{self.part}" if self.part else self.output


@dataclass(frozen=True)
class ConfigKey:
    """A key inside a job's configs: `dj_configs.process.0`, or `extra_configs` for the whole config.

    Args:
        config: `dj_configs` or `extra_configs`.
        path: the key path inside the config; empty for the whole config.
    """

    config: str
    path: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> ConfigKey:
        """Parse a key of `local` or `input`.

        Raises:
            ResolveError: the key does not begin with the name of a config.
        """
        config, *path = text.split(".")
        if config not in CONFIGS:
            hint = "as in `dj_configs.dataset_path` or `extra_configs.model`"
            raise ResolveError(f"{text!r} does not start with {' or '.join(CONFIGS)}", hint=hint)
        return cls(config, tuple(path))

    def __str__(self) -> str:
        return ".".join((self.config, *self.path))


@dataclass(frozen=True)
class SettingKey:
    """A key in the configs of one job of a run: `pipeline.job.extra_configs.x`.

    Args:
        pipeline: the name of the pipeline.
        job: the job's `meta_name`.
        key: the key inside the job's configs.
    """

    pipeline: str
    job: str
    key: ConfigKey

    @classmethod
    def parse(cls, text: str) -> SettingKey:
        """Parse a key of `parameters`, `iter_updater` or a search.

        Raises:
            ResolveError: the key does not have this form, as the short form `op.argument` does not.
        """
        parts = text.split(".")
        if len(parts) < 3 or parts[2] not in CONFIGS:
            raise ResolveError(f"{text!r} is not a key of a job's configs", hint=SETTING_KEY_FORM)
        return cls(parts[0], parts[1], ConfigKey(parts[2], tuple(parts[3:])))

    @property
    def label(self) -> str:
        """`<pipeline>.<meta_name>`, as in `Job.label`."""
        return f"{self.pipeline}.{self.job}"

    def __str__(self) -> str:
        return f"{self.label}.{self.key}"


@dataclass(frozen=True)
class WatchedKey:
    """A value that a job reports while it runs: `job.name`. The name itself may contain dots.

    Args:
        job: the job's `meta_name`.
        name: the name under which the job watches the value; may be empty.
    """

    job: str
    name: str

    @classmethod
    def parse(cls, text: str) -> WatchedKey:
        """Split a key at its first dot; every text is such a key."""
        job, _, name = text.partition(".")
        return cls(job, name)
