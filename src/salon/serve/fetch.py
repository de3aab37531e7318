"""Fetching a medium from an address that a stranger gave: public addresses alone, bounded in size and time.

A name is resolved once, every address that it has is checked, and the connection goes to a checked one, so that a
second answer of the name server cannot lead elsewhere. Redirects are followed by hand and checked the same way.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urljoin, urlsplit

import httpx

from salon.errors import MediaError

MOST_REDIRECTS = 3
PORTS = {"http": 80, "https": 443}


async def fetch(url: str, *, most: int, seconds: float, private: bool = False) -> bytes:
    """The bytes at an address.

    Args:
        url: By http or https.
        most: Bytes that are read at most.
        seconds: For everything together, redirects and slow servers included.
        private: Whether addresses of this machine and of private networks may be asked.

    Raises:
        MediaError: The address is not allowed, cannot be reached, or gives too much, too slowly, or an error.
    """
    try:
        async with asyncio.timeout(seconds):
            return await _follow(url, most, seconds, private)
    except TimeoutError:
        hint = "Upload the file itself, or use a faster server."
        raise MediaError(f"{url!r} did not answer within {seconds:g} s.", hint=hint) from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # a redirect can lead to nonsense
        reason = str(error) or type(error).__name__
        raise MediaError(f"{url!r} cannot be fetched: {reason}.", hint="Check the address in a browser.") from None


async def _follow(url: str, most: int, seconds: float, private: bool) -> bytes:
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=seconds) as client:
        for _ in range(MOST_REDIRECTS + 1):
            found = await _get(client, url, most, private)
            if isinstance(found, bytes):
                return found
            url = urljoin(url, found)
    raise MediaError(f"{url!r} leads on more than {MOST_REDIRECTS} times.", hint="Give the last address.")


async def _get(client: httpx.AsyncClient, url: str, most: int, private: bool) -> bytes | str:
    """The bytes at an address, or where it leads."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS[parts.scheme]
    except (KeyError, ValueError):
        raise MediaError(f"{url!r} is no address by http or https.", hint="Give https://...") from None
    if not parts.hostname or parts.username is not None:
        raise MediaError(f"{url!r} has no host, or a user name.", hint="Give https://host/path.")
    address = await _checked_address(parts.hostname, port, private)
    target = httpx.URL(url).copy_with(host=address, fragment=None)
    headers = {"Host": parts.netloc, "Accept": "image/*, audio/*, video/*", "Accept-Encoding": "identity"}
    extensions = {"sni_hostname": parts.hostname}
    async with client.stream("GET", target, headers=headers, extensions=extensions) as response:
        if response.is_redirect and "location" in response.headers:
            return response.headers["location"]
        if response.status_code != 200:
            raise MediaError(f"{url!r} answers with status {response.status_code}.", hint="Check the address.")
        return await _read(response, url, most)


async def _read(response: httpx.Response, url: str, most: int) -> bytes:
    content = bytearray()
    async for part in response.aiter_raw():
        content += part
        if len(content) > most:
            raise MediaError(f"{url!r} gives more than {most:,} bytes.", hint="Make the file smaller.")
    if not content:
        raise MediaError(f"{url!r} gives an empty file.")
    return bytes(content)


async def _checked_address(host: str, port: int, private: bool) -> str:
    """One address of a host, all of whose addresses may be asked."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise MediaError(f"The host {host!r} is not known: {error.strerror}.", hint="Check the address.") from None
    addresses = [str(one[4][0]) for one in found]
    for address in addresses:
        if not private and not is_public(address):
            hint = "Media are fetched from public addresses alone: upload the file itself."
            raise MediaError(f"The host {host!r} has the address {address}, which is not public.", hint=hint)
    return addresses[0]


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet: not to this machine, a private network, a link, or a group."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is not None:
            return is_public(str(inner))
        if ip in ipaddress.ip_network("64:ff9b::/96"):  # IPv4 behind a translator
            return is_public(str(ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)))
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
