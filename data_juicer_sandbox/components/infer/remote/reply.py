"""What a reply means: an answer, or why there is none."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import msgspec

from data_juicer_sandbox.components.infer.base import Completion, Failure
from data_juicer_sandbox.components.infer.remote.transport import Reply
from data_juicer_sandbox.components.io.get_nested import MISSING, get_nested
from data_juicer_sandbox.plain_json import loads
from data_juicer_sandbox.secrets import shorten

_decode = msgspec.json.Decoder().decode
_READ = 1 << 16
"""Bytes of a reply that is no JSON that are looked at for an excerpt."""
PATHS = {"chat": "choices.0.message.content", "completions": "choices.0.text"}


@dataclass(frozen=True)
class ReplyParser:
    """Where in a reply the answer lies.

    Args:
        path: its keys, parted by dots. Of several samples it is the first's: the first `0` in it counts up.
        samples: how many were asked for.
    """

    path: str
    samples: int = 1

    def read(self, reply: Reply) -> Completion | Failure:
        """The answer in a good reply, or why there is none."""
        try:
            body = _decode(reply.body)
        except (ValueError, RecursionError) as error:  # msgspec's errors are ValueErrors
            return Failure("bad_reply", f"the reply is no JSON ({error}): {_excerpt(reply.body)}")
        usage = body.get("usage") if isinstance(body, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        read, wrote = (_count(usage.get(key)) for key in ("prompt_tokens", "completion_tokens"))
        texts = []
        for way in self.ways:
            value = get_nested(body, way)
            if value is MISSING or value is None:
                what = "is null" if value is None else "is not in the reply"
                return Failure("bad_reply", f"{'.'.join(way)} {what}{_reason(body, way)}", read, wrote)
            texts.append(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        return Completion(texts, read, wrote)

    @cached_property
    def ways(self) -> list[list[str]]:
        """The keys of every sample."""
        keys = self.path.split(".")
        if self.samples == 1:
            return [keys]
        at = keys.index("0")
        return [[*keys[:at], str(number), *keys[at + 1 :]] for number in range(self.samples)]


def complaint(reply: Reply) -> tuple[str, str | None]:
    """What a server says of its refusal: the message, and the error's code if it names one."""
    try:
        body = loads(reply.body)
    except ValueError:
        return _excerpt(reply.body), None
    error = body.get("error", body) if isinstance(body, dict) else body
    if isinstance(error, dict):
        message = error.get("message") or error.get("detail") or json.dumps(error)
        return shorten(str(message), 300), str(error["code"]) if error.get("code") else None
    return shorten(str(error), 300), None


def _reason(body: Any, way: list[str]) -> str:
    """Why a model stopped, where it says so."""
    reason = get_nested(body, [*way[:2], "finish_reason"])
    return f" (finish_reason: {reason})" if isinstance(reason, str) else ""


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _excerpt(body: bytes) -> str:
    text = " ".join(body[:_READ].decode("utf-8", "replace").split())
    return shorten(text, 120, "...") or "it is empty"
