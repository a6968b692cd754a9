"""The server: its address, split into URL, query and credentials; its API key; checks of what is sent in headers."""

from __future__ import annotations

import base64
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit

from loguru import logger

from data_juicer_sandbox.errors import JobError
from data_juicer_sandbox.secrets import mask, remember, remember_all
from data_juicer_sandbox.types import ConfigValues, JsonValue

OPENAI = "https://api.openai.com/v1"
NO_KEY = "none"
"""The key for servers that need none: the `openai` client requires one."""
TIMEOUT = 600.0
"""Default timeout of a request in seconds, as in the `openai` client."""


@dataclass(frozen=True)
class Address:
    """The address of a server.

    Args:
        url: the URL without query and credentials.
        query: parameters that every request has; never shown, since they may hold a key.
        credentials: user name and password, if the address has them; never shown.
    """

    url: str
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    credentials: tuple[str, str] | None = field(default=None, repr=False)

    @property
    def authorization(self) -> str | None:
        """The header for HTTP basic authentication (RFC 7617)."""
        if self.credentials is None:
            return None
        return "Basic " + base64.b64encode(":".join(self.credentials).encode()).decode()


def parse_address(text: str) -> Address:
    """Split an address.

    Raises:
        ValueError: it is not an http or https URL with a host; the message does not contain it.
    """
    if not text.isprintable() or " " in text:
        raise ValueError("contains a space or a control character")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"is not a URL: {str(error).splitlines()[0]}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError("is not a URL that begins with http:// or https://")
    if not parts.hostname:
        raise ValueError("has no host")
    if port == 0:
        raise ValueError("has port 0")
    if parts.fragment:
        raise ValueError("has a fragment (#), which no server receives")
    host = parts.netloc.rpartition("@")[2]
    credentials = None
    if parts.username is not None or parts.password is not None:
        credentials = (unquote(parts.username or ""), unquote(parts.password or ""))
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Address(urlunsplit((parts.scheme, host, parts.path, "", "")), query, credentials)


def header_fault(value: str) -> str | None:
    """Why a value cannot be sent in an HTTP header, or None; the value itself is not shown."""
    for index, character in enumerate(value):
        if not " " <= character <= "~":
            return f"its character {index + 1} is {character!a}; only printable ASCII characters can be sent"
    if value != value.strip():
        return "it begins or ends with a space"
    return None


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine: a loopback or unspecified address, its host name, or an address of its own."""
    name = host.strip("[]").rstrip(".").lower()
    own_name = socket.gethostname().lower()
    if name == "localhost" or name.endswith(".localhost") or name in (own_name, own_name.partition(".")[0]):
        return True
    try:
        address = ip_address(name.partition("%")[0])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))  # only addresses of this machine can be bound
    except OSError:
        return False
    return True


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


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""
