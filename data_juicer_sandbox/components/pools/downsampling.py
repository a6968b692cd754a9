"""Pools brought to the same size."""

from __future__ import annotations

import random
from pathlib import Path

from jsonargparse.typing import PositiveInt
from loguru import logger

from data_juicer_sandbox.components.base import Component, InputPaths, JobRun, OutputPath
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.components.rows import read_lines
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import replacing


class DataPoolDownsampling(Component):
    """Draw the same number of rows at random, without replacement, from every data pool.

    Rows pass through byte for byte and keep their order. A pool's draw depends on its number of rows, the target and
    the seed alone, so it is the same whichever pools stand beside it. A pool that has fewer rows than the target is an
    error: pools are drawn to one size to be compared. Only the places of the drawn rows are held in memory.

    Args:
        dataset_path: the pool(s) (jsonl, also .gz or .zst).
        export_path: folder of the new pools, named `<name>_<rows>.jsonl` after the old ones; pools that share a name
            get that of their folder in front.
        target_num_samples: rows to draw from each; as many as the smallest pool has by default.
        shuffle_seed: of the draw.
        seed: the same as `shuffle_seed`.
        skip_missing: leave out pools that are not there, with a warning, instead of failing.
    """

    outputs = ("paths",)

    def __init__(
        self,
        dataset_path: InputPaths,
        export_path: OutputPath,
        target_num_samples: PositiveInt | None = None,
        shuffle_seed: int = 42,
        seed: int | None = None,
        skip_missing: bool = False,
    ):
        if seed is not None and shuffle_seed not in (42, seed):
            raise ConfigError(
                f"seed {seed} and shuffle_seed {shuffle_seed} are the same thing", hint="give one of them"
            )
        self.pools, self.export_path, self.target = as_list(dataset_path), Path(export_path), target_num_samples
        self.seed, self.skip_missing = shuffle_seed if seed is None else seed, skip_missing

    def run(self, job: JobRun) -> list[str]:
        """Returns the new pools' paths, in the order of the old ones."""
        pools = self._there()
        with job.progress.task("counting rows", total=len(pools)) as task:
            counts = []
            for pool in pools:
                counts.append(sum(1 for _ in read_lines(pool)))
                task.advance(1)
        target = min(counts) if self.target is None else self.target
        for pool, count in zip(pools, counts, strict=True):
            if count < target or not count:
                raise JobError(
                    f"{pool} has {count:,} rows, fewer than the {max(target, 1):,} to draw",
                    hint="a lower target_num_samples, or none: then the smallest pool decides",
                )
        new = [self.export_path / f"{name}_{target}.jsonl" for name in distinct_names(pools)]
        if clash := {path.resolve() for path in new} & {Path(pool).resolve() for pool in pools}:
            raise JobError(f"{clash.pop()} is both a pool and the place of a new one", hint="another export_path")
        with job.progress.task("drawing rows", total=len(pools)) as task:
            for pool, count, path in zip(pools, counts, new, strict=True):
                draw(pool, count, target, self.seed, path)
                task.advance(1)
        return [str(path) for path in new]

    def _there(self) -> list[str]:
        missing = [pool for pool in self.pools if not Path(pool).is_file()]
        if missing and not self.skip_missing:
            raise JobError(f"there is no data pool at {', '.join(missing)}", hint="skip_missing: true goes on without")
        for pool in missing:
            logger.warning("there is no data pool at {}: left out", pool)
        if not (there := [pool for pool in self.pools if pool not in missing]):
            raise JobError("there is none of the data pools")
        return there


def draw(pool: str, count: int, target: int, seed: int, path: Path) -> None:
    """Copy `target` of a pool's `count` rows, chosen by the seed."""
    chosen = iter(sorted(random.Random(seed).sample(range(count), target)))
    wanted = next(chosen, None)
    with replacing(path) as part, part.open("wb") as stream:
        for place, line in enumerate(read_lines(pool)):
            if place == wanted:
                stream.write(line if line.endswith(b"\n") else line + b"\n")
                wanted = next(chosen, None)
                if wanted is None:
                    break
