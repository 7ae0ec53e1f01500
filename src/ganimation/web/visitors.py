"""Identify visitors: browsers by a cookie of ours, programs by their address. Each can read only their own files."""

import hashlib
import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar
from http.cookies import CookieError, SimpleCookie
from typing import Any

COOKIE = "ganimation-visitor"

#: The visitor whose event is being answered; events run in threads that inherit it.
VISITOR: ContextVar[str] = ContextVar("visitor", default="nobody")


def visitor_of(scope: Mapping[str, Any]) -> str:
    """Return the name of a visitor's folder for an ASGI request; it reveals nothing about other visitors' folders.

    Programs have no cookie: those of one address are one visitor, separated by the random paths of their files.
    """
    if cookie := own_cookie(scope):
        return "browser-" + hashlib.sha256(cookie.encode()).hexdigest()[:32]
    return "program-" + hashlib.sha256(address(scope).encode()).hexdigest()[:32]


def address(scope: Mapping[str, Any]) -> str:
    """Return the address that a request comes from."""
    return str((scope.get("client") or ("",))[0])


def own_cookie(scope: Mapping[str, Any]) -> str | None:
    """Return the value of our cookie, if it is one that we give."""
    value = cookies(scope).get(COOKIE, "")
    return value if re.fullmatch(r"[\w-]{43}", value, re.ASCII) else None


def cookies(scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the cookies of a request."""
    found: SimpleCookie = SimpleCookie()
    for value in headers(scope, b"cookie"):
        try:
            found.load(value)
        except CookieError:
            continue
    return {name: morsel.value for name, morsel in found.items()}


def headers(scope: Mapping[str, Any], name: bytes) -> list[str]:
    """Return the values of a header."""
    return [value.decode("latin-1") for key, value in scope.get("headers", ()) if key == name]


def new_cookie(*, secure: bool, framed: bool = False) -> bytes:
    """Return the header that gives a visitor a cookie of their own; arguments as of :func:`restriction`."""
    value = f"{COOKIE}={secrets.token_urlsafe(32)}; HttpOnly; Path=/"
    return f"{value}; {restriction(secure=secure, framed=framed)}".encode()


def restriction(*, secure: bool, framed: bool) -> str:
    """Return the attributes of a cookie that say to which pages it is sent.

    Args:
        secure: the page is served by HTTPS.
        framed: it may be shown in a frame of another site; then its cookies are separate for each such site.
    """
    if framed and secure:
        return "SameSite=None; Secure; Partitioned"
    return f"SameSite=Lax{'; Secure' * secure}"
