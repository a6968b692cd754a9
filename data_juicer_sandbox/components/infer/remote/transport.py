"""HTTP transport: the `openai` client creates one request, whose URL and headers aiohttp uses for all requests.

With some dozens of concurrent requests, the client limits the rate, not the server: creating a request takes the
`openai` client several times as long as aiohttp needs to send it, and httpx, which the client uses by default, slows
down with the number of connections. URL and headers are the same for all requests of a job.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import httpx2

_OF_HTTPX = ("accept-encoding", "connection", "content-length", "host")  # aiohttp sets these itself
MAX_REPLY = 32 << 20
"""Maximum bytes of a reply, also after decompression."""
_WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""Content encodings that are accepted, with zlib's parameter for them."""


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


class TooLarge(Exception):
    """A reply is larger than `MAX_REPLY`, or compressed in an unknown way."""


class Connections:
    """Persistent connections to one server. Redirects are not followed, so that prompts reach only this server.

    Args:
        url: URL of the requests.
        headers: headers of all requests.
        max_connections: maximum number of connections.
        timeout: total timeout of a request in seconds; None: no limit.
        use_proxy: whether the proxies of the environment are used.
    """

    def __init__(
        self,
        url: str,
        headers: list[tuple[str, str]],
        max_connections: int,
        timeout: float | None,
        *,
        use_proxy: bool = False,
    ):
        secure = url.startswith("https")
        self._url = url
        self._session = aiohttp.ClientSession(
            # set once: merging them for every request takes a tenth of its time
            headers=[*headers, ("Accept-Encoding", "gzip, deflate")],
            auto_decompress=False,  # aiohttp would decompress any amount
            connector=aiohttp.TCPConnector(limit=max_connections, ssl=httpx2.create_ssl_context() if secure else True),
            timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=30.0),
            trust_env=use_proxy,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def send(self, content: bytes) -> Reply:
        """Send a request and read the whole reply.

        Raises:
            Unreachable: the request timed out, or the connection failed.
            TooLarge: the reply is too large.
        """
        try:
            async with self._session.post(self._url, data=content, allow_redirects=False) as answer:
                return Reply(answer.status, answer.headers, await _read(answer))
        except (asyncio.TimeoutError, TimeoutError) as error:  # two classes before Python 3.11
            raise Unreachable("timeout", str(error) or "no answer in time") from error
        except (aiohttp.ClientError, OSError) as error:
            cause = getattr(error, "os_error", error)  # aiohttp's message includes its settings
            raise Unreachable("connection", f"{type(cause).__name__}: {cause}") from error

    async def close(self) -> None:
        """Close all connections."""
        await self._session.close()


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    """The body of a reply, decompressed, read only up to `MAX_REPLY`.

    Raises:
        TooLarge: it is larger.
    """
    chunks, size = [], 0
    async for chunk in answer.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_REPLY:
            raise TooLarge(f"the reply has more than {MAX_REPLY >> 20} MB")
    body = b"".join(chunks)
    encoding = answer.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding == "identity" or not body:
        return body
    if encoding not in _WINDOW_BITS:
        raise TooLarge(f"the reply is compressed by {encoding!r}, which was not accepted")
    return decompress(body, encoding)


def decompress(body: bytes, encoding: str) -> bytes:
    """Decompress a body, up to `MAX_REPLY`; a damaged one stays as it is.

    Args:
        body: the compressed bytes.
        encoding: `gzip` or `deflate`.

    Raises:
        TooLarge: it unfolds to more.
    """
    for window_bits in (_WINDOW_BITS[encoding], -15):  # some servers send deflate without its header
        decoder = zlib.decompressobj(window_bits)
        try:
            text = decoder.decompress(body, MAX_REPLY + 1)
        except zlib.error:
            continue
        if len(text) > MAX_REPLY:
            raise TooLarge(f"the reply unfolds to more than {MAX_REPLY >> 20} MB")
        return text
    return body


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
