"""Watch the store of a home: see `flows.watch`."""

import threading
import time
from collections.abc import Callable, Collection

from strongroom.flows.watch import Finding, Pace, Watcher
from strongroom.sdk import running
from strongroom.sdk.home import Strongroom
from strongroom.values import ModelId

NEVER = threading.Event()


def watch_store(
    room: Strongroom,
    told: Callable[[Finding], None],
    pace: Pace | None = None,
    *,
    once: bool = False,
    stop: threading.Event = NEVER,
) -> Watcher:
    """Watch until ``stop`` is set, or look at everything ``once``; returns the watcher with its counts.

    ``told`` hears of each finding when it is made. Default pace: that of the settings.

    Raises:
        DeniedError: the acting identity may not verify everything in the store.
    """
    settings = room.settings.watch
    usual = Pace.of(settings.rate_mib_s, settings.survey_s, settings.reread_hours)
    watcher = Watcher(
        room.unlock(),
        room.acting,
        pace or usual,
        told=told,
        seconds=time.monotonic,
        wait=stop.wait,
        served=lambda: _served(room),
    )
    watcher.require_permission()
    if once:
        watcher.run_once()
    else:
        watcher.run()
    return watcher


def _served(room: Strongroom) -> Collection[ModelId]:
    return {ModelId.parse(model) for one in running.find_running(room.home) for model in one.models}
