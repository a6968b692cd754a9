"""Inference with transformers in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.infer.base.component import InferFunction, LLMInference, model_stamp
from data_juicer_sandbox.components.infer.local.batches import infer_in_batches
from data_juicer_sandbox.components.infer.local.encoding import Encoder
from data_juicer_sandbox.components.infer.local.sampling import Sampling
from data_juicer_sandbox.components.lm import loading, torch_env
from data_juicer_sandbox.components.lm.lora import find_adapter
from data_juicer_sandbox.components.lm.model_check import check_weights
from data_juicer_sandbox.components.number_types import NonNegativeInt, PositiveInt
from data_juicer_sandbox.components.processes.hardware import cores
from data_juicer_sandbox.types import ConfigValues, LibraryObject

_FOR_TOKENIZER = ("revision", "token", "cache_dir", "subfolder", "trust_remote_code", "gguf_file")


class HuggingFaceInference(LLMInference):
    """Run a language model over a data set, with transformers in this process.

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: the rows unchanged, byte for byte, in
    their order, with the answer in the field `infer_res_key` (a list if `sampling_params.n` is above 1). A failed row
    has null there, and `infer_error` with a `kind` (`row`, `prompt`, `too_long`, `parse`) and a `message`; the job
    continues with the other rows. An answer that is not complete (it reached the maximum number of tokens, or
    a filter ended it) has the reason in `infer_incomplete`.

    Prompts are completed in batches of similar length, padded on the left. Messages are rendered by the tokenizer's
    chat template if it has one; otherwise their contents are joined to plain text. A GPU is used if available, in
    bfloat16 if it supports that.

    Decoding is greedy, unless `temperature` (above 0), `top_p`, `top_k`, `min_p`, `do_sample` or an `n` above 1 request
    sampling. The samples of a row depend on the `seed` and the row's number, not on its batch. (Rounding does depend on
    the shape of the batch: two tokens of almost equal probability may swap ranks.)

    An interrupted job is resumed: stored answers are reused, unless the data, the model, the parameters that determine
    the answers, functions or fields have changed.

    Metrics are `rows`, `failed`, `incomplete`, `kept` (reused from earlier runs), `prompt_tokens`, `completion_tokens`,
    `seconds`, `rows_per_second`, `tokens_per_second` (completion tokens).

    Args:
        model: a folder, or an id on the Hugging Face hub. The folder of a LoRA adapter (peft) is loaded together with
            its base model.
        model_params: arguments of `from_pretrained`: `dtype`, `device_map`, `attn_implementation`, `revision`,
            `trust_remote_code`, ...
        sampling_params: `max_tokens` (also `max_new_tokens`; 256), `temperature`, `top_p`, `top_k`, `min_p`,
            `do_sample`, `n` samples per row, `seed` (42), `stop` (one or several texts that end an answer and are not
            part of it), and other fields of transformers' `GenerationConfig`, such as `repetition_penalty` or
            `num_beams`.
        chat: whether to apply the chat template; by default if the tokenizer has one.
        chat_template_kwargs: more arguments of the chat template, such as `enable_thinking`.
        batch_size: prompts per batch; each sample counts.
        threads: CPU threads; by default 1 for a small model, torch's default for others.
    """

    requires = imports.libraries(torch_env.EXTRA, "torch", "transformers")

    def __init__(
        self,
        model: Model,
        dataset_path: InputPaths,
        export_path: OutputPath,
        model_params: ConfigValues | None = None,
        sampling_params: ConfigValues | None = None,
        chat: bool | None = None,
        chat_template_kwargs: ConfigValues | None = None,
        batch_size: PositiveInt = 16,
        threads: PositiveInt | None = None,
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
        self.batch_size, self.threads = batch_size, threads

    def identity(self) -> ConfigValues:
        """The settings that determine the answers; for an adapter also its base model."""
        adapter = find_adapter(self.model)
        chat = {"chat": self.chat, "chat_template_kwargs": self.chat_template_kwargs}
        return {**super().identity(), **chat, "base": adapter and [adapter.base, model_stamp(adapter.base)]}

    def cpus(self) -> int | None:
        """The processor cores that the model can use; None on a GPU."""
        return self._threads or (cores() if torch_env.device() == "cpu" else None)

    @property
    def _threads(self) -> int | None:
        return self.threads or torch_env.threads_for(self.model)

    @contextmanager
    def inference_function(self, job: JobRun) -> Iterator[InferFunction]:
        """Load the model; yields a function that completes requests in batches."""
        from data_juicer_sandbox.components.infer.local.generator import Generator

        with (
            torch_env.deterministic(self._threads),
            job.progress.task(f"loading {Path(self.model).name}"),
        ):
            tokenizer, model = self._load()
            context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
            sampling = self.sampling
            encoder = Encoder(tokenizer, self.chat, self.chat_template_kwargs, context, sampling.tokens)
            generator = Generator(model, tokenizer, sampling)
        with torch_env.deterministic(self._threads):
            yield lambda requests, on_result: infer_in_batches(
                requests,
                on_result,
                lambda request: encoder.encode(request.prompt),
                generator.generate,
                sampling.samples,
                self.batch_size,
            )

    def _load(self) -> tuple[LibraryObject, LibraryObject]:
        library, adapter = torch_env.transformers(), find_adapter(self.model)
        if adapter:
            imports.load("peft", extra=torch_env.EXTRA)  # transformers loads adapters with it
        tokenizer_source = adapter.base if adapter and not adapter.has_tokenizer else self.model
        kwargs = {key: value for key, value in self.model_params.items() if key in _FOR_TOKENIZER}
        tokenizer = loading.load_plain_tokenizer(library, tokenizer_source, **kwargs)
        params = dict(self.model_params)
        if not {"dtype", "torch_dtype"} & params.keys():
            params["dtype"] = getattr(torch_env.torch(), torch_env.precision("auto"))
        model = loading.load(library.AutoModelForCausalLM, self.model, **params)
        check_weights(model, self.model)
        return tokenizer, (model if "device_map" in params else model.to(torch_env.device())).eval()
