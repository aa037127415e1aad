"""Who may go where: one gate in front of every route, closed unless it says otherwise.

public   sign-in, language, static files, health; webhooks and public pages of plugins, whose links prove themselves
api      a bearer token of an active ADMIN
the rest a session (or a bearer token) of an active ADMIN
"""

from __future__ import annotations

from flask import Response, g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.urls import iri_to_uri

from flowzz.store import Role, User
from flowzz_web import sessions
from flowzz_web.current import the_flowzz, web
from flowzz_web.problems import Problem
from flowzz_web.tokens import InvalidToken

PUBLIC_BLUEPRINTS = frozenset({"auth", "api_auth", "health", "webhooks"})
PUBLIC_PAGES = "public_"
"""What the names of the blueprints of plugins' public pages begin with."""
API = "api_"
"""What the names of the API's blueprints begin with."""
FRAGMENT_HEADER = "X-Flowzz-Fragment"


def guard() -> ResponseReturnValue | None:
    """Runs before every view; an unknown path or method passes, to its 404 or 405."""
    if request.url_rule is None or is_public():
        return None
    in_api = (request.blueprint or "").startswith(API)
    user = _bearer() if in_api or "Authorization" in request.headers else sessions.signed_in()
    if user is None:
        return _ask_to_sign_in(in_api=in_api)
    g.visitor = user
    if user.role is not Role.ADMIN:
        raise Problem(403, "forbidden", f"this needs the role ADMIN; {user.email} has the role {user.role.wire}")
    if not is_fragment():
        sessions.touch()
    _refuse_cross_site()
    return None


def is_public() -> bool:
    """True when nobody is asked who they are."""
    name = request.blueprint or ""
    return name in PUBLIC_BLUEPRINTS or name.startswith(PUBLIC_PAGES) or request.endpoint == "static"


def is_browser() -> bool:
    """True when the client says that it reads HTML (a bare ``*/*`` does not)."""
    return any(kind.lower() == "text/html" for kind, _ in request.accept_mimetypes)


def is_fragment() -> bool:
    """True when a page asks for its own live part."""
    return FRAGMENT_HEADER in request.headers


def here() -> str:
    """The path and query of this request, as a link may carry it."""
    return iri_to_uri(request.url).removeprefix(iri_to_uri(request.host_url).rstrip("/")) or "/"


def own_path(target: str | None) -> str | None:
    """``target`` if it is a path on this site that a browser cannot read as another host, else None."""
    if not target or not target.startswith("/") or target.startswith("//"):
        return None
    if "\\" in target or any(ord(letter) < 0x21 or ord(letter) == 0x7F for letter in target):
        return None
    return target


def _bearer() -> User | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if not scheme:
        return None
    if scheme.lower() != "bearer" or not token.strip():
        raise _unauthorized("expected 'Authorization: Bearer <token>'", error="invalid_request")
    try:
        user = the_flowzz().store.user(web().tokens.user_id(token.strip()))
    except InvalidToken as problem:
        raise _unauthorized(str(problem), error="invalid_token") from None
    if user is None or not user.is_active:
        raise _unauthorized("the account is gone or deactivated", error="invalid_token")
    return user


def _unauthorized(detail: str, *, error: str = "") -> Problem:
    challenge = 'Bearer realm="flowzz"' + (f', error="{error}"' if error else "")
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": challenge})


def _ask_to_sign_in(*, in_api: bool) -> Response:
    if in_api or not is_browser() or is_fragment():
        raise _unauthorized("sign in at POST /api/v1/auth/login and send the token as 'Authorization: Bearer <token>'")
    target = here() if request.method == "GET" else None
    answer = redirect(url_for("auth.login_page", next=target), code=303)
    answer.headers["Cache-Control"] = "no-store"
    return answer  # type: ignore[return-value]


def _refuse_cross_site() -> None:
    # A second lock beside the CSRF token: browsers say where a request comes from (Fetch Metadata).
    site = request.headers.get("Sec-Fetch-Site", "none")
    if request.method not in ("GET", "HEAD", "OPTIONS") and site not in ("same-origin", "none"):
        raise Problem(403, "cross-site", "this action was sent from another site and was refused")
