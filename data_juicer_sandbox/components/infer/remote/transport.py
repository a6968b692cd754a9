"""How requests travel: the `openai` client makes the first one, and those after it are the same with another body.

With some dozens of requests in flight it is the client that limits how many a second there are, not the server. To make
a request anew each time takes the `openai` client five times as long as aiohttp needs to send it, and httpx, which it
uses by itself, grows slower with the number of connections. So this is the HTTP client that it is given: it sends over
aiohttp, and keeps address and headers of what it was given to send. They are the same for all requests of a job.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import httpx2

_OF_HTTPX = ("accept-encoding", "connection", "content-length", "host")  # aiohttp knows its own
_AS_SENT = ("content-encoding", "content-length", "transfer-encoding")  # a body that was read is unpacked and whole


@dataclass(frozen=True)
class Reply:
    """What a server said.

    Args:
        status: the HTTP status.
        headers: by name, whatever its case.
        body: the bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """There was no reply.

    Args:
        kind: `timeout` or `connection`.
        message: why.
    """

    def __init__(self, kind: str, message: str):
        super().__init__(message)
        self.kind, self.message = kind, message


class Connections:
    """Connections to one server, kept open. No redirects are followed: a prompt goes where it is sent, nowhere else.

    Args:
        base_url: the server's address. Proxies of the environment are used, unless it is this machine.
        most: how many at most.
        timeout: seconds a request may take, from first to last; None for any time.
    """

    def __init__(self, base_url: str, most: int, timeout: float | None):
        secure = base_url.startswith("https")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=most, ssl=httpx2.create_ssl_context() if secure else True),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=30.0),
            trust_env=not is_loopback(base_url),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, url: str, headers: Any, content: bytes) -> Reply:
        """Send a request and read the whole reply.

        Raises:
            Unreachable: it took too long, there is no connection, or it broke.
        """
        try:
            async with self._session.post(url, headers=headers, data=content, allow_redirects=False) as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
            raise Unreachable("timeout", str(error) or "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable("connection", f"{type(error).__name__}: {error}") from error

    async def close(self) -> None:
        """Close them all."""
        await self._session.close()


class KeepingClient(httpx2.AsyncClient):
    """The HTTP client of an AsyncOpenAI: sends over `Connections`, and keeps what is alike in all requests.

    Attributes:
        form: address and headers of the last request; None before there was one.
    """

    def __init__(self, connections: Connections):
        super().__init__(trust_env=False, transport=_Unused())
        self._connections = connections
        self.form: tuple[str, list[tuple[str, str]]] | None = None

    async def send(self, request: httpx2.Request, **_: Any) -> httpx2.Response:
        """Send a request that the `openai` client made."""
        headers = [(name, value) for name, value in request.headers.multi_items() if name not in _OF_HTTPX]
        self.form = (str(request.url), headers)
        reply = await self._connections.send(*self.form, request.content)
        kept = [(name, value) for name, value in reply.headers.items() if name.lower() not in _AS_SENT]
        return httpx2.Response(reply.status, headers=kept, content=reply.body, request=request)


class _Unused(httpx2.AsyncBaseTransport):
    """Spares the base class one of its own, which would load certificates."""

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        raise httpx2.UnsupportedProtocol("requests go through KeepingClient.send")


def is_loopback(url: str) -> bool:
    """Whether an address is that of this machine."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
