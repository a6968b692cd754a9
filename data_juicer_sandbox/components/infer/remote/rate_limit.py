"""Rate limits: when the next request may be sent."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic


class TokenRate:
    """A limit per minute, applied evenly; bursts of up to one second's amount are allowed.

    (The virtual scheduling form of the generic cell rate algorithm, ITU-T I.371.)

    Args:
        amount: amount per minute; None: unlimited.
        clock: returns the time in seconds.
    """

    def __init__(self, amount: float | None, clock: Callable[[], float] = monotonic):
        self._seconds_per_unit = 60.0 / amount if amount else 0.0
        self._clock, self._due = clock, clock()

    def take(self, amount: float) -> float:
        """Reserve an amount; returns the seconds to wait before using it."""
        now = self._clock()
        wait = max(0.0, self._due - now - 1.0)
        self._due = max(self._due, now) + amount * self._seconds_per_unit
        return wait

    def correct(self, amount: float) -> None:
        """Add the difference between the actual and the reserved amount."""
        self._due += amount * self._seconds_per_unit


class AdaptiveConcurrency:
    """Limits concurrency and rates of requests.

    At most `most` requests are in flight. The limit is halved when the server reports overload, and rises by one after
    as many answers as the limit (additive increase, multiplicative decrease: Chiu and Jain 1989).

    Args:
        most: maximum number of concurrent requests.
        requests: maximum requests per minute; None: unlimited.
        tokens: maximum tokens per minute; None: unlimited.
    """

    def __init__(self, most: int, requests: float | None = None, tokens: float | None = None):
        self._most, self._allowed = most, float(most)
        self._requests, self._tokens = TokenRate(requests), TokenRate(tokens)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._paused_until = self._slowed_at = 0.0

    async def enter(self, tokens: float) -> float:
        """Wait until a request may be sent; returns the time of sending. `leave` must follow.

        Args:
            tokens: estimated number of tokens of the request.
        """
        while self._in_flight >= int(self._allowed):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # pass the turn to the next waiting request
                raise
        self._in_flight += 1
        try:
            if wait := max(self._requests.take(1), self._tokens.take(tokens)):
                await asyncio.sleep(wait)
            while (pause := self._paused_until - monotonic()) > 0:
                await asyncio.sleep(pause)
        except asyncio.CancelledError:
            self.leave()
            raise
        return monotonic()

    def leave(self) -> None:
        """Record that a request has finished."""
        self._in_flight -= 1
        self._wake()

    def answered(self, tokens: float) -> None:
        """Record an answer.

        Args:
            tokens: actual minus estimated number of tokens.
        """
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        self._tokens.correct(tokens)

    def slow_down(self, sent_at: float, pause: float | None) -> None:
        """Reduce the concurrency after an overload reply.

        Args:
            sent_at: when the request was sent. Requests sent before the last reduction do not reduce it again.
            pause: seconds during which the server accepts no requests.
        """
        now = monotonic()
        if sent_at >= self._slowed_at:
            self._allowed, self._slowed_at = max(1.0, self._allowed / 2), now
        if pause:
            self._paused_until = max(self._paused_until, now + pause)

    def _wake(self) -> None:
        free = int(self._allowed) - self._in_flight
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
