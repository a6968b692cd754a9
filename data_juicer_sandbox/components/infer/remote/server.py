"""The server that is asked: its address, the key for it, and one request to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from loguru import logger

from data_juicer_sandbox.components.infer.remote.transport import Connections, KeepAliveTransport, Reply, is_loopback
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.imports import load
from data_juicer_sandbox.secrets import mask, remember

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""What a server that wants no key is given: the `openai` client insists on one."""
TIMEOUT = 600.0
"""Seconds a request may take by default, as in the `openai` client."""


@dataclass(frozen=True)
class Endpoint:
    """Where the server is, and how it is spoken to.

    Args:
        url: its address.
        key: the key; never shown.
        params: other arguments of the `openai` client.
        timeout: seconds a request may take.
    """

    url: str
    key: str = field(repr=False)
    params: dict[str, Any] = field(repr=False)
    timeout: float | None = TIMEOUT


def access(endpoint: str | None, key: str | None, key_env: str, params: Mapping[str, Any]) -> Endpoint:
    """Find out where the server is and which key opens it.

    Args:
        endpoint: its address; `OPENAI_BASE_URL`, or else OpenAI's own, by default.
        key: the key, if the config names it.
        key_env: the environment variable that holds it otherwise.
        params: other arguments of the `openai` client.

    Raises:
        JobError: OpenAI's own server, and no key.
    """
    url = endpoint or os.environ.get("OPENAI_BASE_URL") or OPENAI
    found = key or os.environ.get(key_env) or ""
    if not found and url.startswith(OPENAI):
        raise JobError(f"there is no key for {url}", hint=f"export {key_env}=...; or name your server: api_endpoint")
    remember(found)
    mask(dict(params))  # remembers what stands in headers
    if found and url.startswith("http://") and not is_loopback(url):
        logger.warning("the key for {} goes over the net unencrypted: its address begins with http://", url)
    others = {name: value for name, value in params.items() if name != "timeout"}
    return Endpoint(url, found or NO_KEY, others, params.get("timeout", TIMEOUT))


@dataclass(frozen=True)
class RequestTemplate:
    """What all requests of a job are like.

    Args:
        url: where they go.
        headers: with the key; never shown.
        timeout: seconds one may take.
    """

    url: str
    headers: list[tuple[str, str]] = field(repr=False)
    timeout: float | None


async def form(access: Endpoint, path: str, options: dict[str, Any]) -> RequestTemplate:
    """Have the `openai` client make a request, which is kept and not sent.

    Args:
        access: where the server is and how it is spoken to.
        path: below its address, such as `/chat/completions`.
        options: `headers` and `params` (of the query) of every request.

    Raises:
        JobError: the client does not take its arguments.
    """
    openai = load("openai", extra="api")
    keeping = KeepAliveTransport()
    try:
        client = openai.AsyncOpenAI(
            base_url=access.url,
            api_key=access.key,
            timeout=access.timeout,
            max_retries=0,
            http_client=httpx2.AsyncClient(transport=keeping, trust_env=False),
            **access.params,
        )
        async with client:
            await client.post(path, cast_to=httpx2.Response, content=b"{}", options=options)
    except (TypeError, ValueError, openai.OpenAIError) as error:
        raise JobError(f"model_params do not suit the openai client: {error}") from error
    return RequestTemplate(*keeping.form, access.timeout)


class Server:
    """An OpenAI-compatible server, as long as the `async with` block lasts.

    Args:
        form: what its requests are like.
        most: connections at most.
    """

    def __init__(self, form: RequestTemplate, most: int):
        self._form, self._most = form, most

    async def __aenter__(self) -> Server:
        form = self._form
        self._connections = Connections(form.url, form.headers, self._most, form.timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.close()

    async def post(self, content: bytes) -> Reply:
        """Send a body of JSON.

        Raises:
            Unreachable: there was no reply.
        """
        return await self._connections.send(content)
