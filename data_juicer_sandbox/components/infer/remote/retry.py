"""Which failures may pass, how long to wait then, and when it is no use."""

from __future__ import annotations

import random
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from time import time

from data_juicer_sandbox.components.infer.base import Failure
from data_juicer_sandbox.components.infer.remote.reply import complaint
from data_juicer_sandbox.components.infer.remote.transport import Reply
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import mask_text

LONGEST_WAIT = 600.0
"""Seconds: a server that asks for more is not waited for."""
IN_A_ROW = 10
"""So many refusals with no answer in between mean that there will be none."""
_HINTS = {
    401: "is it the right key? It is read from {key_env}",
    403: "may this key use this model?",
    404: "an address often ends in /v1; is the model's name right?",
}


@dataclass(frozen=True)
class Backoff:
    """Exponential waiting with full jitter: a random time up to `first` x 2^n, so that many do not come back at once.

    (M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015.)

    Args:
        retries: how often a request is sent again.
        first: seconds at most before the first time.
        most: seconds at most ever, unless the server asks for more.
    """

    retries: int
    first: float = 1.0
    most: float = 60.0

    def wait(self, tried: int, asked_for: float | None, draw: random.Random) -> float:
        """Seconds until the next try.

        Args:
            tried: how often it was sent, at least once.
            asked_for: what the server asks for; never less than that.
            draw: where chance comes from.
        """
        return (asked_for or 0.0) + draw.uniform(0, min(self.most, self.first * 2 ** (tried - 1)))


def passes(status: int) -> bool:
    """Whether a refusal may pass: too many requests, a time-out, a fault of the server."""
    return status in (408, 429) or status >= 500


def retry_after(reply: Reply) -> float | None:
    """Seconds that a server asks to wait; None where it does not say, or not in a way that is understood."""
    if given := reply.headers.get("retry-after-ms"):
        return _number(given, 1000)
    given = reply.headers.get("retry-after")
    if not given or (seconds := _number(given, 1)) is not None:
        return seconds if given else None
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time())
    except ValueError:
        return None


class Refusals:
    """Tells when a server's refusals concern all rows: a wrong key, a wrong address, a used-up account.

    Args:
        url: the server's, for the error.
        key_env: where the key is read from, for the error.
    """

    def __init__(self, url: str, key_env: str):
        self._url, self._key_env = url, key_env
        self._answered, self._in_a_row = False, 0

    def answered(self) -> None:
        """A request was answered."""
        self._answered, self._in_a_row = True, 0

    def judge(self, reply: Reply) -> Failure:
        """The failure that a refusal is for its row.

        Raises:
            JobError: it is one for all rows: 401 or 404 before there was any answer, or many in a row; or no more money
                on the account; or it asks for too long a wait.
        """
        status = reply.status
        message, code = complaint(reply)
        message = mask_text(message)  # some tell the key that they refuse
        if status == 429 and code == "insufficient_quota":
            raise JobError(f"{self._url} refuses: {message}", hint="the account is used up; go on when it is not")
        if passes(status) and (wait := retry_after(reply) or 0) > LONGEST_WAIT:
            raise JobError(f"{self._url} asks to wait {wait:,.0f} s ({status}: {message})", hint="go on then")
        if status in _HINTS:
            self._in_a_row += 1
            if self._in_a_row >= IN_A_ROW or (status != 403 and not self._answered):
                hint = _HINTS[status].format(key_env=self._key_env)
                raise JobError(f"{self._url} answers {status}: {message}", hint=hint)
        if 300 <= status < 400:
            message = f"it redirects to {reply.headers.get('location', 'nowhere')}, which is not followed"
        return Failure(f"http_{status}", message)


def _number(text: str, divisor: float) -> float | None:
    try:
        seconds = float(text) / divisor
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
