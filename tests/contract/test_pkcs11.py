"""Keys in a token, beyond the contract: what the token itself refuses, and what happens when it is gone."""

import os
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import pkcs11
import pytest
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass

from strongroom.adapters.keys.pkcs11 import Pkcs11Keys, _with_template
from strongroom.adapters.keys.pkcs11_lane import lane_of
from strongroom.adapters.keys.pkcs11_objects import KEK_TEMPLATE, KeyId
from strongroom.errors import DeniedError, InvalidError, OutageError, RejectedError
from strongroom.trust.signatures import PublicKey
from strongroom.values import KeyUri
from tests.contract.tokens import MODULE, Token, new_token, unplugged

FRAUD, SIGN = KeyUri("pkcs11:kek/fraud"), KeyUri("pkcs11:sign/1")
DATA_KEY, CONTEXT = b"d" * 32, b"fraud@1.0.0 sha256:00"


@pytest.fixture
def token() -> Token:
    return new_token()


@pytest.fixture
def keys(token: Token) -> Pkcs11Keys:
    return Pkcs11Keys(MODULE, token.label, lambda: token.pin)


def _at(keys: Pkcs11Keys, work: Callable[[pkcs11.Session], Any]) -> Any:
    """What anybody may do who has the PIN."""
    return keys._token.read(work)


def _objects(keys: Pkcs11Keys, label: str) -> list[Any]:
    return list(_at(keys, lambda session: list(session.get_objects({Attribute.LABEL: label}))))


def test_a_token_that_is_gone_is_an_outage_and_no_missing_key(keys: Pkcs11Keys, token: Token) -> None:
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    keys.create_signer(SIGN, "ecdsa-p256")
    signer = keys.signer(SIGN)
    calls: list[Callable[[], object]] = [
        lambda: keys.unwrap(FRAUD, wrapped, CONTEXT),
        lambda: keys.wrap(FRAUD, DATA_KEY, CONTEXT),
        lambda: keys.describe(FRAUD),
        lambda: keys.create(FRAUD),
        lambda: keys.rotate(FRAUD),
        lambda: keys.destroy(FRAUD, 1),
        lambda: keys.set_enabled(FRAUD, 1, False),
        lambda: keys.signer(SIGN),
        lambda: keys.create_signer(KeyUri("pkcs11:sign/2"), "ecdsa-p256"),
        lambda: signer.sign(b"message"),
    ]
    with unplugged():
        for call in calls:
            with pytest.raises(OutageError, match=f"pkcs11: token {token.label}"):
                call()
    assert keys.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY
    assert [one.version for one in keys.describe(FRAUD).versions] == [1]
    assert signer.sign(b"message")


def test_a_token_that_is_not_there(token: Token) -> None:
    with pytest.raises(OutageError, match="pkcs11: token elsewhere: is not there"):
        Pkcs11Keys(MODULE, "elsewhere", lambda: token.pin).describe(FRAUD)


def test_a_module_that_is_no_library(tmp_path: Any, token: Token) -> None:
    module = tmp_path / "module.so"
    module.write_bytes(b"no library")
    with pytest.raises(OutageError, match="pkcs11"):
        Pkcs11Keys(str(module), token.label, lambda: token.pin).describe(FRAUD)


def test_a_wrong_pin_is_tried_once(keys: Pkcs11Keys, token: Token) -> None:
    """A token counts, and locks itself after a few."""
    keys.create(FRAUD)
    asked: list[str] = []

    def wrong() -> str:
        asked.append("wrong")
        return "1" + token.pin

    stranger = Pkcs11Keys(MODULE, token.label, wrong)
    with pytest.raises(DeniedError, match="refuses the PIN"):
        stranger.describe(FRAUD)
    for _ in range(3):
        with pytest.raises(DeniedError, match="not tried again"):
            stranger.describe(FRAUD)
    assert len(asked) == 4
    assert token.pin not in repr(vars(keys)) and token.pin not in repr(vars(keys._token))
    assert keys.describe(FRAUD).newest.version == 1


def test_who_has_no_pin_does_not_come_in_after_another(keys: Pkcs11Keys, token: Token) -> None:
    """To the library a login counts for the whole process."""
    keys.create(FRAUD)
    with pytest.raises(DeniedError):
        Pkcs11Keys(MODULE, token.label, lambda: "0000").describe(FRAUD)


def test_the_pin_is_asked_for_once(token: Token) -> None:
    asked: list[str] = []

    def pin() -> str:
        asked.append("pin")
        return token.pin

    keys = Pkcs11Keys(MODULE, token.label, pin)
    keys.create(FRAUD)
    assert keys.unwrap(FRAUD, keys.wrap(FRAUD, DATA_KEY, CONTEXT), CONTEXT) == DATA_KEY
    assert len(asked) <= 2, "once to look whether the key is there, once to make it"


def test_a_session_that_was_lost_is_opened_again(keys: Pkcs11Keys) -> None:
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    _end_all_sessions()
    assert keys.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY
    _end_all_sessions()
    assert keys.rotate(FRAUD).newest.version == 2


def _end_all_sessions() -> None:
    lane = lane_of(MODULE)
    shelf = dict(lane.shelf)
    lane.call(lane.restart, 10)
    lane.shelf.update(shelf)


def test_a_forked_child_logs_in_for_itself(keys: Pkcs11Keys) -> None:
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    child = os.fork()
    if child == 0:
        try:
            fine = keys.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY
        finally:
            os._exit(0 if fine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert keys.unwrap(FRAUD, wrapped, CONTEXT) == DATA_KEY


def test_threads_share_the_token(keys: Pkcs11Keys) -> None:
    keys.create(FRAUD)
    opened: list[bytes] = []

    def work() -> None:
        wrapped = [keys.wrap(FRAUD, DATA_KEY, CONTEXT) for _ in range(10)]
        opened.extend(keys.unwrap(FRAUD, one, CONTEXT) for one in wrapped)

    threads = [Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == [DATA_KEY] * 60


def test_a_library_that_hangs_ends_for_its_caller() -> None:
    lane = lane_of(MODULE)
    hung, free = Event(), Event()

    def hang(library: object) -> None:
        hung.set()
        free.wait(30)

    try:
        with pytest.raises(OutageError, match="did not answer within"):
            lane.call(hang, 0.05)
        assert hung.is_set()
        for _ in range(3):
            with pytest.raises(OutageError, match="did not answer within"):
                lane.call(lambda library: None, 0.05)
    finally:
        free.set()
    assert lane.call(lambda library: "alive", 30) == "alive"


@pytest.mark.parametrize("uri", [FRAUD, SIGN])
def test_no_key_leaves_the_token(keys: Pkcs11Keys, uri: KeyUri) -> None:
    if uri == FRAUD:
        keys.create(uri)
    else:
        keys.create_signer(uri, "ecdsa-p256")
    secret = next(one for one in _objects(keys, uri.partition(":")[2]) if one[Attribute.PRIVATE])
    expected = {
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.ALWAYS_SENSITIVE: True,
        Attribute.NEVER_EXTRACTABLE: True,
        Attribute.LOCAL: True,
        Attribute.COPYABLE: False,
        Attribute.DERIVE: False,
        Attribute.UNWRAP: False,
    }
    assert _at(keys, lambda _: secret.get_attributes(list(expected))) == expected
    with pytest.raises(OutageError):
        _at(keys, lambda _: secret[Attribute.VALUE])
    for change in ({Attribute.EXTRACTABLE: True}, {Attribute.SENSITIVE: False}):
        with pytest.raises(OutageError):
            _at(keys, lambda _, change=change: secret.copy(change))
        with pytest.raises(OutageError):
            _at(keys, lambda _, change=change: [secret.__setitem__(*one) for one in change.items()])


def test_a_disabled_version_is_refused_by_the_token_itself(keys: Pkcs11Keys) -> None:
    """Also to one who has the PIN, does not ask Strongroom, and only knows what docs/keys.md says."""
    keys.create(FRAUD)
    wrapped = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    [secret] = _objects(keys, "kek/fraud")
    bound = b"strongroom/pkcs11-wrap/1\x00" + b"\x00\x09kek/fraud" + wrapped[:20] + CONTEXT

    def decrypt(_: object) -> Any:
        parameters = GCMParams(wrapped[20:32], bound, 128)
        return secret.decrypt(wrapped[32:], mechanism=Mechanism.AES_GCM, mechanism_param=parameters)

    assert _at(keys, decrypt) == DATA_KEY
    keys.set_enabled(FRAUD, 1, False)

    def refused(session: pkcs11.Session) -> None:
        with pytest.raises(pkcs11.PKCS11Error, match="0x68"):  # CKR_KEY_FUNCTION_NOT_PERMITTED
            decrypt(session)

    _at(keys, refused)


def _plant(keys: Pkcs11Keys, key_id: bytes, bits: int = 256, **changed: bool) -> None:
    template = {**KEK_TEMPLATE, **{Attribute[name.upper()]: value for name, value in changed.items()}}
    _at(
        keys,
        lambda session: session.generate_key(
            KeyType.AES, bits, id=key_id, label="kek/fraud", store=True, template=template
        ),
    )


@pytest.mark.parametrize(
    ("planted", "said"),
    [
        ({"extractable": True}, "is not kept by the token"),
        ({"sensitive": False}, "is not kept by the token"),
        ({"bits": 128}, "something else than AES-256"),
    ],
)
def test_a_planted_newer_version_that_others_may_know(
    keys: Pkcs11Keys, planted: dict[str, Any], said: str
) -> None:
    keys.create(FRAUD)
    _plant(keys, KeyId(2, 1, b"x" * 8).to_bytes(), **planted)
    for call in (
        lambda: keys.wrap(FRAUD, DATA_KEY, CONTEXT),
        lambda: keys.rotate(FRAUD),
        lambda: keys.create(FRAUD),
    ):
        with pytest.raises(RejectedError, match=said):
            call()


def test_a_planted_known_key(keys: Pkcs11Keys) -> None:
    """Imported, then marked as secret: the token remembers that it came from outside."""
    keys.create(FRAUD)
    _at(
        keys,
        lambda session: session.create_object(
            {
                **KEK_TEMPLATE,
                Attribute.CLASS: ObjectClass.SECRET_KEY,
                Attribute.KEY_TYPE: KeyType.AES,
                Attribute.VALUE: b"k" * 32,
                Attribute.LABEL: "kek/fraud",
                Attribute.ID: KeyId(2, 1, b"x" * 8).to_bytes(),
                Attribute.TOKEN: True,
            }
        ),
    )
    with pytest.raises(RejectedError, match="is not kept by the token"):
        keys.wrap(FRAUD, DATA_KEY, CONTEXT)


@pytest.mark.parametrize("key_id", [b"mine", b"", bytes(20), b"\xff" * 20])
def test_a_key_of_that_label_that_is_not_ours(keys: Pkcs11Keys, key_id: bytes) -> None:
    _plant(keys, key_id)
    with pytest.raises(RejectedError, match="not ours"):
        keys.create(FRAUD)


def test_two_machines_that_rotate_at_once(keys: Pkcs11Keys) -> None:
    """Both make version 2; what either wraps opens, and disabling or destroying it means both."""
    keys.create(FRAUD)
    keys.rotate(FRAUD)
    first = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    _plant(keys, KeyId(2, KeyId.parse(first[:20]).created_s + 1, b"other---").to_bytes())
    second = keys.wrap(FRAUD, DATA_KEY, CONTEXT)
    assert first[:20] != second[:20]
    assert [keys.unwrap(FRAUD, one, CONTEXT) for one in (first, second)] == [DATA_KEY] * 2
    assert [one.version for one in keys.describe(FRAUD).versions] == [1, 2]
    keys.set_enabled(FRAUD, 2, False)
    for one in (first, second):
        with pytest.raises(DeniedError, match="version 2 is disabled"):
            keys.unwrap(FRAUD, one, CONTEXT)
    keys.rotate(FRAUD)
    keys.destroy(FRAUD, 2)
    for one in (first, second):
        with pytest.raises(RejectedError):
            keys.unwrap(FRAUD, one, CONTEXT)


def test_a_public_key_put_in_place_of_ours(keys: Pkcs11Keys) -> None:
    """The signature would verify under a key that somebody else chose, or under none."""
    ours = keys.create_signer(SIGN, "ecdsa-p256")
    theirs = keys.create_signer(KeyUri("pkcs11:sign/2"), "ecdsa-p256")
    [point] = [
        one[Attribute.EC_POINT] for one in _objects(keys, "sign/2") if isinstance(one, pkcs11.PublicKey)
    ]
    [public] = [one for one in _objects(keys, "sign/1") if isinstance(one, pkcs11.PublicKey)]

    def swap(session: pkcs11.Session) -> None:
        parameters = public[Attribute.EC_PARAMS]
        public.destroy()
        session.create_object(
            {
                Attribute.CLASS: ObjectClass.PUBLIC_KEY,
                Attribute.KEY_TYPE: KeyType.EC,
                Attribute.EC_PARAMS: parameters,
                Attribute.EC_POINT: point,
                Attribute.LABEL: "sign/1",
                Attribute.TOKEN: True,
            }
        )

    _at(keys, swap)
    assert keys.signer(SIGN).key_id == theirs.key_id != ours.key_id
    with pytest.raises(OutageError, match="does not verify"):
        keys.signer(SIGN).sign(b"message")
    PublicKey.from_pem(ours.public_pem).verify(ours.sign(b"message"), b"message")


def test_a_second_pair_of_the_same_label(keys: Pkcs11Keys) -> None:
    keys.create_signer(SIGN, "ecdsa-p256")
    _at(keys, lambda session: keys._generate_pair(session, SIGN))
    with pytest.raises(RejectedError, match="2 private"):
        keys.signer(SIGN)


def test_a_token_that_does_not_know_copyable() -> None:
    """Older than PKCS #11 2.40; nothing else that it should promise is left out."""
    seen: list[dict[Attribute, bool]] = []

    def generate(template: dict[Attribute, bool]) -> None:
        seen.append(dict(template))
        if Attribute.COPYABLE in template:
            raise pkcs11.AttributeTypeInvalid

    _with_template(dict(KEK_TEMPLATE), generate)
    assert set(KEK_TEMPLATE) - set(seen[-1]) == {Attribute.COPYABLE}


def test_ed25519_in_a_token(keys: Pkcs11Keys) -> None:
    with pytest.raises(InvalidError, match="no ed25519 key"):
        keys.create_signer(SIGN, "ed25519")


@pytest.mark.parametrize(
    "uri",
    ["pkcs11:", "pkcs11:-x", "pkcs11:a b", "pkcs11:a\n", "pkcs11:" + "a" * 97, "pkcs11:ü", "file:kek/a"],
)
def test_names_of_another_spelling(keys: Pkcs11Keys, uri: str) -> None:
    with pytest.raises(InvalidError):
        keys.create(KeyUri(uri))
    with pytest.raises(InvalidError):
        keys.destroy(KeyUri(uri), 1)
