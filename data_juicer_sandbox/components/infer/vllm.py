"""Language models in vLLM, in this process and those that it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from jsonargparse.typing import PositiveInt

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.infer.base import Answering, Completion, Failure, LLMInference, Put, Request
from data_juicer_sandbox.components.infer.base.component import model_stamp
from data_juicer_sandbox.components.infer.local.adapters import Adapter, find_adapter
from data_juicer_sandbox.components.infer.local.encoding import Encoder
from data_juicer_sandbox.components.infer.local.sampling import SHAPES, Sampling
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import shorten

_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""Ranks of adapters that vLLM makes room for."""


class VLLMInference(LLMInference):
    """Let a language model answer a data set, with vLLM.

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: every row as it was, byte for byte, in
    its order, with the answer at `infer_res_key` (a list where `sampling_params.n` is above 1). A row that failed has
    null there, and `infer_error` with a `kind` (`row`, `prompt`, `too_long`, `parse`) and a `message`; it is counted,
    and the others go on.

    vLLM gets `chunk_size` prompts in one call and batches them itself; answers are put on disk when the call ends. So
    an interrupted job is continued and loses no more than that, unless the data, the model, the parameters that decide
    the answers, functions or fields have changed. Messages go through the tokenizer's chat template if it has one; if
    not, their contents are a plain text to go on from.

    Each token is the most probable one, unless `temperature` (above 0), `top_p`, `top_k`, `min_p`, `do_sample` or an
    `n` above 1 want it drawn; then each row has a seed of its own, made of `seed` and its number. (vLLM's rounding does
    depend on what is batched together: two tokens of all but the same probability may change places.)

    vLLM pins a PyTorch of its own: best in an environment of its own, see the extra `vllm`. It stays in memory till the
    job ends.

    Watches `rows`, `failed`, `kept` (taken over from earlier runs), `prompt_tokens`, `completion_tokens`, `seconds`,
    `rows_per_second`, `tokens_per_second` (written ones).

    Args:
        model: a folder, or an id on the Hugging Face hub. The folder of a LoRA adapter (peft) is put on top of the
            model it was made for.
        dataset_path: the data set(s), in any format. Several give several files.
        export_path: folder of the new files, named after the data sets (those that share a name get that of their
            folder in front); or, where there is but one, a `.jsonl` file.
        model_params: arguments of `vllm.LLM`: `dtype`, `max_model_len`, `gpu_memory_utilization`, `quantization`,
            `enforce_eager`, ...
        sampling_params: `max_tokens` (also `max_new_tokens`; 256), `temperature`, `top_p`, `top_k`, `min_p`,
            `do_sample`, `n` samples a row, `seed` (42), `stop` (a text or several that end an answer and are no part of
            it), and what else `vllm.SamplingParams` has, such as `repetition_penalty` or `structured_outputs`.
        tensor_parallel_size: GPUs that the model is spread over.
        chat: whether prompts go through the chat template; by default if the tokenizer has one.
        chat_template_kwargs: what the template is told besides, such as `enable_thinking`.
        chunk_size: prompts of one call.
        infer_res_key: the new field with the answer.
        raw_key: another one for what the model wrote, before `parse_output_func`.
        build_messages_func: makes messages (or a text) of a row: `build_messages`, `build_messages_for_math_qa`, or a
            dotted path.
        parse_output_func: reads what the model wrote: `parse_output`, or a dotted path.
        func_kwargs: their arguments. Each goes to the function that has one of its name; those under the key
            `build_messages_func` or `parse_output_func` to that one.
        max_rows: rows taken from the start of each data set; all by default.
        skip_missing: leave out data sets that are not there, with a warning, instead of failing.
        max_failures: more failed rows in a data set fail the job: a share of them if below 1, otherwise their number.
            By default all of them must fail.
        retry_failed: ask failed rows of an interrupted file again.
    """

    def __init__(
        self,
        model: Model,
        dataset_path: InputPaths,
        export_path: OutputPath,
        model_params: dict[str, Any] | None = None,
        sampling_params: dict[str, Any] | None = None,
        tensor_parallel_size: PositiveInt = 1,
        chat: bool | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        chunk_size: PositiveInt = 2000,
        infer_res_key: str = "response",
        raw_key: str | None = None,
        build_messages_func: str = "build_messages",
        parse_output_func: str = "parse_output",
        func_kwargs: dict[str, Any] | None = None,
        max_rows: PositiveInt | None = None,
        skip_missing: bool = False,
        max_failures: float | None = None,
        retry_failed: bool = False,
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
            max_failures=max_failures,
            retry_failed=retry_failed,
        )
        self.sampling = Sampling.of(self.sampling_params)
        self.chat, self.chat_template_kwargs = chat, chat_template_kwargs or {}
        self.tensor_parallel_size, self.chunk_size = tensor_parallel_size, chunk_size

    def identity(self) -> dict[str, Any]:
        """All that decides what the answers are; of an adapter, also the model under it."""
        adapter = find_adapter(self.model)
        chat = {"chat": self.chat, "chat_template_kwargs": self.chat_template_kwargs}
        return {**super().identity(), **chat, "base": adapter and [adapter.base, model_stamp(adapter.base)]}

    @contextmanager
    def answering(self, job: JobRun) -> Iterator[Answering]:
        """Load the model; what it gives answers a chunk a call."""
        library, adapter = imports.load("vllm", extra="vllm"), find_adapter(self.model)
        self._params(library, {})  # what is wrong with them is told before minutes of loading
        with job.progress.task(f"loading {Path(self.model).name}"):
            engine = self._engine(library, adapter)
        try:
            options: dict[str, Any] = {"use_tqdm": False}
            if adapter:
                request = imports.load("vllm.lora.request", extra="vllm").LoRARequest
                options["lora_request"] = request("adapter", 1, str(Path(self.model).resolve()))
            encoder = Encoder(
                engine.get_tokenizer(),
                self.chat,
                self.chat_template_kwargs,
                engine.model_config.max_model_len,
                self.sampling.tokens,
            )
            own = engine.get_default_sampling_params()
            params = self._params(library, {key: getattr(own, key) for key in (*SHAPES, "repetition_penalty")})
            yield lambda questions, put: self._answer(library, engine, encoder, params, options, questions, put)
        finally:
            engine.llm_engine.engine_core.shutdown()

    def _answer(
        self,
        library: ModuleType,
        engine: Any,
        encoder: Encoder,
        params: dict[str, Any],
        options: dict[str, Any],
        questions: Iterator[Request],
        put: Put,
    ) -> None:
        while chunk := list(islice(questions, self.chunk_size)):
            asked, prompts = [], []
            for question in chunk:
                tokens = encoder.encode(question.prompt)
                if isinstance(tokens, Failure):
                    put(question, tokens)
                else:
                    asked.append(question)
                    prompts.append({"prompt_token_ids": tokens})
            each = [library.SamplingParams(**params, **self._seed(question)) for question in asked]
            for question, made in zip(asked, engine.generate(prompts, each, **options) if asked else (), strict=True):
                texts = [one.text for one in sorted(made.outputs, key=lambda one: one.index)]
                written = sum(len(one.token_ids) for one in made.outputs)
                put(question, Completion(texts, len(made.prompt_token_ids), written))

    def _engine(self, library: ModuleType, adapter: Adapter | None) -> Any:
        params = {"tensor_parallel_size": self.tensor_parallel_size, **self.model_params}
        if adapter:
            fits = next((rank for rank in _RANKS if rank >= adapter.rank), adapter.rank)
            params = {"enable_lora": True, "max_lora_rank": fits, **params}
            params.setdefault("tokenizer", self.model if adapter.has_tokenizer else adapter.base)
        try:
            return library.LLM(model=adapter.base if adapter else self.model, **params)
        except (OSError, TypeError, ValueError) as error:
            raise JobError(f"vLLM cannot load {self.model!r}: {shorten(str(error).strip(), 500)}") from error

    def _params(self, library: ModuleType, own: dict[str, Any]) -> dict[str, Any]:
        """The arguments of SamplingParams that all rows share: the model's own, changed as is wanted."""
        sampling = self.sampling
        kept = own if sampling.draws else {key: value for key, value in own.items() if key not in SHAPES}
        params = {
            **kept,
            **(sampling.shape if sampling.draws else {"temperature": 0.0}),
            **sampling.others,
            "n": sampling.samples,
            "max_tokens": sampling.tokens,
            "stop": list(sampling.stop),
        }
        try:
            library.SamplingParams(**params)
        except (TypeError, ValueError) as error:
            raise JobError(f"sampling_params: vLLM refuses them: {error}") from error
        return params

    def _seed(self, question: Request) -> dict[str, int]:
        return {"seed": self.sampling.seed_of(question.number)} if self.sampling.draws else {}
