"""The server: its URL, its API key, and requests to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx2
from loguru import logger

from data_juicer_sandbox.components.infer.remote.transport import Connections, KeepAliveTransport, Reply, is_loopback
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.secrets import mask, remember
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
        JobError: the server is OpenAI's, and there is no key.
    """
    url = endpoint or os.environ.get("OPENAI_BASE_URL") or OPENAI
    api_key = key or os.environ.get(key_env) or ""
    if not api_key and url.startswith(OPENAI):
        raise JobError(
            f"there is no key for {url}", hint=f"export {key_env}=...; or set api_endpoint to another server"
        )
    remember(api_key)
    mask(dict(params))  # registers the secrets in headers
    if api_key and url.startswith("http://") and not is_loopback(url):
        logger.warning("the key for {} is sent unencrypted: the URL begins with http://", url)
    others = {name: value for name, value in params.items() if name != "timeout"}
    return Endpoint(url, api_key or NO_KEY, others, params.get("timeout", TIMEOUT))


@dataclass(frozen=True)
class RequestTemplate:
    """The parts that all requests of a job share.

    Args:
        url: URL of the requests.
        headers: headers with the key; never shown.
        timeout: timeout of a request in seconds.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    timeout: float | None


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
    return RequestTemplate(*transport.url_and_headers, endpoint.timeout)


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
        self._connections = Connections(template.url, template.headers, self._max_connections, template.timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.close()

    async def post(self, content: bytes) -> Reply:
        """Send a JSON body.

        Raises:
            Unreachable: no reply was received.
        """
        return await self._connections.send(content)
