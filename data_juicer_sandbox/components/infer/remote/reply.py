"""Replies: the answer or the error of a reply, which errors are transient, and which affect all requests."""

from __future__ import annotations

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from time import time

import msgspec

from data_juicer_sandbox.components.infer.base.types import Completion, Failure
from data_juicer_sandbox.components.infer.remote.transport import Reply
from data_juicer_sandbox.components.io.parse import MISSING, get_nested
from data_juicer_sandbox.control_characters import one_line
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import mask_text, shorten
from data_juicer_sandbox.types import JsonValue

_decode = msgspec.json.Decoder().decode
_READ = 1 << 16
"""Maximum bytes of a non-JSON reply that are read for an excerpt."""
INCOMPLETE = ("length", "max_tokens", "content_filter", "safety")
"""Values of `finish_reason` that say that the answer is not complete."""
PATHS = {"chat": "choices.0.message.content", "completions": "choices.0.text"}
LONGEST_WAIT = 600.0
"""Maximum seconds of a server's Retry-After; if it is longer, the job ends."""
IN_A_ROW = 10
"""So many errors without an answer in between end the job."""
_QUOTA = frozenset(
    ("insufficient_quota", "quota_exceeded", "billing_hard_limit_reached", "billing_not_active", "insufficient_balance")
)
"""Codes and types of errors that say that no further request will be answered."""
_HINTS = {
    401: "check the API key; it is read from {key_env}",
    402: "the server requires a payment; resume later",
    403: "check that the API key has access to the model",
    404: "check the URL, which often ends in /v1, and the name of the model",
}


@dataclass(frozen=True)
class ReplyParser:
    """Extracts the answer from a reply.

    Args:
        path: dotted path of the answer. With several samples, the first `0` in it is the index of the sample.
        samples: number of requested samples.
    """

    path: str
    samples: int = 1

    def read(self, reply: Reply) -> Completion | Failure:
        """The answer in a successful reply, or a failure."""
        try:
            body = _decode(reply.body)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            return Failure("bad_reply", f"the reply is not JSON ({error}): {_excerpt(reply.body)}")
        usage = body.get("usage") if isinstance(body, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        prompt_tokens, completion_tokens = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        texts, reasons = [], []
        for keys in self.key_paths:
            value = get_nested(body, keys)
            if value is MISSING or value is None:
                what = "is null" if value is None else "is not in the reply"
                return Failure(
                    "bad_reply", f"{'.'.join(keys)} {what}{_reason(body, keys)}", prompt_tokens, completion_tokens
                )
            try:
                texts.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            except RecursionError:
                return Failure("bad_reply", f"{'.'.join(keys)} is nested too deeply", prompt_tokens, completion_tokens)
            reason = _finish_reason(body, keys)
            reasons.append(reason if reason in INCOMPLETE else None)
        return Completion(texts, prompt_tokens, completion_tokens, reasons if any(reasons) else None)

    @cached_property
    def key_paths(self) -> list[list[str]]:
        """The keys of each sample's path."""
        keys = self.path.split(".")
        if self.samples == 1:
            return [keys]
        position = keys.index("0")
        return [[*keys[:position], str(number), *keys[position + 1 :]] for number in range(self.samples)]


@dataclass(frozen=True)
class ServerError:
    """The error in a reply.

    Args:
        message: the server's words on one line.
        names: its code and its type, as far as the reply has them.
        status: the HTTP status in the error, if it has one.
    """

    message: str
    names: frozenset[str] = frozenset()
    status: int | None = None


def error_of(reply: Reply) -> ServerError:
    """The error of a reply with an error status; without a JSON error, an excerpt."""
    try:
        body = loads(reply.body)
    except ValueError:
        return ServerError(_excerpt(reply.body))
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return ServerError(_line(error))
    codes = [error.get(key) for key in ("code", "type", "status")]
    texts = [str(code) for code in codes]
    numbers = (int(text) for text in texts if text.isascii() and text.isdecimal() and len(text) == 3)
    status = next((number for number in numbers if 400 <= number < 600), None)
    message = error.get("message") or error.get("detail") or error
    return ServerError(_line(message), frozenset(str(code) for code in codes if code), status)


def reported_error(reply: Reply) -> ServerError | None:
    """The error in a reply with a success status, as some gateways send it; None if there is none."""
    try:
        body = loads(reply.body)
    except ValueError:
        return None
    return error_of(reply) if isinstance(body, dict) and body.get("error") else None


def is_transient(status: int) -> bool:
    """Whether an error status is transient: too many requests, a timeout, a server error."""
    return status in (408, 429) or status >= 500


def retry_after(reply: Reply) -> float | None:
    """The seconds of a Retry-After header; None if it is missing or invalid."""
    if header := reply.headers.get("retry-after-ms"):
        return _number(header, 1000)
    header = reply.headers.get("retry-after")
    if not header or (seconds := _number(header, 1)) is not None:
        return seconds if header else None
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except ValueError:
        return None


class Refusals:
    """Detects errors that affect all requests: a wrong key, a wrong URL, an exhausted quota.

    Args:
        url: URL of the server, for the error message.
        key_env: environment variable of the key, for the error message.
    """

    def __init__(self, url: str, key_env: str):
        self._url, self._key_env = url, key_env
        self._answered, self._in_a_row = False, 0

    def answered(self) -> None:
        """Record an answer."""
        self._answered, self._in_a_row = True, 0

    def judge(self, reply: Reply) -> Failure:
        """Convert an error reply to the failure of its row.

        Raises:
            JobError: the error affects all requests: 401 or 404 before any answer, many errors in a row, an exhausted
                quota, or too long a Retry-After.
        """
        status = reply.status
        error = error_of(reply)
        message = mask_text(error.message)  # some servers repeat the rejected key
        if _QUOTA & error.names:
            raise JobError(f"{self._url} rejects requests: {message}", hint="the quota is exhausted; resume later")
        if status < 300:
            return Failure("bad_reply", f"the server reports an error with status {status}: {message}")
        if is_transient(status) and (wait := retry_after(reply) or 0) > LONGEST_WAIT:
            raise JobError(f"{self._url} requests a wait of {wait:,.0f} s ({status}: {message})", hint="resume later")
        if status in _HINTS:
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW or (status != 403 and not self._answered):
                hint = _HINTS[status].format(key_env=self._key_env)
                raise JobError(f"{self._url} returns status {status}: {message}", hint=hint)
        if 300 <= status < 400:
            target = one_line(reply.headers.get("location", "nowhere"))
            message = f"the server redirects to {target}, which is not followed"
        return Failure(f"http_{status}", message)


def _finish_reason(body: JsonValue, keys: list[str]) -> str | None:
    """The reason for which the model stopped, if the reply has one."""
    reason = get_nested(body, [*keys[:2], "finish_reason"])
    return reason if isinstance(reason, str) else None


def _reason(body: JsonValue, keys: list[str]) -> str:
    reason = _finish_reason(body, keys)
    return f" (finish_reason: {one_line(reason)})" if reason else ""


def _line(value: JsonValue) -> str:
    """A value of an error as a short text on one line."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:
        text = "an error that is nested too deeply"
    return shorten(one_line(" ".join(text.split())), 300)


def _count(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:_READ].decode("utf-8", "replace").split())
    return shorten(one_line(text), 120, "...") or "it is empty"


def _number(text: str, divisor: float) -> float | None:
    try:
        seconds = float(text) / divisor
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
