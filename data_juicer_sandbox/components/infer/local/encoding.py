"""Prompts as tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from data_juicer_sandbox.components.infer.base import Failure, Prompt, as_messages, as_text
from data_juicer_sandbox.errors import JobError


class Encoder:
    """Makes tokens of prompts.

    Args:
        tokenizer: of transformers.
        chat: whether prompts go through its chat template; None: if it has one.
        template_kwargs: what that template is told besides the messages.
        context: tokens that the model takes at most, prompt and answer together; None for any number.
        answer: tokens of an answer, at most.

    Raises:
        JobError: a chat is wanted and there is no template, or nothing is left for a prompt.
    """

    def __init__(
        self, tokenizer: Any, chat: bool | None, template_kwargs: Mapping[str, Any], context: int | None, answer: int
    ):
        has_template = bool(getattr(tokenizer, "chat_template", None))
        if chat and not has_template:
            raise JobError("the model's tokenizer has no chat template", hint="chat: false gives it plain text")
        self._tokenizer, self._kwargs = tokenizer, dict(template_kwargs)
        self.chat = has_template if chat is None else chat
        self._most = None if context is None else context - answer
        self._room = f"with {answer:,} new ones they are more than the {context:,} that the model takes"
        if self._most is not None and self._most < 1:
            raise JobError(
                f"answers of {answer:,} tokens leave no room for a prompt: the model takes {context:,}",
                hint="a lower sampling_params.max_tokens",
            )

    def encode(self, prompt: Prompt) -> list[int] | Failure:
        """The tokens of a prompt, or why there are none."""
        try:
            tokens = self._tokens(prompt)
        except Exception as error:  # a template is a program of its own, and prompts are of all kinds
            return Failure("prompt", f"{type(error).__name__}: {error}")
        if self._most is not None and len(tokens) > self._most:
            return Failure("too_long", f"the prompt has {len(tokens):,} tokens: {self._room}")
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
        """What an answer to an empty prompt begins after."""
        start = self._tokenizer.bos_token_id
        return int(start if start is not None else self._tokenizer.eos_token_id)
