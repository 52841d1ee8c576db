"""Settings, routes and entry points of the platform."""

from config.celery import app as celery

__all__ = ["celery"]
