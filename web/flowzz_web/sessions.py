"""Browser sessions: a signed cookie that ends after 30 idle minutes, and after 12 hours in any case.

Flask-Login keeps the user's id; the user is looked up at each request, so one who was deactivated is out at once.
Refreshes that a page makes by itself do not count as activity.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Flask, session
from flask_login import LoginManager, UserMixin, current_user, login_user, logout_user
from pydantic import SecretStr

from flowzz.clock import now
from flowzz.store import User
from flowzz_web.current import the_flowzz
from flowzz_web.keys import derive

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)
TOUCH_EVERY = timedelta(seconds=30)

STARTED, SEEN = "started_s", "seen_s"


class SessionUser(UserMixin):  # type: ignore[misc]  # Flask-Login carries no types
    """A user as Flask-Login wants one."""

    def __init__(self, user: User) -> None:
        self.user = user

    def get_id(self) -> str:
        return self.user.id


def init_sessions(app: Flask, signing_key: SecretStr, *, https: bool) -> None:
    """Sign cookies with a key of their own; over https they are host-bound and secure."""
    app.secret_key = derive(signing_key, "web session")
    app.config.update(
        SESSION_COOKIE_NAME="__Host-flowzz" if https else "flowzz_session",
        SESSION_COOKIE_SECURE=https,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_REFRESH_EACH_REQUEST=False,
        PERMANENT_SESSION_LIFETIME=ABSOLUTE,
    )
    manager = LoginManager(app)
    manager.session_protection = "basic"
    manager.user_loader(_load)


def start(user: User) -> None:
    """Sign ``user`` in with a new session: nothing that was in the old one survives."""
    session.clear()
    session.permanent = True
    session[STARTED] = session[SEEN] = now().timestamp()
    login_user(SessionUser(user))


def end() -> None:
    logout_user()
    session.clear()


def touch() -> None:
    """Count this request as a sign of life. Written at most every 30 s, so most answers set no cookie."""
    at = now().timestamp()
    if at - session.get(SEEN, 0) >= TOUCH_EVERY.total_seconds():
        session[SEEN] = at


def signed_in() -> User | None:
    """Who the session cookie belongs to, while session and account are alive."""
    user = current_user
    return user.user if user.is_authenticated else None


def _load(user_id: str) -> SessionUser | None:
    at = now().timestamp()
    idle, age = at - session.get(SEEN, 0), at - session.get(STARTED, 0)
    if idle > IDLE.total_seconds() or age > ABSOLUTE.total_seconds():
        return None
    user = the_flowzz().store.user(user_id)
    return SessionUser(user) if user is not None and user.is_active else None
