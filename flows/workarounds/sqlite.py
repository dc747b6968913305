"""Prefect's server over SQLite, one writer at a time; the server loads this as a plug-in (`prefect.collections`).

Prefect opens a connection for each request and leaves writers to SQLite. Seen with 3.7.7 at two events a second:

- a transaction that reads before it writes fails at once when another wrote meanwhile ("database is locked"): the
  request is answered with 503 and sent again after 2 s, or an automation loses its event;
- while a thread waits inside SQLite for the lock, Python's garbage collector may reset a cursor of that thread's
  connection in the event loop, which then stands still for a minute: the holder of the lock needs the loop.

Here writers wait for each other in the event loop, and take SQLite's lock when they begin.

And when an automation is made, changed or deleted while the server looks for changed ones, as it does when it has just
started, it stands still for good: its event loop waits for another thread, which waits for a lock that the loop holds.
Here the loop does not wait. `axiom setup` met this about once in eighty times on a loaded machine.
"""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from prefect.server.database.configurations import AioSqliteConfiguration
from prefect.server.events.models import automations
from sqlalchemy.ext.asyncio import AsyncSession, AsyncSessionTransaction

_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()
_writing: ContextVar[bool] = ContextVar("_writing", default=False)
_begin = AioSqliteConfiguration.begin_transaction


@asynccontextmanager
async def begin_in_turn(
    self: AioSqliteConfiguration, session: AsyncSession, with_for_update: bool = False
) -> AsyncIterator[AsyncSessionTransaction]:
    """Prefect's `begin_transaction` behind a lock; one inside another stays as it was: it would wait for itself."""
    if _writing.get():
        async with _begin(self, session, with_for_update=with_for_update) as transaction:
            yield transaction
        return
    async with _locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
        token = _writing.set(True)
        try:
            async with _begin(self, session, with_for_update=True) as transaction:
                yield transaction
        finally:
            _writing.reset(token)


AioSqliteConfiguration.begin_transaction = begin_in_turn  # type: ignore[method-assign]

_following: set[asyncio.Task[None]] = set()


def follow(change: Coroutine[Any, Any, None]) -> None:
    """Have the event loop at hand take note of an automation's change in its turn, as PostgreSQL's listener does."""
    task = asyncio.get_running_loop().create_task(change)
    _following.add(task)  # which nobody else keeps
    task.add_done_callback(_following.discard)


automations.run_coro_as_sync = follow  # type: ignore[assignment]
