"""How requests travel: the `openai` client makes one, and it is sent over aiohttp with one body after the other.

With some dozens of requests in flight it is the client that limits how many a second there are, not the server. To make
a request anew each time takes the `openai` client several times as long as aiohttp needs to send it, and httpx, which
it sends with by itself, grows slower with the number of connections. But address and headers are the same for all
requests of a job.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import httpx2

_OF_HTTPX = ("accept-encoding", "connection", "content-length", "host")  # aiohttp knows its own


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
        url: where requests go. Proxies of the environment are used, unless it is this machine.
        headers: of all requests.
        most: how many at most.
        timeout: seconds a request may take, from first to last; None for any time.
    """

    def __init__(self, url: str, headers: list[tuple[str, str]], most: int, timeout: float | None):
        secure = url.startswith("https")
        self._url = url
        self._session = aiohttp.ClientSession(
            headers=headers,  # set once: to join them anew for every request takes a tenth of its time
            connector=aiohttp.TCPConnector(limit=most, ssl=httpx2.create_ssl_context() if secure else True),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=30.0),
            trust_env=not is_loopback(url),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, content: bytes) -> Reply:
        """Send a request and read the whole reply.

        Raises:
            Unreachable: it took too long, there is no connection, or it broke.
        """
        try:
            async with self._session.post(self._url, data=content, allow_redirects=False) as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
            raise Unreachable("timeout", str(error) or "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "os_error", error)  # aiohttp tells of its settings as well
            raise Unreachable("connection", f"{type(cause).__name__}: {cause}") from error

    async def close(self) -> None:
        """Close them all."""
        await self._session.close()


class KeepAliveTransport(httpx2.AsyncBaseTransport):
    """Sends nothing: keeps address and headers of the last request that the `openai` client made.

    Attributes:
        form: the address, and the headers.
    """

    form: tuple[str, list[tuple[str, str]]]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Keep a request, and say that all is well."""
        headers = [(name, value) for name, value in request.headers.multi_items() if name not in _OF_HTTPX]
        self.form = (str(request.url), headers)
        return httpx2.Response(200, content=b"{}", request=request)


def is_loopback(url: str) -> bool:
    """Whether an address is that of this machine."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
