"""SIGTERM is an exception that Prefect's handler raises wherever the main thread is; many a library loses it.

Prefect looks the handler up by this name, also to see whether it is installed.
"""

from prefect.utilities import engine

from axiom.ending import between_calls, recover_lost_signals

engine._prefect_sigterm_handler = between_calls(engine._prefect_sigterm_handler)  # type: ignore[assignment]
recover_lost_signals()
