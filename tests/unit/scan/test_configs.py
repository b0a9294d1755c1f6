"""Configurations that bring code, call functions, read the environment or point elsewhere are refused."""

import base64
import json
import pickle
from typing import Any

import pytest

from strongroom.errors import RejectedError
from strongroom.scan.documents import parse_json
from tests.unit.scan.looking import refused, rules, scan_files


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("x",))


HOSTILE: dict[str, tuple[str, Any, str]] = {
    "auto_map": ("config.json", {"auto_map": {"AutoModel": "modeling_x.X"}}, "config-names-code"),
    "auto_map of another repository": (
        "config.json",
        {"auto_map": {"AutoConfig": "evil/repo--configuration.C"}},
        "config-names-code",
    ),
    "auto_map in a tokenizer": (
        "tokenizer_config.json",
        {"auto_map": {"AutoTokenizer": ["t.T", None]}},
        "config-names-code",
    ),
    "auto_map in a part": ("config.json", {"vision_config": {"auto_map": {"A": "b.C"}}}, "config-names-code"),
    "auto_map in a processor": ("preprocessor_config.json", {"auto_map": {"A": "b.C"}}, "config-names-code"),
    "custom_generate": ("generation_config.json", {"custom_generate": "org/decoder"}, "config-names-code"),
    "custom_pipelines": (
        "config.json",
        {"custom_pipelines": {"p": {"impl": "pipe.P", "pt": ["AutoModel"]}}},
        "config-names-code",
    ),
    "trust_remote_code": ("sentence_bert_config.json", {"trust_remote_code": True}, "config-trusts-code"),
    "trust_remote_code in words": ("config.json", {"a": {"trust_remote_code": "True"}}, "config-trusts-code"),
    "trust_remote_code among numbers": (
        "config.json",
        {**{f"n{number}": number for number in range(300)}, "trust_remote_code": 1},
        "config-trusts-code",
    ),
    "kernels of a repository": (
        "config.json",
        {"_attn_implementation": "evil/attention"},
        "config-names-code",
    ),
    "tokenizer class of a repository": (
        "tokenizer_config.json",
        {"tokenizer_class": "evil/repo--tok.T"},
        "config-names-code",
    ),
    "tool of a repository": ("tool_config.json", {"tool_class": "tool.MyTool"}, "config-names-code"),
    "parent library of an adapter": (
        "adapter_config.json",
        {"auto_mapping": {"base_model_class": "M", "parent_library": "evil_module"}},
        "config-names-code",
    ),
    "a pipeline of a file": (
        "model_index.json",
        {"_class_name": ["pipeline", "Evil"], "unet": ["diffusers", "UNet2DModel"]},
        "config-names-code",
    ),
    "a part of a foreign library": ("model_index.json", {"unet": ["my_unet", "Unet"]}, "config-names-code"),
    "a part of os": ("model_index.json", {"unet": ["os", "system"]}, "config-names-code"),
    "a module of a file": ("modules.json", [{"idx": 0, "type": "custom_st.T"}], "config-names-code"),
    "a module of the library by another name": (
        "modules.json",
        [{"idx": 0, "type": "sentence_transformers_evil.models.T"}],
        "config-names-code",
    ),
    "a module elsewhere": (
        "modules.json",
        [{"path": "../../x", "type": "sentence_transformers.models.Dense"}],
        "config-path-escapes",
    ),
    "activation function": (
        "2_Dense/config.json",
        {"activation_function": "os.system"},
        "config-unknown-object",
    ),
    "shards elsewhere": (
        "model.safetensors.index.json",
        {"weight_map": {"a": "../../../etc/passwd"}},
        "config-path-escapes",
    ),
    "Hydra os.system": ("config.json", {"model": {"_target_": "os.system"}}, "config-makes-object"),
    "Hydra deep": (
        "config.json",
        {"a": [{"b": [{"_target_": "subprocess.Popen", "args": ["id"]}]}]},
        "config-makes-object",
    ),
    "Hydra builtins": ("config.json", {"_target_": "builtins.exec", "_args_": ["1"]}, "config-makes-object"),
    "Hydra bare eval": ("config.json", {"_target_": "eval"}, "config-makes-object"),
    "Hydra torch.load": ("config.json", {"_target_": "torch.load", "f": "x"}, "config-makes-object"),
    "Hydra torch.hub": ("config.json", {"_target_": "torch.hub.load"}, "config-makes-object"),
    "Hydra own helper": ("config.json", {"_target_": "hydra.utils.get_method"}, "config-makes-object"),
    "Hydra own import": (
        "config.json",
        {"_target_": "nemo.core.classes.common.import_class_by_path"},
        "config-unknown-object",
    ),
    "Hydra unknown": ("config.json", {"_target_": "my_package.models.Net"}, "config-unknown-object"),
    "Hydra private": ("config.json", {"_target_": "torch.nn._reduction.Legacy"}, "config-makes-object"),
    "Lightning": ("config.json", {"class_path": "os.popen"}, "config-makes-object"),
    "torchtune": ("config.json", {"_component_": "subprocess.check_output"}, "config-makes-object"),
    "latent diffusion": (
        "config.json",
        {"target": "os.system", "params": {"command": "id"}},
        "config-makes-object",
    ),
    "environment": ("config.json", {"path": "${oc.env:AWS_SECRET_ACCESS_KEY}"}, "config-reads-environment"),
    "environment by a default": ("config.json", {"p": "a${env:HOME}b"}, "config-reads-environment"),
    "a resolver that evaluates": ("config.json", {"p": "${eval:'1+1'}"}, "config-runs-expression"),
    "a resolver that creates": ("config.json", {"p": "${oc.create:{a:1}}"}, "config-runs-expression"),
    "MONAI": ("inference.json", {"imports": ["$import os"]}, "config-runs-expression"),
    "MONAI call": ("inference.json", {"run": ["$__import__('os').system('id')"]}, "config-runs-expression"),
    "MONAI module": ("inference.json", {"device": "$os.system('id')"}, "config-runs-expression"),
    "jsonpickle": ("model.json", {"py/object": "os.system"}, "config-serialised-object"),
    "jsonpickle reduce": (
        "model.json",
        {"a": [{"py/reduce": [{"py/function": "os.system"}, {"py/tuple": ["id"]}]}]},
        "config-serialised-object",
    ),
    "LangChain": (
        "chain.json",
        {"lc": 1, "type": "constructor", "id": ["os", "system"], "kwargs": {}},
        "config-serialised-object",
    ),
    "LangChain secret": (
        "chain.json",
        {"lc": 1, "type": "secret", "id": ["OPENAI_API_KEY"]},
        "config-reads-environment",
    ),
    "Keras Lambda": (
        "model.json",
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda", "config": {}}]}},
        "config-names-code",
    ),
    "TorchServe handler": ("MANIFEST.json", {"model": {"handler": "handler.py"}}, "config-names-code"),
    "ModelScope plugins": ("configuration.json", {"plugins": ["evil"]}, "config-installs-packages"),
    "ModelScope remote": ("configuration.json", {"allow_remote": True}, "config-trusts-code"),
    "npm hook": ("package.json", {"scripts": {"postinstall": "node x.js"}}, "config-installs-packages"),
    "dev container": (
        ".devcontainer/devcontainer.json",
        {"postCreateCommand": "id"},
        "config-installs-packages",
    ),
    "chat template": (
        "tokenizer_config.json",
        {"chat_template": "{{ ''.__class__.__mro__ }}"},
        "template-reaches-python",
    ),
    "chat template in a list": (
        "tokenizer_config.json",
        {
            "chat_template": [
                {"name": "a", "template": "{{ x }}"},
                {"name": "b", "template": "{% include 'x' %}"},
            ]
        },
        "template-loads-files",
    ),
    "chat template by name": (
        "tokenizer_config.json",
        {"chat_template": {"default": "{{ open('/etc/passwd') }}"}},
        "template-name-not-allowed",
    ),
    "another chat template": (
        "tokenizer_config.json",
        {"custom_chat_template": "{{ self.__init__.__globals__ }}"},
        "template-reaches-python",
    ),
    "template of a prompt": ("prompt.json", {"template": "{{ cycler.__init__ }}"}, "template-reaches-python"),
    "pickle in base64": (
        "data.json",
        {"policy": {":serialized:": base64.b64encode(pickle.dumps(_Payload())).decode()}},
        "",
    ),
}


@pytest.mark.parametrize(("name", "value", "rule"), HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_configuration_is_refused(name: str, value: Any, rule: str) -> None:
    found = refused(scan_files({name: json.dumps(value)}).matches)
    assert found if not rule else rule in found


@pytest.mark.parametrize(("name", "value", "rule"), HOSTILE.values(), ids=HOSTILE.keys())
def test_escapes_hide_nothing(name: str, value: Any, rule: str) -> None:
    text = "".join(
        f"\\u{ord(char):04x}" if char.isalpha() and char not in "truefalsn" else char
        for char in json.dumps(value)
    )
    found = refused(scan_files({name: text}).matches)
    assert found if not rule else rule in found


def test_second_value_of_a_key_is_judged_too() -> None:
    report = scan_files({"config.json": '{"auto_map": {"A": "b.C"}, "auto_map": {}, "x": 1, "x": 1}'})
    assert refused(report.matches) == {"config-two-truths", "config-names-code"}
    assert "config-key-repeated" in rules(report.matches)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        '{"a": 1',
        '{"a": ' + "9" * 5000 + "}",
    ],
    ids=["deep lists", "deep objects", "cut", "long number"],
)
def test_bomb_is_refused(text: str) -> None:
    assert refused(scan_files({"data.json": text}).matches)


def test_too_many_parts_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(RejectedError, match="parts"):
        parse_json("[" + "[]," * 3_500_000 + "[]]")


def test_numbers_that_json_does_not_have_are_told() -> None:
    report = scan_files({"config.json": '{"a": NaN, "b": Infinity}'})
    assert rules(report.matches) == {"config-not-a-number"}


def test_dimension_that_no_model_has_needs_a_reviewer() -> None:
    assert rules(scan_files({"config.json": '{"hidden_size": 99999999999999}'}).matches) == {
        "config-huge-dimension"
    }


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("MLmodel", "flavors:\n f:\n  loader_module: evil\n", "config-names-code"),
        ("MLmodel", "flavors:\n f:\n  code: code\n  loader_module: mlflow.sklearn\n", "config-names-code"),
        ("MLmodel", "flavors:\n f:\n  model_code_path: a.py\n", "config-names-code"),
        ("MLmodel", "flavors:\n f:\n  data: ../x\n  loader_module: mlflow.sklearn\n", "config-path-escapes"),
        ("config.cfg", '[training]\n@misc = "evil.read.v1.x"\n', "config-unknown-object"),
        ("config.cfg", '[training.logger]\n@loggers = "my_code.logger.v1"\n', "config-unknown-object"),
        ("logging.ini", "[handler_a]\nclass=H\nargs=(os.system('id'),)\n", "config-runs-expression"),
        ("model.toml", '[model]\n_target_ = "os.system"\n', "config-makes-object"),
        ("data.jsonl", '{"a": 1}\n{"_target_": "os.system"}\n', "config-makes-object"),
        ("config.pbtxt", 'name: "m"\nbackend: "python"\n', "config-names-code"),
        ("chat_template.jinja", "{{ ''.__class__ }}", "template-reaches-python"),
        ("page.tmpl", "{{ ''.__class__ }}", "template-reaches-python"),
        ("broken.toml", "a = [", "file-malformed"),
        ("deep.toml", "a = " + "[" * 5000 + "]" * 5000, "file-malformed"),
    ],
)  # fmt: skip
def test_other_notations(name: str, text: str, rule: str) -> None:
    assert rule in refused(scan_files({name: text}).matches)


def test_credential_in_a_configuration_is_found_behind_escapes() -> None:
    token = "hf_" + "".join(chr(98 + (7 * step) % 24) + "Q3"[step % 2] for step in range(17))
    for text in (json.dumps({"a": {"hub": token}}), json.dumps({"note": f"x\n{token}"}), json.dumps([token])):
        hidden = text.replace("hf_", "\\u0068f_")
        assert any(
            rule.startswith("secret-") for rule in rules(scan_files({"config.json": hidden}).matches)
        ), text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.yaml", "a: 1  # {}\n"),
        ("c.yaml", 'a: "\\x68f_{}"\n'),
        ("c.yaml", "a:\n  b: {}\n"),
        ("c.toml", "# {}\n[a]\n"),
        ("c.toml", 'a = "\\u0068f_{}"\n'),
        ("c.cfg", "; {}\n[a]\nb = 1\n"),
        ("c.ini", "[a]\nb: {}\n"),
        ("c.jsonl", '{{"a": 1}}\n{{"b": "{}"}}\n'),
        ("notes.md", "use {} to log in\n"),
    ],
)
def test_credential_in_other_notations_is_found(name: str, text: str) -> None:
    token = "hf_" + "".join(chr(98 + (7 * step) % 24) + "Q3"[step % 2] for step in range(17))
    written = text.format(token[3:] if "68f_" in text else token)
    assert any(rule.startswith("secret-") for rule in rules(scan_files({name: written}).matches))


def test_keras_architecture_is_judged_like_that_of_an_archive() -> None:
    layers = [{"module": "subprocess", "class_name": "Popen", "config": {}, "registered_name": None}]
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": layers}}
    assert refused(scan_files({"model.json": json.dumps(model)}).matches)
    dense = {"class_name": "Dense", "config": {"name": "d", "units": 4, "activation": "relu"}}
    model = {"class_name": "Sequential", "config": {"name": "m", "layers": [dense]}, "keras_version": "2.9.0"}
    assert scan_files({"model.json": json.dumps(model)}).matches == ()


def test_templates_without_end_are_refused() -> None:
    template = "x" * 60_000
    value = {"entries": [{"chat_template": template + str(number)} for number in range(5)]}
    assert "file-malformed" in refused(scan_files({"config.json": json.dumps(value)}).matches)


def test_functions_of_jsonata_and_prices_pass() -> None:
    value = {
        "a": "$lowercase(Name)",
        "b": "$1,000 (or more)",
        "c": "$HOME/models",
        "d": "$split(a.b, 'x')[0]",
    }
    assert scan_files({"config.json": json.dumps(value)}).matches == ()


def test_encoded_picture_is_no_finding() -> None:
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(64)).decode()
    report = scan_files(
        {
            "config.json": json.dumps(
                {"icon": f"data:image/png;base64,{picture}", "gAM": "gAMma rays of the sun"}
            )
        }
    )
    assert report.matches == ()
