"""Tokenization of prompts."""

from __future__ import annotations

from collections.abc import Mapping

from data_juicer_sandbox.components.infer.base.types import Failure, Prompt, as_messages, as_text
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.types import JsonValue, LibraryObject


class Encoder:
    """Converts prompts to tokens.

    Args:
        tokenizer: a tokenizer of transformers.
        chat: whether to apply its chat template; None: if it has one.
        template_kwargs: more arguments of the template.
        context: maximum tokens of prompt and answer together; None: unlimited.
        answer: maximum tokens of an answer.

    Raises:
        JobError: `chat` is true and the tokenizer has no template, or the context has no room for a prompt.
    """

    def __init__(
        self,
        tokenizer: LibraryObject,
        chat: bool | None,
        template_kwargs: Mapping[str, JsonValue],
        context: int | None,
        answer: int,
    ):
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if chat and not has_template:
            raise JobError("the model's tokenizer has no chat template", hint="chat: false uses plain text prompts")
        self._tokenizer, self._kwargs = tokenizer, dict(template_kwargs)
        self.chat = has_template if chat is None else chat
        self._max_tokens = None if context is None else context - answer
        self._limit_text = f"with {answer:,} new ones they exceed the model's context of {context:,}"
        if self._max_tokens is not None and self._max_tokens < 1:
            raise JobError(
                f"answers of {answer:,} tokens leave no room for a prompt: the model's context is {context:,}",
                hint="a lower sampling_params.max_tokens",
            )

    def encode(self, prompt: Prompt) -> list[int] | Failure:
        """The tokens of a prompt, or a failure."""
        try:
            tokens = self._tokens(prompt)
        except Exception as error:  # a template may raise anything
            return Failure("prompt", f"{type(error).__name__}: {error}")
        if self._max_tokens is not None and len(tokens) > self._max_tokens:
            return Failure("too_long", f"the prompt has {len(tokens):,} tokens: {self._limit_text}")
        return tokens or [self._start()]

    def _tokens(self, prompt: Prompt) -> list[int]:
        if self.chat:
            messages = as_messages(prompt)
            return list(
                self._tokenizer.apply_chat_template(
                    messages, add_generation_prompt=True, return_dict=False, **self._kwargs
                )
            )
        return list(self._tokenizer(as_text(prompt))["input_ids"])

    def _start(self) -> int:
        """The token that stands in for an empty prompt."""
        start = self._tokenizer.bos_token_id
        return int(start if start is not None else self._tokenizer.eos_token_id)
