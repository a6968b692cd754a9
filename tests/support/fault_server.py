"""A server with the interface of OpenAI's that goes wrong on demand, and remembers what it was asked.

Answers are made of the prompts: "answer to <prompt>". In a test it runs in a thread (`with FaultServer() as server`),
for a benchmark in a process of its own: `python fault_server.py --latency 0.05` prints its address.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Args:
        kind: a status (`500`, `429`, ...), or one of `drop` (the connection ends without an answer), `cut` (it ends
            within the body), `hang` (no answer ever comes), `slow` (the body comes in pieces, `seconds` in all),
            `malformed` (half of the JSON), `html` (a page), `no_choices`, `null` (a message without content), `raw`
            (a response as it is).
        retry_after: what the header of that name says.
        code: of the error.
        seconds: of `slow`.
        status: of `raw`.
        body: of `raw`.
        head: more header lines of `raw`, each with its line break.
    """

    kind: int | str
    retry_after: str | None = None
    code: str | None = None
    seconds: float = 0.05
    status: int = 200
    body: bytes = b""
    head: str = ""


@dataclass
class Asked:
    """One request as it came."""

    prompt: str
    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    fault: Fault | None
    in_flight: int
    """How many were, with this one."""


@dataclass
class FaultServer:
    """The server.

    Args:
        latency: seconds until an answer goes out.
        scripted: faults of a prompt, one for each time it comes; then it is answered.
        always: a fault for every prompt that is not scripted.
        shares: how likely faults are, for every request that is not scripted.
        seed: of that.
        most: requests beyond so many at once get a 429.
        keep: remember the requests.
        port: 0 for any.
    """

    latency: float = 0.0
    scripted: Mapping[str, Sequence[Fault]] = field(default_factory=dict)
    always: Fault | None = None
    shares: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 0
    most: int | None = None
    keep: bool = True
    port: int = 0

    def __post_init__(self) -> None:
        self.asked: list[Asked] = []
        self.times: Counter[str] = Counter()
        self.in_flight = self.max_in_flight = self.connections = 0
        self.answered: Counter[str] = Counter()
        self._draw = random.Random(self.seed)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> FaultServer:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready.set,), daemon=True)
        self._thread.start()
        assert ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    def _run(self, ready: Callable[[], Any]) -> None:
        asyncio.run(self.serve(ready))

    async def serve(self, ready: Callable[[], Any]) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await self._loop.create_server(lambda: _Connection(self), "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        ready()
        await self._stop.wait()
        server.close()

    def choose(self, prompt: str) -> Fault | None:
        """The fault of this request, if it has one."""
        seen = self.times[prompt]
        self.times[prompt] += 1
        if self.most is not None and self.in_flight > self.most:
            return Fault(429)
        if prompt in self.scripted:
            script = self.scripted[prompt]
            return script[seen] if seen < len(script) else None
        if self.always is not None:
            return self.always
        if self.shares:
            drawn = self._draw.random()
            for fault, share in self.shares.items():
                if drawn < share:
                    return fault
                drawn -= share
        return None


class _Connection(asyncio.Protocol):
    def __init__(self, server: FaultServer):
        self.server, self.held = server, b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.server.connections += 1

    def data_received(self, data: bytes) -> None:
        self.held += data
        while (end := self.held.find(b"\r\n\r\n")) >= 0:
            first, *lines = self.held[:end].decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            rest = end + 4 + int(headers.get("content-length", "0"))
            if len(self.held) < rest:
                return
            body, self.held = self.held[end + 4 : rest], self.held[rest:]
            self.asked(first.split(" ")[1], headers, json.loads(body or b"{}"))

    def asked(self, path: str, headers: dict[str, str], body: dict[str, Any]) -> None:
        server = self.server
        prompt = body["messages"][-1]["content"] if "messages" in body else str(body.get("prompt"))
        server.in_flight += 1
        server.max_in_flight = max(server.max_in_flight, server.in_flight)
        fault = server.choose(prompt)
        if server.keep:
            server.asked.append(Asked(prompt, path, body, headers, fault, server.in_flight))
        assert server._loop is not None
        if fault is not None and fault.kind == "hang":
            return
        if server.latency:
            server._loop.call_later(server.latency, self.answer, path, headers, prompt, body, fault)
        else:
            self.answer(path, headers, prompt, body, fault)

    def answer(
        self, path: str, headers: dict[str, str], prompt: str, body: dict[str, Any], fault: Fault | None
    ) -> None:
        server = self.server
        server.in_flight -= 1
        if fault is None:
            server.answered[prompt] += 1 if server.keep else 0
            self.transport.write(response(200, content(path, prompt, body)))
            return
        if isinstance(fault.kind, int):
            extra = f"Retry-After: {fault.retry_after}\r\n" if fault.retry_after else ""
            if fault.kind in (301, 307, 308):
                extra += f"Location: {server.url}/elsewhere\r\n"
            message = f"fault {fault.kind} for {prompt}, which came with {headers.get('authorization')}"
            told = {"error": {"message": message, "type": "fault", "code": fault.code}}
            self.transport.write(response(fault.kind, json.dumps(told).encode(), extra))
        elif fault.kind == "raw":
            self.transport.write(response(fault.status, fault.body, fault.head))
        elif fault.kind == "drop":
            self.transport.abort()
        elif fault.kind == "cut":
            whole = response(200, content(path, prompt, body))
            self.transport.write(whole[: len(whole) - 20])
            self.transport.close()
        elif fault.kind == "slow":
            whole = response(200, content(path, prompt, body))
            assert server._loop is not None
            for number in range(5):
                piece = whole[number * len(whole) // 5 : (number + 1) * len(whole) // 5]
                server._loop.call_later(fault.seconds * number / 4, self.transport.write, piece)
        elif fault.kind == "malformed":
            self.transport.write(response(200, content(path, prompt, body)[:40]))
        elif fault.kind == "html":
            page = b"<html><body>It works!</body></html>"
            self.transport.write(response(200, page, kind="text/html"))
        elif fault.kind == "no_choices":
            self.transport.write(response(200, b'{"id": "x", "object": "chat.completion", "choices": []}'))
        elif fault.kind == "null":
            told = {"choices": [{"message": {"role": "assistant", "content": None}, "finish_reason": "length"}]}
            self.transport.write(response(200, json.dumps(told).encode()))
        else:
            raise AssertionError(fault)


def content(path: str, prompt: str, body: dict[str, Any]) -> bytes:
    """The body of an answer."""
    texts = [f"answer to {prompt}" + (f" #{number}" if number else "") for number in range(body.get("n") or 1)]
    chat = path.partition("?")[0].endswith("/chat/completions")
    choices = [
        {
            "index": number,
            "finish_reason": "stop",
            **({"message": {"role": "assistant", "content": text}} if chat else {"text": text}),
        }
        for number, text in enumerate(texts)
    ]
    read, wrote = len(prompt.split()), sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    kind = "chat.completion" if chat else "text_completion"
    about = {"id": "fault-1", "object": kind, "created": 0, "model": body.get("model", "?")}
    return json.dumps({**about, "choices": choices, "usage": usage}).encode()


def response(status: int, body: bytes, extra: str = "", kind: str = "application/json") -> bytes:
    """A whole HTTP response."""
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'Fault')}\r\nContent-Type: {kind}\r\n{extra}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    server = FaultServer(parser.parse_args().latency, keep=False)
    asyncio.run(server.serve(lambda: print(server.url, flush=True)))


if __name__ == "__main__":
    main()
