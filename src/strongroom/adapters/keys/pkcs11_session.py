"""A login at one token, kept open, made again when it was lost, and never tried twice with a refused PIN."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import TypeVar

import pkcs11
from pkcs11.constants import TokenFlag

from strongroom.adapters.keys.pkcs11_lane import Lane, Library, lane_of
from strongroom.errors import DeniedError, InvalidError, OutageError

_Result = TypeVar("_Result")
Operation = Callable[[pkcs11.Session], _Result]
_SALT = os.urandom(16)
_NOT_MAPPED = "Unmapped error code "


@dataclass(frozen=True, slots=True)
class _Login:
    """One token in one lane, shared by all who showed the same PIN."""

    session: pkcs11.Session
    pin_digest: bytes


class MissingKeyError(InvalidError):
    """No such key, in the session at hand: believed once a new session says so too.

    To one whose token was pulled out, every key seems to be missing.
    """


class _PinNeededError(Exception):
    """The operation needs a login first."""


class TokenSession:
    """Runs operations at one token. Safe between threads and across forks.

    A PIN that was refused is not tried again, since a token counts: it locks itself after a few.
    """

    def __init__(self, module: str, token: str, pin: Callable[[], str], deadline_s: float) -> None:
        """``pin`` is called when a login is needed, in the thread that needs it."""
        self._module = module
        self._token = token
        self._pin = pin
        self._deadline_s = deadline_s
        self._refused: set[bytes] = set()
        self._shown = b""

    def __repr__(self) -> str:
        return f"TokenSession({self.name})"

    @property
    def name(self) -> str:
        """Names the token in errors."""
        return f"pkcs11: token {self._token}"

    def read(self, operation: Operation[_Result]) -> _Result:
        """Run what changes nothing; where the session was lost, once more in a new one.

        Raises:
            DeniedError: the token does not let us in.
            OutageError: the token is gone, or silent.
        """

        def job(lane: Lane, pin: str | None, library: Library) -> _Result:
            try:
                return operation(self._enter_alive(lane, pin, library))
            except pkcs11.PKCS11Error:
                lane.shelf.pop(self._token, None)
            except MissingKeyError:
                lane.restart(library)
            return operation(self._enter(lane, pin, library))

        return self._submit(job)

    def change(self, operation: Operation[_Result], *, fresh: bool = False) -> _Result:
        """Run what changes something, once, in a session that is alive just before. Raises as `read`.

        ``fresh``: in a new one, for what relies on a key not being there.
        """

        def job(lane: Lane, pin: str | None, library: Library) -> _Result:
            if fresh and pin is None:
                raise _PinNeededError
            if fresh:
                lane.restart(library)
            try:
                return operation(self._enter_alive(lane, pin, library))
            except MissingKeyError:  # so nothing was changed
                lane.restart(library)
            return operation(self._enter(lane, pin, library))

        return self._submit(job)

    def _submit(self, job: Callable[[Lane, str | None, Library], _Result]) -> _Result:
        """The whole job is one visit to the lane, so nobody can end its session on the way."""
        lane = lane_of(self._module)
        try:
            try:
                return lane.call(partial(job, lane, None), self._deadline_s)
            except _PinNeededError:
                # Asked for here: a person may take longer than a token may.
                pin = self._pin()
            return lane.call(partial(job, lane, pin), self._deadline_s)
        except pkcs11.PKCS11Error as error:
            raise OutageError(f"{self.name}: does not do its work ({_name(error)})") from None

    def _enter_alive(self, lane: Lane, pin: str | None, library: Library) -> pkcs11.Session:
        session = self._enter(lane, pin, library)
        try:
            session.generate_random(64)
        except pkcs11.PKCS11Error:
            lane.shelf.pop(self._token, None)
        else:
            return session
        return self._enter(lane, pin, library)

    def _enter(self, lane: Lane, pin: str | None, library: Library) -> pkcs11.Session:
        """Return the session, in the lane. Without a PIN, only one for which it was shown before."""
        login: _Login | None = lane.shelf.get(self._token)
        if login is not None and login.pin_digest == self._shown:
            return login.session
        if pin is None:
            raise _PinNeededError
        if login is None or login.pin_digest != _digest(pin):
            self._require_untried(pin)
            lane.shelf.pop(self._token, None)
            login = _Login(self._open(lane, pin, library), _digest(pin))
            lane.shelf[self._token] = login
        self._shown = login.pin_digest
        return login.session

    def _require_untried(self, pin: str) -> None:
        if _digest(pin) in self._refused:
            raise DeniedError(
                f"{self.name}: refused this PIN before; it is not tried again",
                hint="correct the file that keys.pkcs11.pin_file names",
            )

    def _open(self, lane: Lane, pin: str, library: Library) -> pkcs11.Session:
        """A library that was started before may not see what came since, or hold another's login."""
        try:
            return self._open_once(pin, library)
        except (pkcs11.PKCS11Error, OutageError):
            lane.restart(library)
            return self._open_once(pin, library)

    def _open_once(self, pin: str, library: Library) -> pkcs11.Session:
        token = self._find(library)
        try:
            session: pkcs11.Session = token.open(rw=True, user_pin=pin)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
            self._refused.add(_digest(pin))
            raise DeniedError(f"{self.name}: refuses the PIN") from None
        except (pkcs11.PinLocked, pkcs11.PinExpired, pkcs11.UserPinNotInitialized) as error:
            raise DeniedError(
                f"{self.name}: lets nobody in ({_name(error)})", hint="its security officer resets the PIN"
            ) from None
        return session

    def _find(self, library: Library) -> pkcs11.Token:
        found = list(library.get_tokens(token_label=self._token))
        if not found:
            raise OutageError(f"{self.name}: is not there", hint="is the device on, and its client set up?")
        if len(found) > 1:
            raise InvalidError(f"{self.name}: there are {len(found)} of that label")
        flags = found[0].flags
        if flags & TokenFlag.USER_PIN_LOCKED:
            raise DeniedError(f"{self.name}: the PIN is locked", hint="its security officer resets it")
        if flags & TokenFlag.USER_PIN_FINAL_TRY:
            raise DeniedError(
                f"{self.name}: one more wrong PIN locks it, so none is tried",
                hint="log in once with the vendor's own tool",
            )
        token: pkcs11.Token = found[0]
        return token


def _digest(pin: str) -> bytes:
    return sha256(_SALT + pin.encode()).digest()


def _name(error: pkcs11.PKCS11Error) -> str:
    """The return code of PKCS #11; texts of libraries stay out of errors."""
    text = str(error)
    return text.removeprefix(_NOT_MAPPED) if text.startswith(_NOT_MAPPED) else type(error).__name__
