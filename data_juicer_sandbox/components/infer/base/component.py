"""What an executor of language model inference is; the rest of it: rows, files, going on, counting."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import Any

import xxhash
from loguru import logger

from data_juicer_sandbox.components.base import Component, JobRun
from data_juicer_sandbox.components.infer.base import functions
from data_juicer_sandbox.components.infer.base.dataset import (
    Fields,
    InferenceSettings,
    assemble,
    outcome,
    questions,
    survey,
)
from data_juicer_sandbox.components.infer.base.journal import Journal
from data_juicer_sandbox.components.infer.base.limits import FailureLimit, check_limit
from data_juicer_sandbox.components.infer.base.throughput import Throughput
from data_juicer_sandbox.components.infer.base.types import Completion, Failure, Put, Request
from data_juicer_sandbox.components.io.data_files import is_data, refuse_overwriting
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.files import claim, content_stamp, is_there, remove, temporary_path
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.user_code import UserCode

Answering = Callable[[Iterator[Request], Put], None]
"""Takes questions, as many at a time as suits it, and puts an answer or a failure for each, in any order.

The questions are made as they are taken (a row is read, its prompt built), so whoever takes few at a time holds few.
`put` writes the answer down at once: what was put is never asked again. It raises JobError when going on is hopeless;
that, and KeyboardInterrupt, are to be let through. An executor that finds out by itself that no row will be answered (a
wrong key, memory too small) raises JobError.
"""


class LLMInference(Component):
    """Base of the executors that let a language model answer a data set.

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: every row as it was, byte for byte, in
    its order, with the answer at `infer_res_key` (a list where `n` samples are asked for). A row that failed has null
    there, and `infer_error` with `kind` and `message`; it is counted, and the others go on.

    An interrupted file is continued: what was answered is kept beside it and not asked again, unless the data or the
    settings that decide the answers have changed. Failed rows are not asked again when an interrupted file is
    continued, unless `retry_failed` says so; after a job that failed they are.

    Watches `rows`, `failed`, `kept` (taken over from earlier runs), `prompt_tokens`, `completion_tokens`, `seconds`,
    `rows_per_second`, `tokens_per_second` (written ones) and, where there are prices, `cost`; of several data sets also
    for each, under its name.

    Args:
        model: the model.
        dataset_path: the data set(s), in any format. Several give several files.
        export_path: folder of the new files, named after the data sets (those that share a name get that of their
            folder in front); or, where there is but one, a `.jsonl` file.
        model_params: what the model is made ready with.
        sampling_params: how it answers; `n` is the number of samples a row.
        infer_res_key: the field of the answer.
        raw_key: a field for what the model wrote as it is, beside what `parse_output_func` made of it.
        build_messages_func: name or dotted path of the function that makes messages (or a text) of a row.
        parse_output_func: name or dotted path of the function that reads what the model wrote.
        func_kwargs: their arguments, see `functions.bind`.
        max_rows: rows taken from the start of each data set.
        skip_missing: leave out data sets that are not there.
        max_failures: more failed rows in a data set fail the job: a share if below 1, a number otherwise.
        retry_failed: ask failed rows of an interrupted file again.
        price_per_million: of tokens, `input` and `output`.
    """

    outputs = ("path",)

    def __init__(
        self,
        *,
        model: str,
        dataset_path: str | list[str],
        export_path: str,
        model_params: Mapping[str, Any] | None = None,
        sampling_params: Mapping[str, Any] | None = None,
        infer_res_key: str = "response",
        raw_key: str | None = None,
        build_messages_func: str = "build_messages",
        parse_output_func: str = "parse_output",
        func_kwargs: Mapping[str, Any] | None = None,
        max_rows: int | None = None,
        skip_missing: bool = False,
        max_failures: float | None = None,
        retry_failed: bool = False,
        price_per_million: Mapping[str, float] | None = None,
    ):
        self.model, self.dataset_path, self.export_path = model, dataset_path, Path(export_path)
        self.model_params, self.sampling_params = dict(model_params or {}), dict(sampling_params or {})
        self.samples = int(self.sampling_params.get("n") or 1)
        build, parse = functions.bind(build_messages_func, parse_output_func, func_kwargs)
        fields = Fields(infer_res_key, "infer_error", raw_key)
        if len({fields.answer, fields.error, fields.raw}) < 3:
            raise ConfigError(f"infer_res_key {infer_res_key!r}, raw_key {raw_key!r} and 'infer_error' must differ")
        self.asking = InferenceSettings(build, parse, fields, self.samples, max_rows)
        self.skip_missing, self.retry_failed, self.price = skip_missing, retry_failed, price_per_million
        check_limit(max_failures)
        self.limit = max_failures
        self.counted: Counter[str] = Counter()
        """What else an executor counts, such as retries; it is watched with the other figures."""
        self._functions = [build_messages_func, parse_output_func, dict(func_kwargs or {})]
        if self._names_file and len(as_list(dataset_path)) > 1:
            raise ConfigError(f"export_path {export_path!r} is one file for several data sets", hint="a folder")

    @abstractmethod
    def answering(self, job: JobRun) -> AbstractContextManager[Answering]:
        """Make the model ready; as long as the `with` block lasts, the function it gives answers.

        Entered at most once a run, and not at all where everything was answered before. The function is called once
        for each data set.
        """

    def identity(self) -> dict[str, Any]:
        """All settings that decide what the answers are, as plain values. When they change, a file is begun again.

        Not those that change how fast or where they come from: batch sizes, time-outs, numbers of retries, keys.
        """
        return {
            "model": self.model,
            "files": model_stamp(self.model),
            "model_params": self.model_params,
            "sampling_params": self.sampling_params,
        }

    def run(self, job: JobRun) -> str | list[str]:
        """Let the model answer.

        Returns:
            The path of the new file; a list of them if `dataset_path` is a list.

        Raises:
            JobError: a data set is not there or empty, every row failed, or more than `max_failures`.
        """
        sources = self._sources()
        targets = [self._target(name) for name, _ in sources]
        for target in targets:
            refuse_overwriting(target, [path for _, path in sources])
            claim(target)
        journals, figures = [], []
        with ExitStack() as stack:
            ready: list[Answering] = []

            def answering() -> Answering:
                if not ready:
                    ready.append(stack.enter_context(self.answering(job)))
                return ready[0]

            for (name, path), target in zip(sources, targets, strict=True):
                journal = temporary_path(target, ".answers")
                figures.append(self._infer(job, name, path, target, journal, answering))
                journals.append(journal)
                if len(sources) > 1:
                    job.watcher.watch({name: figures[-1]})
        job.watcher.watch({**_total(figures), **self.counted})
        for journal in journals:  # not before all are done: a job that is continued takes over whole files too
            remove(journal)
        paths = [str(target) for target in targets]
        return paths[0] if isinstance(self.dataset_path, str) else paths

    def _infer(
        self, job: JobRun, name: str, path: str, target: Path, place: Path, answering: Callable[[], Answering]
    ) -> dict[str, Any]:
        rows, content = survey(path, self.asking.max_rows)
        if not rows:
            raise JobError(f"there are no rows in {path}")
        journal = Journal(place, self._digest(content), rows, self.asking.fields.fit, retry_failed=self.retry_failed)
        with closing(journal), job.progress.task(f"asking about {name}", total=rows) as task:
            if journal.kept:
                logger.info("{}: {:,} of {:,} rows were answered before", name, journal.kept, rows)
                task.advance(journal.kept)
            answer_all = answering() if len(journal) < rows else None  # before the clock starts
            meter, limit, kinds = Throughput(task, journal, self.price), FailureLimit(self.limit, rows), Counter[str]()

            def put(question: Request, answer: Completion | Failure) -> None:
                fields, failure = outcome(self.asking, answer)
                journal.add(
                    question.number,
                    fields,
                    failed=failure is not None,
                    prompt_tokens=answer.prompt_tokens,
                    completion_tokens=answer.completion_tokens,
                )
                if failure is not None:
                    kinds[failure.kind] += 1
                limit.judge(failure, journal.failed)
                meter.row()

            try:
                if answer_all is not None:
                    with closing(questions(path, self.asking, journal, put)) as asked:
                        answer_all(asked, put)
                limit.judge_all(journal.failed)
            except Exception:
                journal.forget_failures()  # what made them fail may be mended by then
                raise
            meter.show()
            if len(journal) < rows:
                raise JobError(f"{rows - len(journal):,} of {rows:,} rows of {path} were not answered")
            if journal.failed:
                told = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common())
                logger.warning("{}: {:,} of {:,} rows failed; of this run: {}", name, journal.failed, rows, told or "-")
            assemble(path, target, self.asking, journal)
            return meter.figures()

    @property
    def _names_file(self) -> bool:
        return self.export_path.suffix == ".jsonl"

    def _target(self, name: str) -> Path:
        return self.export_path if self._names_file else self.export_path / f"{name}_inference.jsonl"

    def _sources(self) -> list[tuple[str, str]]:
        paths = as_list(self.dataset_path)
        missing = [path for path in paths if not is_data(path)]
        if missing and not self.skip_missing:
            raise JobError(f"there is no data set at {', '.join(missing)}", hint="skip_missing: true goes on without")
        for path in missing:
            logger.warning("there is no data set at {}: left out", path)
        if len(missing) == len(paths):
            raise JobError("there is none of the data sets")
        return [pair for pair in zip(distinct_names(paths), paths, strict=True) if pair[1] not in missing]

    def _digest(self, content: str) -> str:
        asking = [self._functions, vars(self.asking.fields), self.asking.max_rows]
        code = UserCode().digests([type(self)], self._functions[:2])
        wanted = mask([type(self).__name__, self.identity(), asking, content, *([code] if code else [])])
        return str(xxhash.xxh3_128_hexdigest(json.dumps(wanted, sort_keys=True, default=repr).encode()))


def model_stamp(model: str) -> str:
    """The content digest of a model's folder; empty for the id of one on a hub.

    Not its quick key: answers are also kept where the model was copied. The run has read the folder before the job
    began, and it is not read again.
    """
    return content_stamp(model)[1] if is_there(model) else ""


def _total(figures: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over the data sets, and the speed of all together."""
    total = {key: sum(one[key] for one in figures) for key in figures[0]}
    for key in (key for key in total if key.endswith("_per_second")):
        total[key] = sum(one[key] * one["seconds"] for one in figures) / total["seconds"]
    return total
