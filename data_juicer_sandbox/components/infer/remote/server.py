"""The server: its URL, its API key, and requests to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from loguru import logger

from data_juicer_sandbox.components.infer.remote.address import header_fault, is_this_machine, parse_address
from data_juicer_sandbox.components.infer.remote.transport import Connections, KeepAliveTransport, Reply
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.secrets import mask, remember, remember_all
from data_juicer_sandbox.types import ConfigValues, JsonValue

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""The key for servers that need none: the `openai` client requires one."""
TIMEOUT = 600.0
"""Default timeout of a request in seconds, as in the `openai` client."""


@dataclass(frozen=True)
class Endpoint:
    """URL and access data of the server.

    Args:
        url: URL of the server.
        key: API key; never shown.
        params: other arguments of the `openai` client.
        timeout: timeout of a request in seconds.
    """

    url: str
    key: str = field(repr=False)
    params: ConfigValues = field(repr=False)
    timeout: float | None = TIMEOUT


def find_endpoint(endpoint: str | None, key: str | None, key_env: str, params: Mapping[str, JsonValue]) -> Endpoint:
    """Find the URL of the server and its API key.

    Args:
        endpoint: URL of the server; by default `OPENAI_BASE_URL`, else OpenAI's server.
        key: the API key, if the config has it.
        key_env: the environment variable that holds the key otherwise.
        params: other arguments of the `openai` client.

    Raises:
        JobError: the server is OpenAI's, and there is no key; or the address or the key cannot be sent.
    """
    text = endpoint or os.environ.get("OPENAI_BASE_URL") or OPENAI
    remember_all(text)
    try:
        address = parse_address(text)
    except ValueError as error:
        raise JobError(f"the address of the server {error}", hint="it comes from OPENAI_BASE_URL") from None
    url = address.url
    api_key = key or os.environ.get(key_env) or ""
    if not api_key and url.startswith(OPENAI):
        raise JobError(
            f"there is no key for {url}", hint=f"export {key_env}=...; or set api_endpoint to another server"
        )
    remember(api_key)
    if fault := header_fault(api_key):
        raise JobError(f"the API key in the environment variable {key_env} cannot be sent: {fault}")
    mask(dict(params))  # registers the secrets in headers
    others = {name: value for name, value in params.items() if name != "timeout"}
    if address.query:
        others["default_query"] = {**address.query, **(others.get("default_query") or {})}
    if address.authorization:
        remember(address.authorization.partition(" ")[2])
        others["default_headers"] = {"Authorization": address.authorization, **(others.get("default_headers") or {})}
    if (api_key or address.credentials) and url.startswith("http://") and not is_this_machine(_host(url)):
        logger.warning("the key for {} is sent unencrypted: the URL begins with http://", url)
    return Endpoint(url, api_key or NO_KEY, others, params.get("timeout", TIMEOUT))


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


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _proxy(url: str) -> str | None:
    """The proxy of the environment for a URL, without credentials; None for this machine."""
    parts = urlsplit(url)
    if is_this_machine(_host(url)) or proxy_bypass(parts.netloc.rpartition("@")[2]):
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
