"""Language models of the Hugging Face kind, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse.typing import PositiveInt

from data_juicer_sandbox import imports
from data_juicer_sandbox.components.base import InputPaths, JobRun, Model, OutputPath
from data_juicer_sandbox.components.infer.base import Answering, LLMInference
from data_juicer_sandbox.components.infer.base.component import model_stamp
from data_juicer_sandbox.components.infer.local.adapters import find_adapter
from data_juicer_sandbox.components.infer.local.batches import answer_in_batches
from data_juicer_sandbox.components.infer.local.encoding import Encoder
from data_juicer_sandbox.components.infer.local.sampling import Sampling
from data_juicer_sandbox.components.lm import torch_env

_FOR_TOKENIZER = ("revision", "token", "cache_dir", "subfolder", "trust_remote_code", "gguf_file")


class HuggingFaceInference(LLMInference):
    """Let a language model answer a data set, with transformers in this process.

    Reads `dataset_path`, writes `<name>_inference.jsonl` under `export_path`: every row as it was, byte for byte, in
    its order, with the answer at `infer_res_key` (a list where `sampling_params.n` is above 1). A row that failed has
    null there, and `infer_error` with a `kind` (`row`, `prompt`, `too_long`, `parse`) and a `message`; it is counted,
    and the others go on.

    Prompts are answered in batches, padded on the left, those of about the same length together. Messages go through
    the tokenizer's chat template if it has one; if not, their contents are a plain text to go on from. A GPU is used
    where there is one, in bfloat16 if it has that.

    Each token is the most probable one, unless `temperature` (above 0), `top_p`, `top_k`, `min_p`, `do_sample` or an
    `n` above 1 want it drawn. What is drawn for a row depends on the `seed` and the row's number, not on its batch.
    (Rounding does depend on the shape of the batch: two tokens of all but the same probability may change places.)

    An interrupted job is continued and no row asked twice that was answered, unless the data, the model, the
    parameters that decide the answers, functions or fields have changed.

    Watches `rows`, `failed`, `kept` (taken over from earlier runs), `prompt_tokens`, `completion_tokens`, `seconds`,
    `rows_per_second`, `tokens_per_second` (written ones).

    Args:
        model: a folder, or an id on the Hugging Face hub. The folder of a LoRA adapter (peft) is loaded on top of the
            model it was made for.
        dataset_path: the data set(s), in any format. Several give several files.
        export_path: folder of the new files, named after the data sets (those that share a name get that of their
            folder in front); or, where there is but one, a `.jsonl` file.
        model_params: arguments of `from_pretrained`: `dtype`, `device_map`, `attn_implementation`, `revision`,
            `trust_remote_code`, ...
        sampling_params: `max_tokens` (also `max_new_tokens`; 256), `temperature`, `top_p`, `top_k`, `min_p`,
            `do_sample`, `n` samples a row, `seed` (42), `stop` (a text or several that end an answer and are no part of
            it), and what else transformers' `GenerationConfig` has, such as `repetition_penalty` or `num_beams`.
        chat: whether prompts go through the chat template; by default if the tokenizer has one.
        chat_template_kwargs: what the template is told besides, such as `enable_thinking`.
        batch_size: prompts that the model sees at once; each sample counts.
        threads: CPU threads; torch's choice by default.
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
        chat: bool | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        batch_size: PositiveInt = 16,
        threads: PositiveInt | None = None,
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
        self.batch_size, self.threads = batch_size, threads

    def identity(self) -> dict[str, Any]:
        """All that decides what the answers are; of an adapter, also the model under it."""
        adapter = find_adapter(self.model)
        chat = {"chat": self.chat, "chat_template_kwargs": self.chat_template_kwargs}
        return {**super().identity(), **chat, "base": adapter and [adapter.base, model_stamp(adapter.base)]}

    @contextmanager
    def answering(self, job: JobRun) -> Iterator[Answering]:
        """Load the model; what it gives answers in batches."""
        from data_juicer_sandbox.components.infer.local.generator import Generator

        with torch_env.deterministic(self.threads), job.progress.task(f"loading {Path(self.model).name}"):
            tokenizer, model = self._load()
            context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
            sampling = self.sampling
            encoder = Encoder(tokenizer, self.chat, self.chat_template_kwargs, context, sampling.tokens)
            generator = Generator(model, tokenizer, sampling)
        with torch_env.deterministic(self.threads):
            yield lambda questions, put: answer_in_batches(
                questions,
                put,
                lambda question: encoder.encode(question.prompt),
                generator.write,
                sampling.samples,
                self.batch_size,
            )

    def _load(self) -> tuple[Any, Any]:
        library, adapter = torch_env.transformers(), find_adapter(self.model)
        if adapter:
            imports.load("peft", extra=torch_env.EXTRA)  # transformers loads adapters with it
        speaker = adapter.base if adapter and not adapter.has_tokenizer else self.model
        kwargs = {key: value for key, value in self.model_params.items() if key in _FOR_TOKENIZER}
        tokenizer = torch_env.load(library.AutoTokenizer, speaker, **kwargs)
        params = dict(self.model_params)
        if not {"dtype", "torch_dtype"} & params.keys():
            params["dtype"] = getattr(torch_env.torch(), torch_env.precision("auto"))
        model = torch_env.load(library.AutoModelForCausalLM, self.model, **params)
        return tokenizer, (model if "device_map" in params else model.to(torch_env.device())).eval()
