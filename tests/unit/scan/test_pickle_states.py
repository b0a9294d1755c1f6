"""States that would make one class of another, on names that are each allowed: the code runs on loading."""

import pickle
from argparse import Namespace

import pytest

from tests.unit.scan.pickled import imported, refused_by, text

STATE = "pickle-state-not-allowed"
NAMESPACE = b"\x80\x04" + imported("argparse", "Namespace") + b")\x81"
DISTRIBUTION = imported("scipy.stats._continuous_distns", "norm_gen")
"""Executes a string of its state."""
CODE = b"}" + text("_parse_arg_template") + text("print()") + b"sb."
PARSERS = (
    "def _parse_args(self, loc=0, scale=1):\n    return (), loc, scale\n"
    "def _parse_args_rvs(self, loc=0, scale=1, size=None):\n"
    "    return self._argcheck_rvs(loc, scale, size=size)\n"
    "def _parse_args_stats(self, loc=0, scale=1, moments='mv'):\n    return (), loc, scale, moments\n"
)


def made_text(value: str) -> bytes:
    """str("value"): equal to the text, and no text in the pickle."""
    return imported("builtins", "str") + text(value) + b"\x85R"


def written(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


MANY = b"".join(text(f"a{number}") + b"N" for number in range(1100))
TO_DISTRIBUTION = {
    "slots": b"N}" + text("__class__") + DISTRIBUTION + b"s\x86b",
    "slots-of-another-dictionary": b"N" + imported("collections", "OrderedDict") + b")R"
    + text("__class__") + DISTRIBUTION + b"s\x86b",
    "slots-under-a-name-that-was-called": b"N}" + made_text("__class__") + DISTRIBUTION + b"s\x86b",
    "slots-behind-many": b"N}(" + MANY + text("__class__") + DISTRIBUTION + b"u\x86b",
}  # fmt: skip


@pytest.mark.parametrize("state", TO_DISTRIBUTION.values(), ids=TO_DISTRIBUTION)
def test_no_object_gets_another_class(state: bytes) -> None:
    assert refused_by(NAMESPACE + state + CODE) == {STATE}


def test_no_data_frame_gets_another_class() -> None:
    frame = b"\x80\x04" + imported("pandas", "DataFrame") + b")\x81}("
    frame += text("_typ") + text("dataframe") + text("__class__") + DISTRIBUTION + b"ub"
    assert refused_by(frame + CODE) == {STATE}


def test_no_class_is_set_by_a_helper_of_torch() -> None:
    setting = b"\x94" + imported("torch._utils", "_set_obj_state") + b"h\x00}"
    setting += text("__class__") + DISTRIBUTION + b"s\x86R0"
    assert refused_by(NAMESPACE + setting + CODE) == {"pickle-call-not-allowed"}


def test_source_of_a_distribution_is_not_replaced_under_the_same_name() -> None:
    state = b"}(" + text("_parse_arg_template") + written(PARSERS)
    harmless = b"\x80\x04" + DISTRIBUTION + b")\x81" + state + b"ub."
    assert not refused_by(harmless)
    twice = b"\x80\x04" + DISTRIBUTION + b")\x81" + state
    assert refused_by(twice + made_text("_parse_arg_template") + text("print()") + b"ub.") == {STATE}


def test_model_of_a_booster_is_not_replaced_under_the_same_name() -> None:
    booster = b"\x80\x04" + imported("lightgbm.basic", "Booster") + b")\x81}("
    assert refused_by(booster + made_text("_handle") + text("tree") + b"ub.") == {STATE}


def test_loading_is_not_redirected_to_a_function_of_the_object() -> None:
    redirected = b"}" + text("__setstate__") + imported("numpy", "sort") + b"sb"
    assert refused_by(NAMESPACE + redirected + b"}b.") == {STATE}


def test_loading_is_not_redirected_to_an_item() -> None:
    """Lightning's dictionary looks attributes up among its items, `__setstate__` too."""
    items = b"\x80\x04" + imported("lightning.fabric.utilities.data", "AttributeDict") + b")\x81"
    items += text("__setstate__") + imported("numpy", "sort") + b"s"
    assert not refused_by(items + b".")
    assert refused_by(items + b"}b.") == {STATE}


@pytest.mark.parametrize("name", ["numpy memmap", "xgboost.core Booster", "lightgbm.basic Booster"])
def test_nothing_is_kept_that_opens_a_file(name: str) -> None:
    """Isotonic regression calls its own attributes when it is loaded."""
    opening = imported(*name.split())
    partial = b"\x80\x04" + imported("functools", "partial")
    assert "pickle-call-not-allowed" in refused_by(partial + opening + b"\x85R.")
    assert not refused_by(partial + imported("numpy", "sort") + b"\x85R.")
    model = b"\x80\x04" + imported("sklearn.isotonic", "IsotonicRegression") + b")\x81}"
    assert refused_by(model + text("_build_f") + opening + b"sb.") == {STATE}


def test_range_is_not_written_out() -> None:
    index = b"\x80\x04" + imported("pandas.core.indexes.base", "_new_Index") + imported("pandas", "Index")
    index += b"}" + text("data") + imported("builtins", "range") + b"J\xff\xff\xff\x7f\x85Rs\x86R."
    assert refused_by(index) == {"pickle-call-not-allowed"}


def test_plain_attributes_are_set() -> None:
    assert not refused_by(pickle.dumps(Namespace(rate=0.1, names=["a"], table={1: 2, None: 3})))


def test_zones_and_discrete_distributions_are_data() -> None:
    zone = b"\x80\x04" + imported("builtins", "getattr") + imported("zoneinfo", "ZoneInfo")
    zone += text("_unpickle") + b"\x86R"
    assert not refused_by(zone + text("Europe/Berlin") + b"K\x01\x86R.")
    assert refused_by(zone + text("../../tmp/zone") + b"K\x01\x86R.") == {"pickle-call-not-allowed"}
    entropy = b"\x80\x04" + imported("builtins", "getattr")
    entropy += (
        imported("scipy.stats._discrete_distns", "randint_gen") + b")\x81" + text("_entropy") + b"\x86R"
    )
    assert not refused_by(entropy + b".")
    assert refused_by(entropy + b")R.") == {"pickle-call-not-allowed"}


def test_no_function_is_called_for_each_number() -> None:
    vectorized = b"\x80\x04" + imported("numpy", "vectorize") + b")\x81}" + text("pyfunc")
    assert refused_by(vectorized + imported("numpy", "sort") + b"sb.") == {STATE}
