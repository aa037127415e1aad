"""The web of Flowzz: admin pages, JSON API, health and webhooks in. Imports flowzz; flowzz never imports it."""

from flowzz_web.app import create_app
from flowzz_web.sandbox import create_sandbox

__all__ = ["create_app", "create_sandbox"]
