"""YAML: tags, aliases and references, seen and never constructed."""

import pytest

from strongroom.errors import RejectedError
from strongroom.scan.yaml_files import parse_yaml
from tests.unit.scan.looking import refused, rules, scan_files

TAGS = {
    "apply": "a: !!python/object/apply:os.system ['id']",
    "apply as a list": "- !!python/object/apply:subprocess.Popen [[id]]",
    "new": "a: !!python/object/new:os.system ['id']",
    "new with state": "!!python/object/new:type\nargs: ['z', !!python/tuple [], {extend: !!python/name:exec "
    "}]\n"
    "listitems: 'x'",
    "object": "a: !!python/object:argparse.Namespace {lr: 1}",
    "name": "a: !!python/name:os.system",
    "module": "a: !!python/module:os ''",
    "verbatim": "a: !<tag:yaml.org,2002:python/object/apply:os.system> ['id']",
    "by a handle": "%TAG !x! tag:yaml.org,2002:python/\n---\na: !x!object/apply:os.system ['id']",
    "by another default": "%TAG ! tag:yaml.org,2002:python/object/apply:\n---\n!os.system ['id']",
    "in escapes": "a: !!python%2Fobject%2Fapply:os.system ['id']",
    "as a key": "? !!python/name:os.system x\n: 1",
    "in flow": "{a: [1, {b: !!python/object/apply:os.system ['id']}]}",
    "in the second document": "a: 1\n---\nb: !!python/object/apply:os.system ['id']",
    "at an anchor": "a: &x !!python/object/apply:os.system ['id']\nb: *x",
    "ruamel's spelling": "a: !!python/object/apply:builtins.eval ['1']",
    "Ruby": "a: !ruby/object:Gem::Requirement {}",
    "Java": "!!javax.script.ScriptEngineManager [!!java.net.URLClassLoader [[!!java.net.URL ['http://x']]]]",
    "include": "a: !include /etc/passwd",
    "environment": "a: !ENV ${HOME}",
    "SpeechBrain's call": "a: !apply:os.system ['id']",
    "SpeechBrain's new": "a: !new:subprocess.Popen ['id']",
    "SpeechBrain's name": "a: !name:os.system",
}


@pytest.mark.parametrize("text", TAGS.values(), ids=TAGS.keys())
def test_tag_is_refused(text: str) -> None:
    assert refused(scan_files({"config.yaml": text}).matches) & {"yaml-tag-makes-object", "yaml-tag-unknown"}


@pytest.mark.parametrize(
    "text",
    [
        "a: !!str 1\nb: !!float 2\nc: !!binary aGk=\nd: !!set {x, y}\ne: !!omap [a: 1]",
        "a: !!python/tuple [1, 2]\nb: !!python/unicode x",
        "a: ! plain",
        "a: !ref <b>\nb: !new:torch.nn.Linear {}",
        "x: &a [1, 2]\ny: *a\nz: [*a, *a]",
        "text: 'say !!python/object/apply:os.system in words'",
    ],
)
def test_near_misses_pass(text: str) -> None:
    assert rules(scan_files({"config.yaml": text}).matches) == set()


@pytest.mark.parametrize("text", ["a: 1\na: 2", "{x: 1, x: 2}"])
def test_key_with_two_values_is_refused(text: str) -> None:
    assert refused(scan_files({"config.yaml": text}).matches) == {"config-two-truths"}


def test_function_behind_an_alias_is_found() -> None:
    text = "base: &b\n  _target_: os.system\nmodel:\n  <<: *b\n"
    assert "config-makes-object" in refused(scan_files({"c.yml": text}).matches)


def _laughs() -> str:
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text",
    [
        _laughs(),
        "a: &a [*a]",
        "a: *missing",
        "[" * 5000,
        "[" * 5000 + "]" * 5000,
        "? [a]\n: 1",
        "{{ x }}",
        "a: 'unclosed",
        "a: 1\n b: 2\n\t- c",
        "\n".join(f"k{n}: {{a: [{n}]}}" for n in range(400_000)),
    ],
    ids=["laughs", "itself", "missing", "open", "deep", "key", "braces", "quote", "tab", "many"],
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        parse_yaml(text)


def test_values_are_as_loaders_see_them() -> None:
    found = parse_yaml("a: yes\nb: 'yes'\nc: 12\nd: ~\ne: x y\nf:\n")
    assert found.value == {"a": True, "b": "yes", "c": 12, "d": None, "e": "x y", "f": None}
