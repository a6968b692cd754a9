"""Retry policy: which errors are transient, how long to wait, and which errors affect all requests."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time

from data_juicer_sandbox.components.infer.base import Failure
from data_juicer_sandbox.components.infer.remote.reply import error_of
from data_juicer_sandbox.components.infer.remote.transport import Reply
from data_juicer_sandbox.control_characters import one_line
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import mask_text

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
class Backoff:
    """Exponential backoff with full jitter: a random time up to `first` x 2^n, so that retries are spread.

    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015.)

    Args:
        retries: maximum number of retries.
        first: maximum seconds before the first retry.
        most: maximum seconds before any retry, unless the server requests more.
    """

    retries: int
    first: float = 1.0
    most: float = 60.0

    def wait(self, attempts: int, requested_wait: float | None, draw: random.Random) -> float:
        """Seconds until the next attempt.

        Args:
            attempts: number of attempts so far, 1 or more.
            requested_wait: seconds that the server requested, which are waited in any case.
            draw: random number generator.
        """
        return (requested_wait or 0.0) + draw.uniform(0, min(self.most, self.first * 2 ** (attempts - 1)))


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


def _number(text: str, divisor: float) -> float | None:
    try:
        seconds = float(text) / divisor
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
