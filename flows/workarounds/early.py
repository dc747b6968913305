"""Prefect in this process speaks to a private server that was started before Prefect was imported.

Prefect starts a private server when a flow is called, and imports the whole server into the run's process for it.
"""

from prefect import context
from prefect.settings import PREFECT_API_URL, get_current_settings

_private: str | None = None


def address() -> str | None:
    """Of the server that Prefect's client speaks to; the environment, a file or a profile names it."""
    return get_current_settings().api.url


def wanted() -> bool:
    """Whether Prefect would start a private server: no environment, file or profile names one."""
    settings = get_current_settings()
    return settings.server.ephemeral.enabled and settings.api.url in (None, _private)


def startup_seconds() -> float:
    """How long a private server may take to start."""
    return get_current_settings().server.ephemeral.startup_timeout_seconds


def speak_to(url: str) -> None:
    """Have every thread of this process take the private server at `url`; its children are not told."""
    global _private
    _private, found = url, context.GLOBAL_SETTINGS_CONTEXT
    settings = found.settings.copy_with_update(updates={PREFECT_API_URL: url})
    context.GLOBAL_SETTINGS_CONTEXT = found.model_copy(update={"settings": settings})


def is_private(url: str) -> bool:
    """Whether the server at `url` ends with this process."""
    return url == _private
