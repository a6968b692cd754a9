"""Inference with vLLM, in this process and the processes that vLLM starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.infer.base.component import InferFunction, LLMInference, model_stamp
from data_juicer_sandbox.components.infer.base.types import Completion, Failure, OnResult, Request
from data_juicer_sandbox.components.infer.local.encoding import Encoder
from data_juicer_sandbox.components.infer.local.sampling import SHAPES, Sampling
from data_juicer_sandbox.components.lm.lora import Adapter, find_adapter
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shorten
from data_juicer_sandbox.types import ConfigValues, LibraryObject

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Values of `max_lora_rank` that vLLM accepts."""


class VLLMInference(LLMInference):
    """Run a language model over a data set, with vLLM.

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: the rows unchanged, byte for byte, in
    their order, with the answer in the field `infer_res_key` (a list if `sampling_params.n` is above 1). A failed row
    has null there, and `infer_error` with a `kind` (`row`, `prompt`, `too_long`, `parse`) and a `message`; the job
    continues with the other rows. An answer that is not complete (it reached the maximum number of tokens, or
    a filter ended it) has the reason in `infer_incomplete`.

    vLLM receives `chunk_size` prompts per call and batches them itself; answers are stored when the call ends. An
    interrupted job loses at most one call: it is resumed and stored answers are reused, unless the data, the model, the
    parameters that determine the answers, functions or fields have changed. Messages are rendered by the tokenizer's
    chat template if it has one; otherwise their contents are joined to plain text.

    Decoding is greedy, unless `temperature` (above 0), `top_p`, `top_k`, `min_p`, `do_sample` or an `n` above 1 request
    sampling; then each row has its own seed, computed from `seed` and its number. (vLLM's rounding depends on the
    batch: two tokens of almost equal probability may swap ranks.)

    vLLM requires a specific version of PyTorch: install it in a separate environment, see the extra `vllm`. The model
    stays in memory until the job ends.

    Metrics are `rows`, `failed`, `incomplete`, `kept` (reused from earlier runs), `prompt_tokens`, `completion_tokens`,
    `seconds`, `rows_per_second`, `tokens_per_second` (completion tokens).

    Args:
        model: a folder, or an id on the Hugging Face hub. The folder of a LoRA adapter (peft) is loaded together with
            its base model.
        model_params: arguments of `vllm.LLM`: `dtype`, `max_model_len`, `gpu_memory_utilization`, `quantization`,
            `enforce_eager`, ...
        sampling_params: `max_tokens` (also `max_new_tokens`; 256), `temperature`, `top_p`, `top_k`, `min_p`,
            `do_sample`, `n` samples per row, `seed` (42), `stop` (one or several texts that end an answer and are not
            part of it), and other fields of `vllm.SamplingParams`, such as `repetition_penalty` or
            `structured_outputs`.
        tensor_parallel_size: number of GPUs for tensor parallelism.
        chat: whether to apply the chat template; by default if the tokenizer has one.
        chat_template_kwargs: more arguments of the chat template, such as `enable_thinking`.
        chunk_size: prompts per call.
    """

    requires = imports.libraries("vllm", "vllm")

    def __init__(
        self,
        model: Model,
        dataset_path: InputPaths,
        export_path: OutputPath,
        model_params: ConfigValues | None = None,
        sampling_params: ConfigValues | None = None,
        tensor_parallel_size: PositiveInt = 1,
        chat: bool | None = None,
        chat_template_kwargs: ConfigValues | None = None,
        chunk_size: PositiveInt = 2000,
        infer_res_key: str = "response",
        raw_key: str | None = None,
        build_messages_func: str = "build_messages",
        parse_output_func: str = "parse_output",
        func_kwargs: ConfigValues | None = None,
        max_rows: PositiveInt | None = None,
        skip_missing: bool = False,
        skip_bad_rows: NonNegativeInt = 0,
        max_failures: float | None = None,
        retry_failed: bool = False,
        fail_incomplete: bool = False,
    ):
        super().__init__(
            model=model,
            dataset_path=dataset_path,
            export_path=export_path,
            model_params=model_params,
            sampling_params=sampling_params,
            infer_res_key=infer_res_key,
            raw_key=raw_key,
            build_messages_func=build_messages_func,
            parse_output_func=parse_output_func,
            func_kwargs=func_kwargs,
            max_rows=max_rows,
            skip_missing=skip_missing,
            skip_bad_rows=skip_bad_rows,
            max_failures=max_failures,
            retry_failed=retry_failed,
            fail_incomplete=fail_incomplete,
        )
        self.sampling = Sampling.of(self.sampling_params)
        self.chat, self.chat_template_kwargs = chat, chat_template_kwargs or {}
        self.tensor_parallel_size, self.chunk_size = tensor_parallel_size, chunk_size

    def identity(self) -> ConfigValues:
        """The settings that determine the answers; for an adapter also its base model."""
        adapter = find_adapter(self.model)
        chat = {"chat": self.chat, "chat_template_kwargs": self.chat_template_kwargs}
        return {**super().identity(), **chat, "base": adapter and [adapter.base, model_stamp(adapter.base)]}

    @contextmanager
    def inference_function(self, job: JobRun) -> Iterator[InferFunction]:
        """Load the model; yields a function that completes requests in chunks."""
        library, adapter = imports.load("vllm", extra="vllm"), find_adapter(self.model)
        self._params(library, {})  # reports invalid parameters before the model is loaded
        with job.progress.task(f"loading {Path(self.model).name}"):
            engine = self._engine(library, adapter)
        try:
            options: dict[str, object] = {"use_tqdm": False}
            if adapter:
                lora_request = imports.load("vllm.lora.request", extra="vllm").LoRARequest
                options["lora_request"] = lora_request("adapter", 1, str(Path(self.model).resolve()))
            encoder = Encoder(
                engine.get_tokenizer(),
                self.chat,
                self.chat_template_kwargs,
                engine.model_config.max_model_len,
                self.sampling.tokens,
            )
            default_params = engine.get_default_sampling_params()
            params = self._params(
                library, {key: getattr(default_params, key) for key in (*SHAPES, "repetition_penalty")}
            )
            yield lambda requests, on_result: self._complete(
                library, engine, encoder, params, options, requests, on_result
            )
        finally:
            engine.llm_engine.engine_core.shutdown()

    def _complete(
        self,
        library: ModuleType,
        engine: LibraryObject,
        encoder: Encoder,
        params: ConfigValues,
        options: dict[str, object],
        requests: Iterator[Request],
        on_result: OnResult,
    ) -> None:
        while chunk := list(islice(requests, self.chunk_size)):
            accepted, prompts = [], []
            for request in chunk:
                tokens = encoder.encode(request.prompt)
                if isinstance(tokens, Failure):
                    on_result(request, tokens)
                else:
                    accepted.append(request)
                    prompts.append({"prompt_token_ids": tokens})
            sampling_params = [library.SamplingParams(**params, **self._seed(request)) for request in accepted]
            for request, output in zip(
                accepted, engine.generate(prompts, sampling_params, **options) if accepted else (), strict=True
            ):
                samples = sorted(output.outputs, key=lambda sample: sample.index)
                reasons = [sample.finish_reason if sample.finish_reason == "length" else None for sample in samples]
                written = sum(len(sample.token_ids) for sample in output.outputs)
                texts, incomplete = [sample.text for sample in samples], reasons if any(reasons) else None
                on_result(request, Completion(texts, len(output.prompt_token_ids), written, incomplete))

    def _engine(self, library: ModuleType, adapter: Adapter | None) -> LibraryObject:
        params = {"tensor_parallel_size": self.tensor_parallel_size, **self.model_params}
        if adapter:
            max_rank = next((rank for rank in _RANKS if rank >= adapter.rank), adapter.rank)
            params = {"enable_lora": True, "max_lora_rank": max_rank, **params}
            params.setdefault("tokenizer", self.model if adapter.has_tokenizer else adapter.base)
        try:
            return library.LLM(model=adapter.base if adapter else self.model, **params)
        except (OSError, TypeError, ValueError) as error:
            raise JobError(f"vLLM cannot load {self.model!r}: {shorten(str(error).strip(), 500)}") from error

    def _params(self, library: ModuleType, default_params: ConfigValues) -> ConfigValues:
        """The arguments of SamplingParams that all rows share: the defaults, overridden by `sampling_params`."""
        sampling = self.sampling
        defaults = (
            default_params
            if sampling.draws
            else {key: value for key, value in default_params.items() if key not in SHAPES}
        )
        params = {
            **defaults,
            **(sampling.shape if sampling.draws else {"temperature": 0.0}),
            **sampling.others,
            "n": sampling.samples,
            "max_tokens": sampling.tokens,
            "stop": list(sampling.stop),
        }
        try:
            library.SamplingParams(**params)
        except (TypeError, ValueError) as error:
            raise JobError(f"sampling_params: vLLM rejects them: {error}") from error
        return params

    def _seed(self, request: Request) -> dict[str, int]:
        return {"seed": self.sampling.seed_of(request.number)} if self.sampling.draws else {}
