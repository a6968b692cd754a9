"""The server that is asked: its address, the key for it, and one request to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
from loguru import logger

from data_juicer_sandbox.components.infer.remote.transport import Connections, Keeping, Reply, is_loopback
from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.optional import load
from data_juicer_sandbox.secrets import mask, remember

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""What a server that wants no key is given: the `openai` client insists on one."""
TIMEOUT = 600.0
"""Seconds a request may take by default, as in the `openai` client."""


@dataclass(frozen=True)
class Access:
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


def access(endpoint: str | None, key: str | None, key_env: str, params: Mapping[str, Any]) -> Access:
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
    return Access(url, found or NO_KEY, others, params.get("timeout", TIMEOUT))


class Server:
    """An OpenAI-compatible server, as long as the `async with` block lasts.

    Args:
        access: where and how.
        path: below its address, such as `/chat/completions`.
        most: connections at most.
        options: `headers` and `params` (of the query) of every request.
    """

    def __init__(self, access: Access, path: str, most: int, options: dict[str, Any]):
        self._access, self._path, self._most, self._options = access, path, most, options

    async def __aenter__(self) -> Server:
        """Have the `openai` client make a request, which all that are sent will be like.

        Raises:
            JobError: the client does not take its arguments.
        """
        openai = load("openai", extra="api")
        keeping = Keeping()
        try:
            client = openai.AsyncOpenAI(
                base_url=self._access.url,
                api_key=self._access.key,
                timeout=self._access.timeout,
                max_retries=0,
                http_client=httpx2.AsyncClient(transport=keeping, trust_env=False),
                **self._access.params,
            )
            async with client:
                await client.post(self._path, cast_to=httpx2.Response, content=b"{}", options=self._options)
        except (TypeError, ValueError, openai.OpenAIError) as error:
            raise JobError(f"model_params do not suit the openai client: {error}") from error
        self._form = keeping.form
        self._connections = Connections(self._access.url, self._most, self._access.timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.close()

    async def post(self, content: bytes) -> Reply:
        """Send a body of JSON.

        Raises:
            Unreachable: there was no reply.
        """
        return await self._connections.send(*self._form, content)
