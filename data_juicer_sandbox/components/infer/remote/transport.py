"""HTTP transport: the `openai` client creates one request, whose URL and headers aiohttp uses for all requests.

With some dozens of concurrent requests, the client limits the rate, not the server: creating a request takes the
`openai` client several times as long as aiohttp needs to send it, and httpx, which the client uses by default, slows
down with the number of connections. URL and headers are the same for all requests of a job.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import httpx2

_OF_HTTPX = ("accept-encoding", "connection", "content-length", "host")  # aiohttp sets these itself


@dataclass(frozen=True)
class Reply:
    """The reply of a server.

    Args:
        status: HTTP status.
        headers: headers by case-insensitive name.
        body: body in bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(Exception):
    """No reply was received.

    Args:
        category: `timeout` or `connection`.
        message: the cause.
    """

    def __init__(self, category: str, message: str):
        super().__init__(message)
        self.category, self.message = category, message


class Connections:
    """Persistent connections to one server. Redirects are not followed, so that prompts reach only this server.

    Args:
        url: URL of the requests. Proxies of the environment are used, unless the host is this machine.
        headers: headers of all requests.
        max_connections: maximum number of connections.
        timeout: total timeout of a request in seconds; None: no limit.
    """

    def __init__(self, url: str, headers: list[tuple[str, str]], max_connections: int, timeout: float | None):
        secure = url.startswith("https")
        self._url = url
        self._session = aiohttp.ClientSession(
            headers=headers,  # set once: merging them for every request takes a tenth of its time
            connector=aiohttp.TCPConnector(limit=max_connections, ssl=httpx2.create_ssl_context() if secure else True),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=30.0),
            trust_env=not is_loopback(url),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, content: bytes) -> Reply:
        """Send a request and read the whole reply.

        Raises:
            Unreachable: the request timed out, or the connection failed.
        """
        try:
            async with self._session.post(self._url, data=content, allow_redirects=False) as answer:
                return Reply(answer.status, answer.headers, await answer.read())
        except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
            raise Unreachable("timeout", str(error) or "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "os_error", error)  # aiohttp's message includes its settings
            raise Unreachable("connection", f"{type(cause).__name__}: {cause}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


class KeepAliveTransport(httpx2.AsyncBaseTransport):
    """Records URL and headers of the last request that the `openai` client created, without sending it.

    Attributes:
        url_and_headers: URL and headers of the request.
    """

    url_and_headers: tuple[str, list[tuple[str, str]]]

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Record a request, and return a successful reply."""
        headers = [(name, value) for name, value in request.headers.multi_items() if name not in _OF_HTTPX]
        self.url_and_headers = (str(request.url), headers)
        return httpx2.Response(200, content=b"{}", request=request)


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine."""
    host = httpx2.URL(url).host
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
