import io
import pickle
from typing import Any

import numpy as np

from strongroom.scan.upload import Report, Verdict
from tests.unit.scan.looking import rules, scan_files


class Evil:
    def __reduce__(self) -> Any:
        return eval, ("1",)


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def scan(content: bytes, name: str = "a.npy") -> Report:
    return scan_files({name: content})


def test_arrays_of_numbers_and_text_pass() -> None:
    for array in (np.zeros((3, 4)), np.array(["a", "bc"]), np.zeros(3, [("a", "f4"), ("t", "M8[s]")])):
        assert scan(npy(array)).verdict is Verdict.ACCEPTED
    assert scan(npz(a=np.zeros(3), b=np.arange(4)), "a.npz").verdict is Verdict.ACCEPTED


def test_objects_are_refused_and_what_they_hide_is_named() -> None:
    report = scan(npy(np.array([Evil()], dtype=object)))
    assert rules(report.matches) >= {"numpy-objects"}
    assert any("eval" in match.message for match in report.matches)
    assert report.verdict is Verdict.REFUSED


def test_objects_in_an_archive_are_refused() -> None:
    report = scan(npz(a=np.zeros(3), b=np.array([{}], dtype=object)), "a.npz")
    assert [str(match.place) for match in report.matches if match.rule.id == "numpy-objects"] == [
        "a.npz ! b.npy"
    ]


def test_a_pickle_in_the_place_of_an_array_is_refused() -> None:
    report = scan(pickle.dumps(Evil()))
    assert rules(report.matches) >= {"format-disguised"}


def test_bytes_behind_the_data_are_refused() -> None:
    assert rules(scan(npy(np.zeros(3)) + pickle.dumps([1])).matches) == {"file-malformed"}


def test_a_shape_larger_than_the_file_is_refused() -> None:
    content = npy(np.zeros(3)).replace(b"(3,), }        ", b"(3000000000,), }", 1)
    assert rules(scan(content).matches) == {"file-malformed"}
