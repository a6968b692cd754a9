"""Requests, completions and failures: the interface between rows and a model; how many failures are tolerated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from data_juicer_sandbox.components.infer.messages import Message
from data_juicer_sandbox.errors import ConfigError, JobError
from data_juicer_sandbox.secrets import shorten, shown

Prompt = str | list[Message]
"""Chat messages, or plain text."""


def check_prompt(built: object) -> Prompt:
    """Check that the result of a `build_messages_func` is a prompt, and return it.

    Raises:
        TypeError: it is not a prompt.
        ValueError: UTF-8 cannot encode it.
    """
    if isinstance(built, str):
        _check_encodable(built)
        return built
    if not isinstance(built, list) or not built:
        raise TypeError(f"messages are a list of role and content, or a text, not {shown(built, 80)}")
    for message in built:
        if not isinstance(message, dict) or "role" not in message or "content" not in message:
            raise TypeError(f"a message has a role and a content: {shown(message, 80)}")
        _check_encodable(message["content"])
    return built


def _check_encodable(text: object) -> None:
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("the prompt has half of a surrogate pair, which UTF-8 cannot encode") from None


def as_messages(prompt: Prompt) -> list[Message]:
    """The prompt as chat messages; a plain text becomes a user message."""
    return [Message(role="user", content=prompt)] if isinstance(prompt, str) else prompt


def as_text(prompt: Prompt) -> str:
    """The prompt as plain text; the contents of several messages are joined as paragraphs."""
    return prompt if isinstance(prompt, str) else "\n\n".join(str(message["content"]) for message in prompt)


@dataclass(frozen=True)
class Request:
    """The request for one row.

    Args:
        number: index of the row in its data set, from 0.
        prompt: messages of a chat, or a plain text.
    """

    number: int
    prompt: Prompt


@dataclass(frozen=True)
class Completion:
    """The output of a model for one request.

    Args:
        texts: the generated texts, one per sample (`n`).
        prompt_tokens: number of prompt tokens, if known.
        completion_tokens: number of generated tokens of all texts together.
        incomplete: for each text why it is not complete, such as `length`, or None; None if all are complete.
    """

    texts: list[str]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    incomplete: list[str | None] | None = None


@dataclass(frozen=True)
class Failure:
    """The failure of one request. It is recorded in the row; the job continues.

    Args:
        category: one word, such as `timeout` or `http_500`.
        message: the error message. Secrets in it are masked before it is written.
        prompt_tokens: prompt tokens that were charged nevertheless.
        completion_tokens: completion tokens that were charged nevertheless.
    """

    category: str
    message: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


OnResult = Callable[[Request, Completion | Failure], None]
"""Callback for the result of a request; results may come in any order. Call it from the thread that runs `run`."""


FIRST_FAILURES = 100
"""If the first so many requests all fail, the job ends: the cause affects all of them."""


class FailureLimit:
    """Ends the job if a data set has too many failures.

    Args:
        most: tolerated failures: a fraction if below 1, else a count; None: fail only if every row failed.
        rows: number of rows.
    """

    def __init__(self, most: float | None, rows: int):
        self._rows, self._most = rows, most
        self._allowed = rows if most is None else most * rows if 0 < most < 1 else most
        self._request_failures, self._any_completed = 0, False
        self._last: Failure | None = None

    def judge(self, failure: Failure | None, failed: int) -> None:
        """Check the limit after a result.

        Args:
            failure: the failure; None for a completion.
            failed: number of failed rows so far.

        Raises:
            JobError: there are too many failures.
        """
        if failure is None:
            self._any_completed = True
            return
        self._last = failure
        if failure.category != "row":  # a row without a prompt says nothing about the model
            self._request_failures += 1
        if not self._any_completed and self._request_failures >= FIRST_FAILURES:
            raise JobError(
                f"the first {self._request_failures:,} requests all failed; the last: {failure_text(failure)}"
            )
        self._judge_number(failed)

    def judge_all(self, failed: int) -> None:
        """Check the limit after the last result.

        Raises:
            JobError: every row or too many rows failed.
        """
        if failed == self._rows:
            last = f"; the last: {failure_text(self._last)}" if self._last else ""
            raise JobError(f"all {self._rows:,} rows failed{last}")
        self._judge_number(failed)

    def _judge_number(self, failed: int) -> None:
        if self._most is not None and failed > self._allowed:
            last = f"; the last: {failure_text(self._last)}" if self._last else ""
            raise JobError(f"{failed:,} of {self._rows:,} rows failed, more than max_failures: {self._most}{last}")


def check_limit(most: float | None) -> None:
    """Check the value of `max_failures`.

    Raises:
        ConfigError: it is neither a fraction nor a count.
    """
    if most is not None and (most < 0 or (most > 1 and most != int(most))):
        raise ConfigError(f"max_failures {most}: expected a fraction below 1 or a number of rows")


def failure_text(failure: Failure) -> str:
    """A failure as one line."""
    return f"{failure.category}: {shorten(failure.message, 300)}"
