"""Base component of language model inference: reads rows, writes files, resumes, reports metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path
from typing import ClassVar

from loguru import logger

from data_juicer_sandbox.components.base import FanOut, Item, JobRun
from data_juicer_sandbox.components.infer import messages
from data_juicer_sandbox.components.infer.base.dataset import (
    INCOMPLETE,
    Fields,
    InferenceSettings,
    Throughput,
    assemble,
    pending_requests,
    result_fields,
    survey,
)
from data_juicer_sandbox.components.infer.base.journal import Journal
from data_juicer_sandbox.components.infer.base.types import (
    Completion,
    Failure,
    FailureLimit,
    OnResult,
    Request,
    check_limit,
)
from data_juicer_sandbox.components.io.allowance import BAD_ROWS, Allowance
from data_juicer_sandbox.components.io.data_files import existing_data, refuse_overwriting
from data_juicer_sandbox.components.metric_keys import metric_keys, number_keys
from data_juicer_sandbox.components.names import as_list, distinct_names
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.file_digests import content_stamp
from data_juicer_sandbox.files import claim, path_exists, remove, temporary_path
from data_juicer_sandbox.plain_json import fingerprint
from data_juicer_sandbox.secrets import mask
from data_juicer_sandbox.types import ConfigValues, JsonValue, Metrics
from data_juicer_sandbox.user_code import UserCode

InferFunction = Callable[[Iterator[Request], OnResult], None]
"""Takes requests and calls `on_result` with a completion or a failure for each, in any order.

Requests are created lazily (a row is read, its prompt built), so memory holds only the requests taken. `on_result`
stores the result at once; that request is never sent again. It raises JobError if the job cannot succeed; the function
must not catch that error, nor KeyboardInterrupt. An executor that detects by itself that no request can succeed (a
wrong key, too little memory) raises JobError.
"""

_FIGURES = (
    *("rows", "failed", "kept", "prompt_tokens", "completion_tokens", "seconds", "rows_per_second"),
    *("tokens_per_second", "cost", "requests", "retries", "incomplete"),
)


class LLMInference(FanOut):
    """Base of the executors that run a language model over a data set.

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: the rows unchanged, byte for byte, in
    their order, with the answer in the field `infer_res_key` (a list for `n` samples). A failed row has null there, and
    `infer_error` with `kind` and `message`; the job continues with the other rows. An answer that is not complete (the
    model reached the maximum number of tokens, or a filter ended it) has the reason in `infer_incomplete`.

    An interrupted job is resumed: stored answers are reused, unless the data or settings that determine the answers
    have changed. Failed rows are repeated after a failed job; after an interrupted job only with `retry_failed`.

    Metrics are `rows`, `failed`, `incomplete`, `kept` (reused from earlier runs), `prompt_tokens`, `completion_tokens`,
    `seconds`, `rows_per_second`, `tokens_per_second` (completion tokens) and, with prices, `cost`; with several data
    sets also for each, under its name.

    Args:
        model: the model.
        dataset_path: one data set or several, in any format; each gives a file.
        export_path: folder of the new files, named after the data sets (data sets with the same name are prefixed with
            their folder's name); or a `.jsonl` file for a single data set.
        model_params: arguments for loading the model.
        sampling_params: sampling parameters; `n` is the number of samples per row.
        infer_res_key: the new field for the answer.
        raw_key: another new field for the model's output before `parse_output_func`.
        build_messages_func: builds messages (or a text) from a row: `build_messages`, `build_messages_for_math_qa`, or
            a dotted path.
        parse_output_func: extracts the answer from the model's output: `parse_output`, or a dotted path.
        func_kwargs: arguments of both functions. Each is passed to the function that has a parameter of that name;
            those under the key `build_messages_func` or `parse_output_func` to that function.
        max_rows: number of rows of each data set, from its start; all by default.
        skip_missing: skip data sets that do not exist, with a warning, instead of failing.
        skip_bad_rows: number of rows, over all data sets, that may be invalid (no JSON object); they are counted, named
            in the log and skipped: the output lacks them.
        max_failures: tolerated failed rows per data set: a fraction if below 1, else a count. By default the job fails
            only if every row failed.
        retry_failed: repeat failed rows of an interrupted job.
        fail_incomplete: whether an answer that is not complete is a failure; else it is only marked and counted.
        price_per_million: price of a million tokens, `input` and `output`.
    """

    outputs = ("path",)
    metrics = (*metric_keys(*_FIGURES), *metric_keys(*_FIGURES, under="{dataset_path}"), *BAD_ROWS)
    numbers = number_keys(path=())

    def __init__(
        self,
        *,
        model: str,
        dataset_path: str | list[str],
        export_path: str,
        model_params: Mapping[str, JsonValue] | None = None,
        sampling_params: Mapping[str, JsonValue] | None = None,
        infer_res_key: str = "response",
        raw_key: str | None = None,
        build_messages_func: str = "build_messages",
        parse_output_func: str = "parse_output",
        func_kwargs: Mapping[str, JsonValue] | None = None,
        max_rows: int | None = None,
        skip_missing: bool = False,
        skip_bad_rows: int = 0,
        max_failures: float | None = None,
        retry_failed: bool = False,
        fail_incomplete: bool = False,
        price_per_million: Mapping[str, float] | None = None,
    ):
        self.model, self.dataset_path, self.export_path = model, dataset_path, Path(export_path)
        self.model_params, self.sampling_params = dict(model_params or {}), dict(sampling_params or {})
        self.samples = int(self.sampling_params.get("n") or 1)
        build, parse = messages.bind(build_messages_func, parse_output_func, func_kwargs)
        fields = Fields(infer_res_key, "infer_error", raw_key)
        if len({fields.answer, fields.error, fields.raw, INCOMPLETE}) < 4:
            names = f"infer_res_key {infer_res_key!r}, raw_key {raw_key!r}, 'infer_error' and {INCOMPLETE!r}"
            raise ConfigError(f"{names} must differ")
        self.settings = InferenceSettings(build, parse, fields, self.samples, max_rows, fail_incomplete)
        self.skip_missing, self.retry_failed, self.price = skip_missing, retry_failed, price_per_million
        self.skip_bad_rows = skip_bad_rows
        check_limit(max_failures)
        self.limit = max_failures
        self.counted: Counter[str] = Counter()
        """More metrics of an executor, such as retries."""
        self._functions = [build_messages_func, parse_output_func, dict(func_kwargs or {})]
        if self._names_file and len(as_list(dataset_path)) > 1:
            raise ConfigError(f"export_path {export_path!r} is one file for several data sets", hint="a folder")

    is_divisible: ClassVar[bool] = True
    """Whether several processes may work on the data sets: not if they share a server's rate limit."""

    @abstractmethod
    def inference_function(self, job: JobRun) -> AbstractContextManager[InferFunction]:
        """Load the model; yields the function that completes requests, valid inside the `with` block.

        Entered at most once per run, and not at all if all answers are already stored. The function is called once per
        data set.
        """

    def identity(self) -> ConfigValues:
        """The settings that determine the answers, as JSON values. When they change, stored answers are discarded.

        Settings that affect only speed or access are not included: batch sizes, timeouts, numbers of retries, keys.
        """
        return {
            "model": self.model,
            "files": model_stamp(self.model),
            "model_params": self.model_params,
            "sampling_params": self.sampling_params,
        }

    def run(self, job: JobRun) -> str | list[str]:
        """Run the model over all data sets.

        Returns:
            The path of the new file; a list of paths if `dataset_path` is a list.

        Raises:
            JobError: a data set does not exist or is empty, every row failed, or more than `max_failures`.
        """
        allowance = Allowance(self.skip_bad_rows)
        metrics = self._infer_all(job, self._claimed_sources(), allowance)
        return self._finish(job, metrics, allowance.skipped)

    def items(self, job: JobRun) -> list[Item]:
        """The data sets, if `is_divisible`."""
        return [Item(name, self.cpus()) for name in self._claimed_sources()] if self.is_divisible else []

    def cpus(self) -> int | None:
        """The processor cores that the model can use; None: unknown."""
        return None

    def run_item(self, job: JobRun, name: str) -> Metrics:
        """Run the model over one data set."""
        allowance = Allowance(self.skip_bad_rows)
        metrics = self._infer_all(job, {name: self._claimed_sources()[name]}, allowance)
        return {"metrics": metrics[0], "bad_rows": allowance.skipped}

    def collect(self, job: JobRun, results: Mapping[str, Metrics]) -> str | list[str]:
        """Report the sums over all data sets; returns the paths as `run` does.

        Raises:
            JobError: the data sets have more bad rows together than are tolerated.
        """
        bad_rows = sum(result["bad_rows"] for result in results.values())
        return self._finish(job, [result["metrics"] for result in results.values()], bad_rows)

    def _claimed_sources(self) -> dict[str, str]:
        """The data sets by name; their outputs are claimed.

        Raises:
            JobError: a data set does not exist, or the job must not write an output.
        """
        sources = dict(self._sources())
        for name in sources:
            refuse_overwriting(self._target(name), list(sources.values()))
            claim(self._target(name))
        return sources

    def _journal(self, name: str) -> Path:
        return temporary_path(self._target(name), ".answers")

    def _infer_all(self, job: JobRun, sources: Mapping[str, str], allowance: Allowance) -> list[Metrics]:
        """Run the model over some of the data sets; returns the metrics of each."""
        metrics = []
        with ExitStack() as stack:
            loaded: list[InferFunction] = []

            def load() -> InferFunction:
                if not loaded:
                    loaded.append(stack.enter_context(self.inference_function(job)))
                return loaded[0]

            for name, path in sources.items():
                target, journal = self._target(name), self._journal(name)
                metrics.append(self._infer(job, name, path, target, journal, load, allowance))
                if len(self._sources()) > 1:
                    job.watcher.watch({name: metrics[-1]})
        return metrics

    def _finish(self, job: JobRun, metrics: list[Metrics], bad_rows: int) -> str | list[str]:
        allowance = Allowance(self.skip_bad_rows)
        allowance.add(bad_rows)
        job.watcher.watch({**_total(metrics), **self.counted})
        allowance.report(job)
        names = [name for name, _ in self._sources()]
        for name in names:  # only after all data sets: a resumed job reuses the journals of finished files too
            remove(self._journal(name))
        paths = [str(self._target(name)) for name in names]
        return paths[0] if isinstance(self.dataset_path, str) else paths

    def _infer(
        self,
        job: JobRun,
        name: str,
        path: str,
        target: Path,
        journal_path: Path,
        load: Callable[[], InferFunction],
        allowance: Allowance,
    ) -> Metrics:
        rows, content = survey(path, self.settings.max_rows, allowance)
        if not rows:
            raise JobError(f"there are no rows in {path}")
        digest, retry_failed = self._digest(content), self.retry_failed
        journal = Journal(journal_path, digest, rows, self.settings.fields.fit, retry_failed=retry_failed)
        with closing(journal), job.progress.task(f"inference on {name}", total=rows) as task:
            if journal.kept:
                logger.info("{}: {:,} of {:,} answers are reused from earlier runs", name, journal.kept, rows)
                task.advance(journal.kept)
            infer = load() if len(journal) < rows else None  # loading time does not count for the throughput
            throughput, limit = Throughput(task, journal, self.price), FailureLimit(self.limit, rows)
            categories = Counter[str]()

            def on_result(request: Request, answer: Completion | Failure) -> None:
                fields, failure = result_fields(self.settings, answer)
                journal.add(
                    request.number,
                    fields,
                    failed=failure is not None,
                    prompt_tokens=answer.prompt_tokens,
                    completion_tokens=answer.completion_tokens,
                )
                if failure is not None:
                    categories[failure.category] += 1
                limit.judge(failure, journal.failed)
                throughput.row()

            try:
                if infer is not None:
                    with closing(pending_requests(path, self.settings, journal, on_result, allowance)) as requests:
                        infer(requests, on_result)
                limit.judge_all(journal.failed)
            except Exception:
                journal.forget_failures()  # the next run repeats them: their cause may be fixed
                raise
            throughput.show()
            if len(journal) < rows:
                raise JobError(f"{rows - len(journal):,} of {rows:,} rows of {path} were not answered")
            if journal.failed:
                summary = ", ".join(f"{category} {count:,}" for category, count in categories.most_common())
                logger.warning(
                    "{}: {:,} of {:,} rows failed; in this run: {}", name, journal.failed, rows, summary or "-"
                )
            incomplete = assemble(path, target, self.settings, journal, allowance)
            if incomplete:
                logger.warning(
                    "{}: {:,} of {:,} answers are not complete; see `{}`", name, incomplete, rows, INCOMPLETE
                )
            return {**throughput.metrics(), "incomplete": incomplete}

    @property
    def _names_file(self) -> bool:
        return self.export_path.suffix == ".jsonl"

    def _target(self, name: str) -> Path:
        return self.export_path if self._names_file else self.export_path / f"{name}_inference.jsonl"

    def _sources(self) -> list[tuple[str, str]]:
        paths = as_list(self.dataset_path)
        existing = existing_data(paths, self.skip_missing)
        return [(name, path) for name, path in zip(distinct_names(paths), paths, strict=True) if path in existing]

    def _digest(self, content: str) -> str:
        settings = [self._functions, vars(self.settings.fields), self.settings.max_rows]
        if self.settings.fail_incomplete:
            settings.append({"fail_incomplete": True})
        code = UserCode().digests([type(self)], self._functions[:2])
        inputs = mask([type(self).__name__, self.identity(), settings, content, *([code] if code else [])])
        return fingerprint(inputs)


def model_stamp(model: str) -> str:
    """The content digest of a model's folder; empty for a hub id.

    The digest depends on the content, not on size and time stamp, so that answers of a copied model are reused. The run
    has computed it before the job started; the folder is not read again.
    """
    return content_stamp(model)[1] if path_exists(model) else ""


def _total(metrics: list[Metrics]) -> Metrics:
    """The sums over the data sets, and the overall speed."""
    total = {key: sum(dataset[key] for dataset in metrics) for key in metrics[0]}
    for key in (key for key in total if key.endswith("_per_second")):
        total[key] = sum(dataset[key] * dataset["seconds"] for dataset in metrics) / total["seconds"]
    return total
