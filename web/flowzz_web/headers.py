"""Security headers, on every answer."""

from __future__ import annotations

from flask import Flask, Response, request

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HSTS = "max-age=31536000; includeSubDomains"
STATIC_FOREVER = "public, max-age=31536000, immutable"


def init_headers(app: Flask, *, https: bool) -> None:
    @app.after_request
    def secure(response: Response) -> Response:
        headers = response.headers
        headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        headers["X-Content-Type-Options"] = "nosniff"
        headers["X-Frame-Options"] = "DENY"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=()"
        carries_secret = request.path.startswith(("/webhooks/", "/public/"))
        headers["Referrer-Policy"] = "no-referrer" if carries_secret else "same-origin"
        if https:
            headers["Strict-Transport-Security"] = HSTS
        if request.endpoint == "static":
            _cache_static(response)
        else:
            headers.setdefault("Cache-Control", "no-store")
        return response


def _cache_static(response: Response) -> None:
    # A file named with its version never changes; the modules and icons it names are asked for again (ETag).
    response.headers["Cache-Control"] = (
        STATIC_FOREVER if "v" in request.args and response.status_code == 200 else "no-cache"
    )
