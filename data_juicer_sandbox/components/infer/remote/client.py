"""Scheduler of concurrent requests to a server."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from data_juicer_sandbox.components.infer.base import Completion, Failure, OnResult, Request
from data_juicer_sandbox.components.infer.remote.rate_limit import AdaptiveConcurrency
from data_juicer_sandbox.components.infer.remote.reply import ReplyParser, reported_error
from data_juicer_sandbox.components.infer.remote.retry import Backoff, Refusals, is_transient, retry_after
from data_juicer_sandbox.components.infer.remote.server import Server
from data_juicer_sandbox.components.infer.remote.transport import TooLarge, Unreachable


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
