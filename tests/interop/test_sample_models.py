"""The models of the tests are what they say: onnxruntime runs them and gives the answers promised."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests import models
from tests.models import SampleModel


def _run(sample: SampleModel, folder: Path) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(str(sample.write(folder)), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, sample.example), strict=True))


@pytest.mark.parametrize("build", models.SERVABLE, ids=lambda build: build.__name__)
def test_runs_its_example(build: Callable[[], SampleModel], tmp_path: Path) -> None:
    assert _run(build(), tmp_path)


def test_linear_answers_the_product(tmp_path: Path) -> None:
    sample = models.linear(30)
    expected = sample.example["x"] @ models.linear_weights(30)
    np.testing.assert_allclose(_run(sample, tmp_path)["score"], expected, rtol=1e-5)


def test_strings_survive_unicode(tmp_path: Path) -> None:
    answer = _run(models.strings(), tmp_path)
    assert answer["code"].tolist() == [[3], [-1]]
    assert answer["echo"].tolist() == [["日本"], ["unheard of"]]


def test_integers_come_back_unchanged(tmp_path: Path) -> None:
    sample = models.every_integer()
    answer = _run(sample, tmp_path)
    for name, sent in sample.example.items():
        np.testing.assert_array_equal(answer[f"{name}_out"], sent)


def test_zipmap_ends_in_maps_and_its_twin_in_a_tensor(tmp_path: Path) -> None:
    with_maps = _run(models.classifier_with_zipmap(), tmp_path)
    plain = _run(models.classifier(), tmp_path)
    assert set(with_maps["output_probability"][0]) == {0, 1}
    assert plain["probabilities"].shape == (2, 2)


def test_wide_is_as_large_as_asked() -> None:
    assert 3 * 2**20 <= len(models.wide(3 * 2**20).onnx) < 3 * 2**20 + 4096


def test_escape_is_refused_by_the_engine_too(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"(?i)external|escape|path"):
        _run(models.external_escape(), tmp_path)


def test_custom_operator_has_no_implementation(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="Exfiltrate"):
        _run(models.custom_operator(), tmp_path)


def test_memory_hog_loads_and_fails_only_when_run(tmp_path: Path) -> None:
    with pytest.raises(Exception, match=r"(?i)alloc"):
        _run(models.memory_hog(), tmp_path)
