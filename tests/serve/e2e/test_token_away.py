"""Keys in a hardware security module under a real server, and the module pulled out while it serves."""

import pytest

from strongroom.errors import OutageError
from strongroom.sdk.rotation import rotate_signing
from tests import models
from tests.contract.tokens import MODULE, Token, new_token, unplugged
from tests.serve.e2e.deployment import ADMIN, LINEAR, REVIEWER, Deployment, Server, ask, end, serving

KEPT = "kept@1.0.0"


@pytest.fixture(scope="module")
def token() -> Token:
    return new_token()


@pytest.fixture(scope="module")
def kept(established: Deployment, token: Token, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """A copy whose signing key, and the key of one family, are in the token."""
    copy = established.copy(tmp_path_factory.mktemp("kept"))
    pin = copy.home / "pin"
    pin.touch(mode=0o600)
    pin.write_text(token.pin)
    copy.set(
        f'[keys]\nfamilies = "pkcs11:kek/{{family}}"\nsigning = "pkcs11:sign/{{number}}"\n'
        f'[keys.pkcs11]\nmodule = "{MODULE}"\ntoken = "{token.label}"\npin_file = "pin"'
    )
    rotate_signing(copy.as_(ADMIN))
    copy.add(models.linear(), KEPT)
    return copy


def test_a_family_of_the_token_is_signed_wrapped_and_verified_there(kept: Deployment, token: Token) -> None:
    room = kept.as_(ADMIN)
    assert room.verify(KEPT, full=True).model == KEPT
    assert room.verify("linear@1.1.0", full=True), "what was signed by the key before still counts"
    files = {path: path.read_bytes() for path in kept.home.rglob("*") if path.is_file()}
    keys = [path for path, data in files.items() if b"pkcs11:kek/kept" in data and path.name == "keys.json"]
    assert len(keys) == 1
    holding_the_pin = [path for path, data in files.items() if token.pin.encode() in data]
    assert holding_the_pin == [kept.home / "pin"]


@pytest.mark.slow
def test_what_is_served_goes_on_and_new_loads_fail_closed(kept: Deployment, token: Token) -> None:
    room = kept.as_(ADMIN)
    with serving(kept, "kept") as server:
        connection = server.connect()
        assert ask(connection, KEPT, LINEAR)[0] == 200
        with unplugged():
            assert ask(connection, KEPT, LINEAR)[0] == 200
            assert server.is_ready()
            with pytest.raises(OutageError, match=f"pkcs11: token {token.label}"):
                room.verify(KEPT, full=True)
            with pytest.raises(OutageError, match=f"pkcs11: token {token.label}"):
                kept.add(models.linear(), "kept@1.1.0")
            second = Server.start(kept, "kept", wait=False)
            try:
                assert second.process.wait(60) == OutageError.exit_code
                assert f"pkcs11: token {token.label}" in second.last_words()
            finally:
                end(second)
            assert ask(connection, KEPT, LINEAR)[0] == 200
        assert room.verify(KEPT, full=True)
        kept.add(models.linear(), "kept@1.1.0")
    assert kept.as_(REVIEWER).verify("kept@1.1.0")
