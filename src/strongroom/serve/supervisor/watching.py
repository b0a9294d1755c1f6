"""The watcher beside the supervisor's loop: a thread that reads the store slowly, what is served first."""

import threading
import time
from collections.abc import Callable, Collection
from dataclasses import replace

from strongroom.errors import OutageError, StrongroomError
from strongroom.flows.vault import Replayed, Vault, judge, moment, read_authority
from strongroom.flows.watch import Finding, Pace, Watcher
from strongroom.settings import WatchSettings
from strongroom.values import Action, ModelId

JOIN_TIMEOUT_S = 1.0


class WatchThread:
    """Reads for as long as the supervisor runs. Its failure stops nothing that is served."""

    def __init__(
        self,
        vault: Vault,
        actor: str,
        settings: WatchSettings,
        served: Callable[[], Collection[ModelId]],
        told: Callable[[str], None],
    ) -> None:
        self._stop = threading.Event()
        self._told = told
        self._survey_s = settings.survey_s
        # It reads the log for itself, in a thread of its own.
        self._vault, self._actor = replace(vault, replayed=Replayed()), actor
        self._watcher = Watcher(
            self._vault,
            actor,
            Pace.of(settings.rate_mib_s, settings.survey_s, settings.reread_hours),
            told=self._tell,
            seconds=time.monotonic,
            wait=self._stop.wait,
            served=served,
        )
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask it to end; what it is reading ends with the process if it takes too long."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(JOIN_TIMEOUT_S)

    def _run(self) -> None:
        try:
            if self._may_watch():
                self._watcher.run()
        except StrongroomError as error:
            self._told(f"watch: ended: {error.message}")

    def _may_watch(self) -> bool:
        """Whether it should begin; a log that does not answer at the start is waited for."""
        told = False
        while True:
            try:
                authority = read_authority(self._vault)
                break
            except OutageError as error:
                if not told:
                    self._told(f"watch: waits: {error.message}")
                told = True
                if self._stop.wait(self._survey_s):
                    return False
        now = moment(self._vault, authority)
        if judge(authority, self._actor, Action.VERIFY, "*", now).allowed:
            return True
        self._told(f"watch: not started, {self._actor} may not verify everything in the store")
        return False

    def _tell(self, finding: Finding) -> None:
        held = "; quarantined" if finding.held else ""
        self._told(f"watch: {finding.of}: {finding.object} {finding.what}{held}")
