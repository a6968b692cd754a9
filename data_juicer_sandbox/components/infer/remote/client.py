"""Scheduler of concurrent requests to a server: concurrency, rates per minute, waiting times between retries."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import monotonic

from data_juicer_sandbox.components.infer.base.types import Completion, Failure, OnResult, Request
from data_juicer_sandbox.components.infer.remote.reply import (
    Refusals,
    ReplyParser,
    is_transient,
    reported_error,
    retry_after,
)
from data_juicer_sandbox.components.infer.remote.transport import Server, TooLarge, Unreachable


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


class RequestScheduler:
    """Sends requests, a limited number at a time.

    Args:
        server: the server.
        build_body: builds the HTTP body of a request.
        parser: parses replies.
        limiter: limits concurrency and rates.
        backoff: waiting times between retries.
        refusals: detects errors that affect all requests.
        counted: counters of requests and retries.
        expected: maximum tokens of an answer; 0 if unknown.
    """

    def __init__(
        self,
        server: Server,
        build_body: Callable[[Request], bytes],
        parser: ReplyParser,
        limiter: AdaptiveConcurrency,
        backoff: Backoff,
        refusals: Refusals,
        counted: Counter[str],
        expected: float = 0.0,
    ):
        self._server, self._build_body, self._parser, self._limiter = server, build_body, parser, limiter
        self._backoff, self._refusals, self._counted, self._expected = backoff, refusals, counted, expected
        self._random = random.Random()

    async def run(self, requests: Iterator[Request], on_result: OnResult, concurrency: int) -> None:
        """Send all requests, `concurrency` at a time.

        Raises:
            JobError: an error affects all requests, or `on_result` raised it.
        """

        async def work() -> None:
            for request in requests:  # all workers share one iterator
                on_result(request, await self._send(request))

        workers = [asyncio.create_task(work()) for _ in range(concurrency)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _send(self, request: Request) -> Completion | Failure:
        content = self._build_body(request)
        tokens = len(content) / 4 + self._expected  # estimate of four bytes per token; corrected by the reply
        attempts = 0
        while True:
            sent_at = await self._limiter.enter(tokens)
            attempts += 1
            self._counted["requests"] += 1
            requested_wait = None
            try:
                reply = await self._server.post(content)
                if reply.status < 300:
                    answer = self._parser.read(reply)
                    error = reported_error(reply) if isinstance(answer, Failure) else None
                    if error is None:
                        used = answer.prompt_tokens + answer.completion_tokens
                        self._limiter.answered(used - tokens if used else 0)
                        self._refusals.answered()
                        return answer
                    reply = replace(reply, status=error.status or reply.status)
                failure, permanent = self._refusals.judge(reply), not is_transient(reply.status)
                requested_wait = retry_after(reply)
                if reply.status in (429, 503):
                    self._limiter.slow_down(sent_at, requested_wait)
            except Unreachable as error:
                failure, permanent = Failure(error.category, error.message), False
            except TooLarge as error:
                failure, permanent = Failure("bad_reply", str(error)), True
            finally:
                self._limiter.leave()
            if permanent or attempts > self._backoff.retries:
                return (
                    failure if attempts == 1 else Failure(failure.category, f"{failure.message} ({attempts} attempts)")
                )
            self._counted["retries"] += 1
            await asyncio.sleep(self._backoff.wait(attempts, requested_wait, self._random))
