"""HTTP transport: the `openai` client creates one request, whose URL and headers aiohttp uses for all requests.

With some dozens of concurrent requests, the client limits the rate, not the server: creating a request takes the
`openai` client several times as long as aiohttp needs to send it, and httpx, which the client uses by default, slows
down with the number of connections. URL and headers are the same for all requests of a job.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from loguru import logger

from data_juicer_sandbox.components.infer.remote.address import Endpoint, header_fault, is_this_machine
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.types import ConfigValues

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


@dataclass(frozen=True)
class RequestTemplate:
    """The parts that all requests of a job share.

    Args:
        url: URL of the requests.
        headers: headers with the key; never shown.
        timeout: timeout of a request in seconds.
        use_proxy: whether requests are sent through the proxy of the environment.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    timeout: float | None
    use_proxy: bool = False


async def build_request_template(endpoint: Endpoint, path: str, options: ConfigValues) -> RequestTemplate:
    """Let the `openai` client create a request, and take URL and headers from it without sending it.

    Args:
        endpoint: URL and access data of the server.
        path: path below the URL, such as `/chat/completions`.
        options: `headers` and `params` (of the query) of every request.

    Raises:
        JobError: the client rejects its arguments.
    """
    openai = load("openai", extra="api")
    for name, value in {**(endpoint.params.get("default_headers") or {}), **(options.get("headers") or {})}.items():
        if fault := header_fault(str(value)):
            raise JobError(f"the header {name!r} cannot be sent: {fault}")
    transport = KeepAliveTransport()
    try:
        client = openai.AsyncOpenAI(
            base_url=endpoint.url,
            api_key=endpoint.key,
            timeout=endpoint.timeout,
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=transport, trust_env=False),
            **endpoint.params,
        )
        async with client:
            await client.post(path, cast_to=httpx2.Response, content=b"{}", options=options)
    except (TypeError, ValueError, openai.OpenAIError) as error:
        raise JobError(f"the openai client rejects model_params: {error}") from error
    url, headers = transport.url_and_headers
    if proxy := _proxy(url):
        logger.info("requests to {} are sent through the proxy {} of the environment", endpoint.url, proxy)
    return RequestTemplate(url, headers, endpoint.timeout, use_proxy=bool(proxy))


def _proxy(url: str) -> str | None:
    """The proxy of the environment for a URL, without credentials; None for this machine."""
    parts = urlsplit(url)
    if is_this_machine(parts.hostname or "") or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = getproxies().get(parts.scheme)
    return proxy and proxy.rpartition("@")[2]


class Server:
    """Connections to an OpenAI-compatible server, open inside the `async with` block.

    Args:
        template: the parts that all requests share.
        max_connections: maximum number of connections.
    """

    def __init__(self, template: RequestTemplate, max_connections: int):
        self._template, self._max_connections = template, max_connections

    async def __aenter__(self) -> Server:
        template = self._template
        self._connections = Connections(
            template.url, template.headers, self._max_connections, template.timeout, use_proxy=template.use_proxy
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.close()

    async def post(self, content: bytes) -> Reply:
        """Send a JSON body.

        Raises:
            Unreachable: no reply was received.
            TooLarge: the reply is too large.
        """
        return await self._connections.send(content)
