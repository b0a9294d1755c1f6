"""A login at one token, kept open, made again when it was lost, and never tried twice with a refused PIN."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import NoReturn, TypeVar

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
        lane = lane_of(self._module)
        session = self._login(lane)
        try:
            return self._run(lane, operation, session)
        except pkcs11.PKCS11Error:
            self._forget(lane, session)
        try:
            return self._run(lane, operation, self._login(lane))
        except pkcs11.PKCS11Error as error:
            self._raise_outage(error)

    def change(self, operation: Operation[_Result]) -> _Result:
        """Run what changes something, once, in a session that was alive just before. Raises as `read`."""
        self.read(_is_alive)
        lane = lane_of(self._module)
        session = self._login(lane)
        try:
            return self._run(lane, operation, session)
        except pkcs11.PKCS11Error as error:
            self._forget(lane, session)
            self._raise_outage(error)

    def _run(self, lane: Lane, operation: Operation[_Result], session: pkcs11.Session) -> _Result:
        return lane.call(lambda _library: operation(session), self._deadline_s)

    def _login(self, lane: Lane) -> pkcs11.Session:
        login: _Login | None = lane.shelf.get(self._token)
        if login is not None and login.pin_digest == self._shown:
            return login.session
        pin = self._pin()
        try:
            return lane.call(partial(self._enter, lane, pin), self._deadline_s)
        except pkcs11.PKCS11Error as error:
            self._raise_outage(error)

    def _forget(self, lane: Lane, session: pkcs11.Session) -> None:
        login: _Login | None = lane.shelf.get(self._token)
        if login is not None and login.session is session:
            lane.shelf.pop(self._token, None)

    def _enter(self, lane: Lane, pin: str, library: Library) -> pkcs11.Session:
        """In the lane, where one comes after the other."""
        login: _Login | None = lane.shelf.get(self._token)
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

    def _raise_outage(self, error: pkcs11.PKCS11Error) -> NoReturn:
        raise OutageError(f"{self.name}: does not do its work ({_name(error)})") from None


def _is_alive(session: pkcs11.Session) -> None:
    session.generate_random(64)


def _digest(pin: str) -> bytes:
    return sha256(_SALT + pin.encode()).digest()


def _name(error: pkcs11.PKCS11Error) -> str:
    """The return code of PKCS #11; texts of libraries stay out of errors."""
    text = str(error)
    return text.removeprefix(_NOT_MAPPED) if text.startswith(_NOT_MAPPED) else type(error).__name__
