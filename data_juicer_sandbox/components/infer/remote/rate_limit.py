"""When the next request may go out: as many at once and a minute as are allowed, and none while a server wants rest."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic


class TokenRate:
    """A limit of so much a minute, evenly: what was a moment too early waits. Up to a second's worth may go at once.

    (The virtual scheduling form of the generic cell rate algorithm, ITU-T I.371.)

    Args:
        amount: how much a minute; None for no limit.
        clock: tells the time in seconds.
    """

    def __init__(self, amount: float | None, clock: Callable[[], float] = monotonic):
        self._each = 60.0 / amount if amount else 0.0
        self._clock, self._due = clock, clock()

    def take(self, amount: float) -> float:
        """Take some; returns the seconds to wait first."""
        now = self._clock()
        wait = max(0.0, self._due - now - 1.0)
        self._due = max(self._due, now) + amount * self._each
        return wait

    def correct(self, amount: float) -> None:
        """It was this much more than was taken, or less."""
        self._due += amount * self._each


class AdaptiveConcurrency:
    """Lets requests go.

    At most `most` are out at once; fewer when the server says that they are too many: half as many after each such
    reply, and one more after as many answers as may be out (additive increase, multiplicative decrease: Chiu and Jain
    1989). So a server that allows little is not asked again and again in vain.

    Args:
        most: requests at once.
        requests: a minute; None for no limit.
        tokens: a minute; None for no limit.
    """

    def __init__(self, most: int, requests: float | None = None, tokens: float | None = None):
        self._most, self._allowed = most, float(most)
        self._requests, self._tokens = TokenRate(requests), TokenRate(tokens)
        self._out = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._rest_until = self._slowed = 0.0

    async def enter(self, tokens: float) -> float:
        """Wait until a request may go. Returns when it went; `leave` must follow.

        Args:
            tokens: how many it will cost, by estimate.
        """
        while self._out >= int(self._allowed):
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._wake()  # it was this one's turn: the next one's now
                raise
        self._out += 1
        try:
            if wait := max(self._requests.take(1), self._tokens.take(tokens)):
                await asyncio.sleep(wait)
            while (rest := self._rest_until - monotonic()) > 0:
                await asyncio.sleep(rest)
        except asyncio.CancelledError:
            self.leave()
            raise
        return monotonic()

    def leave(self) -> None:
        """A request is back."""
        self._out -= 1
        self._wake()

    def answered(self, tokens: float) -> None:
        """It was answered, and cost this many tokens more than estimated (or less)."""
        self._allowed = min(self._most, self._allowed + 1 / self._allowed)
        self._tokens.correct(tokens)

    def slow_down(self, sent: float, rest: float | None) -> None:
        """The server says that it is too much.

        Args:
            sent: when the request went. Those sent before the last slowing down tell nothing new.
            rest: seconds for which it wants no requests.
        """
        now = monotonic()
        if sent >= self._slowed:
            self._allowed, self._slowed = max(1.0, self._allowed / 2), now
        if rest:
            self._rest_until = max(self._rest_until, now + rest)

    def _wake(self) -> None:
        free = int(self._allowed) - self._out
        while free > 0 and self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                free -= 1
