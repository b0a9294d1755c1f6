"""Requests to a cloud's key service, as whom the SDK of that cloud finds us to be."""

from collections.abc import Callable, Mapping
from typing import Any

from strongroom.adapters.keys.wire import Answer, Wire
from strongroom.errors import DeniedError

Bearer = Callable[[bool], str]
"""Returns an access token; True: not the one it returned before, which was refused."""


class BearerWire:
    """A `Wire` whose requests carry an access token, which is renewed once when it is refused."""

    def __init__(self, service: str, wire: Wire, bearer: Bearer) -> None:
        self._service = service
        self._wire = wire
        self._bearer = bearer

    def __repr__(self) -> str:
        return f"BearerWire({self._wire!r})"

    @property
    def host(self) -> str:
        return self._wire.host

    def ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, repeatable: bool = True
    ) -> Answer:
        """Return any answer but a refusal of who we are.

        Raises:
            DeniedError: we have no credentials, or they give no right to this.
            OutageError: no answer in time.
        """
        for fresh in (False, True):
            headers = {"Authorization": f"Bearer {self._bearer(fresh)}"}
            answer = self._wire.call(method, path, body, headers=headers, repeatable=repeatable)
            if answer.status != 401:
                break
        if answer.status in (401, 403):
            verb = path.partition("?")[0].rpartition("/")[2][-64:]
            raise DeniedError(
                f"{self._service}: the credentials give no right to {method} {verb}",
                hint="see the policy in docs/keys.md",
            )
        return answer
