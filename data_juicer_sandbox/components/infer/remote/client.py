"""Many requests at once: a window that slides over the questions."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator

from data_juicer_sandbox.components.infer.base import Completion, Failure, Put, Request
from data_juicer_sandbox.components.infer.remote.rate_limit import AdaptiveConcurrency
from data_juicer_sandbox.components.infer.remote.reply import ReplyParser
from data_juicer_sandbox.components.infer.remote.retry import Backoff, Refusals, passes, retry_after
from data_juicer_sandbox.components.infer.remote.server import Server
from data_juicer_sandbox.components.infer.remote.transport import Unreachable


class RequestScheduler:
    """Asks questions, so many at a time; the next is taken when one is done with.

    Args:
        server: who is asked.
        write: makes the body of a request of a question.
        reading: finds the answer in the reply.
        pace: when requests may go.
        backoff: how failures that may pass are waited out.
        refusals: tells when it is no use.
        counted: where requests and retries are counted.
        expected: tokens that an answer has at most, where that is known.
    """

    def __init__(
        self,
        server: Server,
        write: Callable[[Request], bytes],
        reading: ReplyParser,
        pace: AdaptiveConcurrency,
        backoff: Backoff,
        refusals: Refusals,
        counted: Counter[str],
        expected: float = 0.0,
    ):
        self._server, self._write, self._reading, self._pace = server, write, reading, pace
        self._backoff, self._refusals, self._counted, self._expected = backoff, refusals, counted, expected
        self._draw = random.Random()

    async def run(self, questions: Iterator[Request], put: Put, at_once: int) -> None:
        """Ask all questions.

        Raises:
            JobError: it is no use, or `put` says so.
        """

        async def work() -> None:
            for question in questions:  # one iterator for all: each takes the next
                put(question, await self._ask(question))

        workers = [asyncio.create_task(work()) for _ in range(at_once)]
        try:
            done, _ = await asyncio.wait(workers, return_when=asyncio.FIRST_EXCEPTION)
            for worker in done:
                worker.result()
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _ask(self, question: Request) -> Completion | Failure:
        content = self._write(question)
        tokens = len(content) / 4 + self._expected  # a token is about four bytes; corrected by what the reply says
        tried = 0
        while True:
            sent = await self._pace.enter(tokens)
            tried += 1
            self._counted["requests"] += 1
            asked_for = None
            try:
                reply = await self._server.post(content)
                if reply.status < 300:
                    answer = self._reading.read(reply)
                    used = answer.prompt_tokens + answer.completion_tokens
                    self._pace.answered(used - tokens if used else 0)
                    self._refusals.answered()
                    return answer
                failure, lasting = self._refusals.judge(reply), not passes(reply.status)
                asked_for = retry_after(reply)
                if reply.status in (429, 503):
                    self._pace.slow_down(sent, asked_for)
            except Unreachable as error:
                failure, lasting = Failure(error.kind, error.message), False
            finally:
                self._pace.leave()
            if lasting or tried > self._backoff.retries:
                return failure if tried == 1 else Failure(failure.kind, f"{failure.message} (tried {tried} times)")
            self._counted["retries"] += 1
            await asyncio.sleep(self._backoff.wait(tried, asked_for, self._draw))
