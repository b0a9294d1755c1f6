"""What hostile pickles do, one way after the other; and that pickles of models do none of it."""

import collections
import datetime
import decimal
import fractions
import io
import operator
import pathlib
import pickle
import re
import uuid
import zlib

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator
from sklearn.ensemble import RandomForestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from strongroom.scan import pickle_rules as rules
from strongroom.scan.upload import Verdict
from strongroom.values import Severity
from tests.unit.scan.looking import scan_files
from tests.unit.scan.pickled import ARTIFACTS, NUMPY_1, PICKLES, imported, matches, refusals, refused_by, text

P4 = b"\x80\x04"
EVIL = b"cos\nsystem\n(S'id'\ntR"
EXECUTES, CALL, STATE, MALFORMED, BOMB = (
    rule.id for rule in (rules.EXECUTES, rules.CALL, rules.STATE, rules.MALFORMED, rules.BOMB)
)


@pytest.mark.parametrize(
    "data",
    [
        EVIL + b".",
        b"(S'id'\nios\nsystem\n.",
        b"(cos\nsystem\nS'id'\no.",
        b"(cos\nsystem\nVid\no.",
        P4 + imported("os", "system") + text("id") + b"\x85\x81.",
        P4 + imported("os", "system") + text("id") + b"\x85}\x92.",
        P4 + imported("os", "system") + text("id") + b"\x85R.",
        P4 + text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93" + text("id") + b"\x85R.",
        b"\x80\x02c__builtin__\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02cexceptions\neval\nX\x01\x00\x00\x001\x85R.",
        b"\x80\x02ccommands\ngetoutput\nX\x01\x00\x00\x001\x85R.",
    ],
    ids=[
        "reduce",
        "inst",
        "obj",
        "unicode",
        "newobj",
        "newobj_ex",
        "stack-global",
        "memo",
        "builtin",
        "exceptions",
        "commands",
    ],
)
def test_each_way_to_call_is_seen(data: bytes) -> None:
    assert refused_by(data) == {EXECUTES}


def test_a_finding_names_the_function_its_arguments_and_the_byte() -> None:
    (found,) = refusals(b"(dS'a'\n" + EVIL + b"s.")
    assert (found.rule.severity, found.place.offset) == (Severity.CRITICAL, 7)
    assert "os.system" in found.message
    assert "system('id')" in found.message
    assert "strongroom convert" in found.rule.fix


def test_arguments_that_look_secret_are_cut_short() -> None:
    secret = "Zx9" * 12
    (found,) = refusals(P4 + imported("os", "system") + text(f"curl -H {secret}") + b"\x85R.")
    assert secret not in found.message
    assert "curl" in found.message


@pytest.mark.parametrize(
    "rest",
    [b"", b"\xff", b"(", b"\x80\x09.", b"h\x63.", b"R.", b"X\xff\xff\xff\xff"],
    ids=lambda rest: rest.hex(),
)
def test_payload_before_a_break_is_reported_with_the_break(rest: bytes) -> None:
    assert refused_by(EVIL + rest) == {EXECUTES, MALFORMED}


@pytest.mark.parametrize(
    "data",
    [
        P4 + text("os") + text("sys") + text("tem") + b"\x86\x93.",
        P4 + text("os") + b"C\x06system\x93.",
        P4 + imported("builtins", "str") + text("os") + b"\x85R" + text("system") + b"\x93.",
    ],
    ids=["tuple", "bytes", "computed"],
)
def test_names_that_are_not_written_out_are_refused(data: bytes) -> None:
    assert MALFORMED in refused_by(data)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("sklearn", "tree._tree.Tree"),
        ("collections", "OrderedDict.fromkeys"),
        ("sklearn.linear_model", "os.system"),
        ("numpy", "f2py.crackfortran.getlincoef"),
        ("Collections", "OrderedDict"),
        ("collections ", "OrderedDict"),
        ("sklearn.utils._bunch", "__builtins__"),
        ("__main__", "MyModel"),
        ("torch.serialization", "load"),
        ("numpy", "load"),
        ("numpy", "memmap.tofile"),
        ("joblib", "load"),
        ("pandas", "read_pickle"),
        ("functools", "reduce"),
        ("operator", "methodcaller"),
        ("scipy.stats._distn_infrastructure", "rv_discrete"),
        ("torch.jit", "ScriptModule"),
        ("torch.fx.graph_module", "reduce_graph_module"),
        ("sklearn.externals.joblib", "load"),
        ("codecs", "open"),
        ("zoneinfo", "ZoneInfo._unpickle"),
    ],
)
def test_only_exact_names_are_allowed(module: str, name: str) -> None:
    assert refused_by(P4 + imported(module, name) + b"."), f"{module}.{name}"


@pytest.mark.parametrize(
    "data",
    [
        P4
        + imported("builtins", "getattr")
        + imported("collections", "OrderedDict")
        + text("fromkeys")
        + b"\x86R.",
        P4 + imported("builtins", "getattr") + imported("uuid", "SafeUUID") + text("__class__") + b"\x86R.",
        P4 + imported("builtins", "type") + text("x") + b"\x85R.",
        P4 + imported("builtins", "bytearray") + b"J\xff\xff\xff\x7f\x85R.",
        P4 + imported("builtins", "bytes") + b"J\xff\xff\xff\x7f\x85R.",
        P4 + imported("builtins", "list") + imported("builtins", "range") + b"J\xff\xff\xff\x7f\x85R\x85R.",
        P4 + imported("collections", "defaultdict") + imported("functools", "partial") + b"\x85R.",
        P4 + imported("functools", "partial") + imported("_codecs", "encode") + b"\x85R.",
        P4 + imported("operator", "attrgetter") + text("__class__.__mro__") + b"\x85R.",
        P4 + imported("fractions", "Fraction") + text("1e999999999") + b"\x85R.",
        P4 + imported("copyreg", "_reconstructor") + imported("numpy", "log1p") + b"NN\x87R.",
        P4 + imported("numpy", "mean") + text("x") + b"\x85R.",
        P4 + imported("numpy._core", "_ufunc_reconstruct") + text("os") + text("system") + b"\x86R.",
        P4 + imported("sklearn.linear_model._logistic", "LogisticRegression") + text("x") + b"\x85R.",
        P4 + imported("numpy", "log1p") + b")\x81.",
        P4 + imported("collections", "OrderedDict") + b")R)R.",
        P4 + imported("collections", "OrderedDict") + imported("builtins", "tuple") + b")RR.",
        P4 + imported("collections", "OrderedDict") + b")}\x92" + imported("_codecs", "encode") + b"\x86.",
        P4 + imported("xgboost.core", "Booster") + b"N" + text("/etc/passwd") + b"\x86R.",
        P4 + imported("xgboost.core", "Booster") + text("/etc/passwd") + b"\x85\x81.",
        P4 + imported("lightgbm.basic", "Booster") + b")}" + text("model_file") + text("/x") + b"s\x92.",
        P4 + imported("torch.storage", "_load_from_bytes") + imported("builtins", "str") + b")R\x85R.",
        P4 + imported("re", "_compile") + b"X\x00\x10\x00\x00" + b"a" * 4096 + b"K\x00\x86R.",
    ],
)
def test_allowed_names_are_called_only_as_libraries_call_them(data: bytes) -> None:
    assert CALL in refused_by(data)


@pytest.mark.parametrize(
    "data",
    [
        P4 + imported("collections", "OrderedDict") + b"}b.",
        P4 + imported("numpy", "log1p") + b"}" + text("x") + b"K\x01sb.",
        P4 + b"]}b.",
        P4 + imported("uuid", "SafeUUID") + b"K\x00\x85R}" + text("x") + b"K\x01sb.",
        P4 + imported("builtins", "type") + b"N\x85R}b.",
        P4 + imported("collections", "OrderedDict") + text("k") + b"K\x01s.",
        P4
        + imported("sklearn.linear_model._logistic", "LogisticRegression")
        + b")\x81"
        + text("k")
        + b"K\x01s.",
        P4 + imported("sklearn.linear_model._logistic", "LogisticRegression") + b")\x81K\x01a.",
        P4 + imported("datetime", "date") + b"K\x01\x85R(K\x01\x90.",
        P4
        + imported("sklearn.linear_model._logistic", "LogisticRegression")
        + b")\x81N}"
        + text("__class__")
        + imported("uuid", "UUID")
        + b"s\x86b.",
        P4 + imported("xgboost.core", "Booster") + b")\x81}" + text("handle") + b"J\xef\xbe\xad\xdesb.",
        P4 + imported("lightgbm.basic", "Booster") + b")\x81}" + text("_handle") + b"J\xef\xbe\xad\xdesb.",
        P4
        + imported("functools", "partial")
        + imported("numpy", "log1p")
        + b"\x85R("
        + imported("_codecs", "encode")
        + b")}Ntb.",
        P4
        + imported("scipy.stats._continuous_distns", "norm_gen")
        + b")\x81}"
        + text("_parse_arg_template")
        + text("import os")
        + b"sb.",
        P4 + imported("scipy.stats._continuous_distns", "norm_gen") + b")\x81}b.",
    ],
)
def test_state_is_set_only_on_objects_of_the_pickle(data: bytes) -> None:
    assert STATE in refused_by(data)


def test_what_scipy_runs_on_loading_is_compared_with_its_own_source() -> None:
    data = (PICKLES / "rsc.p5.pkl").read_bytes()
    assert b"def _parse_args(self" in data
    assert not refused_by(data)
    assert STATE in refused_by(data.replace(b"loc=0, scale=1):", b"loc=0, scale=f()"))
    assert STATE in refused_by(data.replace(b"def _parse_args_rvs(", b"import os;_args_rvs("))


@pytest.mark.parametrize("code", [b"\x82\x01", b"\x83\x01\x00", b"\x84\x01\x00\x00\x00"])
def test_the_extension_registry_is_refused(code: bytes) -> None:
    assert rules.EXTENSION.id in refused_by(P4 + code + b".")


def test_persistent_ids_outside_of_checkpoints_are_refused() -> None:
    assert refused_by(b"Pname\n.") == {rules.PERSISTENT.id}
    assert refused_by(P4 + text("name") + b"Q.") == {rules.PERSISTENT.id}


@pytest.mark.parametrize("code", [b"\x97", b"\x97\x98"])
def test_buffers_outside_of_the_file_are_refused(code: bytes) -> None:
    assert MALFORMED in refused_by(b"\x80\x05" + code + b".")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("types", "CodeType"),
        ("cloudpickle.cloudpickle", "_make_function"),
        ("dill._dill", "_create_code"),
        ("marshal", "loads"),
    ],
)
def test_compiled_code_is_named_as_such(module: str, name: str) -> None:
    assert rules.CODE_OBJECT.id in refused_by(P4 + imported(module, name) + b".")


def test_arrays_in_sibling_files_are_refused_with_an_explanation() -> None:
    data = P4 + imported("joblib.numpy_pickle", "NDArrayWrapper") + b")\x81."
    assert refused_by(data) == {rules.SIBLINGS.id}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"N",
        b"\x80\x06N.",
        b"N\x80\x04.",
        b"\xaaN.",
        b".",
        b"N0.",
        b"NN.",
        b"(N.",
        b"0N.",
        b"h\x01N.",
        b"Nr\xff\xff\xff\x7f.",
        b"Np-1\n.",
        b"}(NNNu.",
        b"}NNNs.",
        b"I1",
        b"Ix\n.",
        b"L" + b"9" * 5000 + b"L\n.",
        b"Fx\n.",
        b"Sx\n.",
        b"V\\u12\n.",
        b"\x8b\xff\xff\xff\xff.",
        b"\x8e" + b"\xff" * 8 + b".",
        b"\x8c\x02\xff\xfe.",
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        b"\x80\x04\x95\x03\x00\x00\x00\x00\x00\x00\x00N.N.",
        b"\x80\x04\x95\x05\x00\x00\x00\x00\x00\x00\x00\x95\x01\x00\x00\x00\x00\x00\x00\x00N....",
        b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00K\x01.K",
        b"N.junk",
        b"N.\x00",
    ],
)
def test_what_no_pickler_writes_is_refused(data: bytes) -> None:
    assert refused_by(data) & {MALFORMED}


def test_every_pickle_of_a_row_is_judged() -> None:
    assert not refused_by(pickle.dumps(1) + pickle.dumps({"a": 2}))
    assert refused_by(pickle.dumps(1) + EVIL + b".") == {EXECUTES}


_TOP_DOWN = b"]\x940" * 41 + b"".join(b"h%c(h%ch%ce0" % (at, at + 1, at + 1) for at in range(40)) + b"h\x00."


@pytest.mark.parametrize(
    "data",
    [
        P4 + b")" + b"\x85" * 5000 + b".",
        P4 + b"]" * 2000 + b"a" * 1999 + b".",
        P4 + b"]" + b"2\x86" * 60 + b".",
        P4 + _TOP_DOWN,
    ],
    ids=["tuples", "lists", "dup", "top-down"],
)
def test_bombs_are_named(data: bytes) -> None:
    assert BOMB in refused_by(data)


def test_sharing_and_cycles_that_data_has_are_no_bomb() -> None:
    node: dict[str, object] = {}
    node["self"] = node
    node["children"] = [{"parent": node, "n": n} for n in range(200)]
    shared = [{"a": 1}] * 1000
    chain: list[object] = []
    for _ in range(300):
        chain = [chain]
    assert not refused_by(pickle.dumps([node, shared, shared, chain]))


def test_bounds_hold_before_anything_is_allocated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("strongroom.scan.pickle_machine.MAX_OPCODES", 100)
    assert MALFORMED in refused_by(b"N0" * 60 + b"N.")
    monkeypatch.setattr("strongroom.scan.pickle_machine.MAX_OPCODES", 100_000)
    monkeypatch.setattr("strongroom.scan.pickle_machine.MAX_NODES", 50)
    assert MALFORMED in refused_by(b"]0" * 60 + b"N.")
    assert MALFORMED in refused_by(b"(" * 5000 + b".")
    monkeypatch.setattr("strongroom.scan.pickle_machine.MAX_HELD_BYTES", 1000)
    assert MALFORMED in refused_by(P4 + (text("x" * 100) + b"0") * 20 + b"N.")


# arrays ---------------------------------------------------------------------------------------------------


def _array(state: bytes) -> bytes:
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(" + state + b"tb."


def test_an_array_brings_the_bytes_that_its_shape_says() -> None:
    assert not refused_by(_array(b"I1\n(I1\nt" + NUMPY_1 + b"I00\nB\x08\x00\x00\x00" + bytes(8)))
    assert STATE in refused_by(
        _array(b"I1\n(L99999999999L\nt" + NUMPY_1 + b"I00\nB\x08\x00\x00\x00" + bytes(8))
    )
    assert STATE in refused_by(_array(b"I1\n(I-1\nt" + NUMPY_1 + b"I00\nB\x08\x00\x00\x00" + bytes(8)))
    objects = NUMPY_1.replace(b"'f8'", b"'O8'").replace(b"'<'", b"'|'").replace(b"I0\ntb", b"I63\ntb")
    assert not refused_by(_array(b"I1\n(I1\nt" + objects + b"I00\n(lI5\na"))
    assert STATE in refused_by(_array(b"I1\n(L99999999999L\nt" + objects + b"I00\n(l"))
    assert STATE in refused_by(_array(b"I1\n(I1\nt" + objects + b"I00\nB\x08\x00\x00\x00" + bytes(8)))


def test_an_array_begins_empty() -> None:
    data = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(L99999999999L\ntS'b'\ntR."
    assert CALL in refused_by(data)


def test_scalars_of_objects_are_refused() -> None:
    data = P4 + imported("numpy._core.multiarray", "scalar") + imported("numpy", "dtype")
    assert CALL in refused_by(data + text("O8") + b"\x89\x88\x87RC\x08" + bytes(8) + b"\x86R.")
    assert CALL in refused_by(data + text("V99999999") + b"\x89\x88\x87R\x85R.")


# joblib ---------------------------------------------------------------------------------------------------


def dump(value: object, **named: object) -> bytes:
    file = io.BytesIO()
    joblib.dump(value, file, **named)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("compress", [0, 3, ("gzip", 3), ("bz2", 3), ("xz", 1), ("lzma", 1)])
def test_joblib_writes_arrays_between_the_opcodes(protocol: int, compress: object) -> None:
    arrays = [
        np.arange(7),
        np.zeros((0, 3)),
        np.array(["a", None, [1]], dtype=object),
        np.array(5.0),
        np.array(["ab"]),
    ]
    data = dump({"arrays": arrays, "tail": "text"}, protocol=protocol, compress=compress)
    assert scan_files({"m.joblib": data}).verdict is Verdict.ACCEPTED


def test_an_array_of_objects_is_a_pickle_of_its_own() -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return eval, ("1",)

    data = dump([np.array([[1, "x"], [Evil(), 2]], dtype=object), np.arange(5)])
    assert refused_by(data) == {EXECUTES}


def test_padding_and_shape_of_joblib_arrays_hide_nothing() -> None:
    data = dump(np.arange(100, dtype="i4"))
    at = data.rindex(b"\xff")
    assert not refused_by(data)
    assert MALFORMED in refused_by(data[:at] + b"c" + data[at + 1 :])
    assert MALFORMED in refused_by(data[:-50])
    assert MALFORMED in refused_by(data + b"x")


def test_bytes_of_arrays_that_other_readers_run_are_reported() -> None:
    """Without padding (joblib before 1.1) plain pickle goes on in the bytes of the array."""
    payload = np.frombuffer((b"0" + EVIL + b".").ljust(64, b"N"), dtype="u1")
    data = dump([payload], protocol=2)
    assert not refused_by(data)
    old = data.replace(b"numpy_array_alignment_bytes", b"numpy_array_alignment_bytez")
    start = old.index(b"0cos")
    padding = old[start - 17 : start]
    cut = padding.rindex(bytes([len(padding) - 1 - max(i for i in range(17) if padding[i] != 0xFF)]))
    found = refusals(old[: start - 17 + cut] + old[start:])
    assert any("read without joblib" in match.message for match in found)


# benign ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(PICKLES.rglob("*.*")), ids=lambda path: path.name)
def test_real_models_pass(path: object) -> None:
    assert isinstance(path, pathlib.Path)
    if path.suffix in (".md", ".py"):
        return
    report = scan_files({path.name: path.read_bytes()})
    assert report.verdict is Verdict.ACCEPTED, [str(match.message) for match in report.matches]


@pytest.mark.parametrize("protocol", range(6))
def test_objects_of_the_standard_library_pass(protocol: int) -> None:
    values = [
        datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.UTC),
        datetime.date(2024, 1, 2),
        datetime.timedelta(1),
        decimal.Decimal("1.5"),
        fractions.Fraction(1, 3),
        uuid.UUID(int=5),
        collections.OrderedDict(a=1),
        collections.Counter("aab"),
        collections.defaultdict(list, a=[1]),
        collections.deque([1, 2], 5),
        pathlib.PurePosixPath("a/b"),
        re.compile("a+"),
        operator.itemgetter(1, 2),
        operator.attrgetter("a.b"),
        {1, 2},
        frozenset({3}),
        bytearray(b"abc"),
        b"bytes",
        b"",
        1j,
        range(3),
        slice(1, 2),
        2**100,
        1.5,
        type(None),
    ]
    assert not refused_by(pickle.dumps(values, protocol=protocol))


def _fitted() -> BaseEstimator:
    rows = np.arange(40.0).reshape(20, 2)
    steps = (FunctionTransformer(np.log1p), StandardScaler(), RandomForestClassifier(3, random_state=0))
    return make_pipeline(*steps).fit(rows, [0, 1] * 10)


@pytest.mark.parametrize("protocol", range(6))
def test_estimators_of_the_installed_scikit_learn_pass(protocol: int) -> None:
    assert not refused_by(pickle.dumps(_fitted(), protocol=protocol))


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.tuples(inner, inner, inner, inner)
        | st.frozensets(st.integers())
    ),
    max_leaves=30,
)


@settings(max_examples=150, deadline=None)
@given(plain, st.integers(0, 5))
def test_plain_data_passes(value: object, protocol: int) -> None:
    assert not refused_by(pickle.dumps([value, value], protocol=protocol))


def test_data_that_looks_like_opcodes_is_a_note() -> None:
    found = matches((ARTIFACTS / "data_looks_like_ops.pkl").read_bytes())
    assert {match.rule.id for match in found} == {rules.INSIDE.id}
    assert not matches(pickle.dumps([b"\x80\x04K\x01.", b"\x80\x04 not one."]))


# what is inside -------------------------------------------------------------------------------------------


def test_tensors_in_a_plain_pickle_are_judged_as_what_they_are() -> None:
    good = (PICKLES / "pickled.pkl").read_bytes()
    assert not refused_by(good)
    inner = EVIL + b"."
    data = P4 + imported("torch.storage", "_load_from_bytes") + b"C" + bytes([len(inner)]) + inner + b"\x85R."
    assert EXECUTES in refused_by(data)
    assert refused_by(P4 + imported("torch.storage", "_load_from_bytes") + b"C\x03abc\x85R.")


def test_models_inside_of_boosters_are_judged() -> None:
    head = P4 + imported("xgboost.core", "Booster") + b")\x81}" + text("handle")
    assert refused_by(head + b"\x96\x04\x00\x00\x00\x00\x00\x00\x00binfsb.")
    assert refused_by(head + b"\x96\x04\x00\x00\x00\x00\x00\x00\x00{\x00\x00}sb.")
    lightgbm = P4 + imported("lightgbm.basic", "Booster") + b")\x81}" + text("handle")
    assert refused_by(lightgbm + text("not a model") + b"sb.")
    real = (PICKLES / "lgbc.p5.pkl").read_bytes()
    assert b"num_leaves=" in real
    assert refused_by(real.replace(b"num_leaves=", b"num_leavez=", 1))


def test_strings_are_looked_through_and_numbers_are_not() -> None:
    texts: list[str] = []
    weights = np.arange(5000.0)
    matches(pickle.dumps({"note": "the password is elsewhere", "weights": weights}, protocol=2), texts=texts)
    assert "the password is elsewhere" in "\n".join(texts)
    assert sum(map(len, texts)) < 1000


def test_compressed_strings_of_a_booster_in_any_protocol() -> None:
    for path in ("xgbc.p2.pkl", "xgbc.p5.3.joblib"):
        data = (PICKLES / path).read_bytes()
        data = zlib.decompress(data) if path.endswith("joblib") else data
        assert not refused_by(data)
