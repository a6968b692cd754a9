"""The address of a server, split into URL, query and credentials, and checks of what is sent in headers."""

from __future__ import annotations

import base64
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import parse_qsl, unquote, urlsplit, urlunsplit


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
