"""TorchScript archives: a program in a subset of Python, the pickles of its objects, their tensors."""

import re

from strongroom.errors import RejectedError, shorten
from strongroom.scan import torchscript_rules as rules
from strongroom.scan.exported_program import scan_exported_program
from strongroom.scan.scan import Content, Scan
from strongroom.scan.torch_archive import NOTES, Archive
from strongroom.scan.torch_legacy import Storages
from strongroom.scan.torch_operators import CLASSES, is_allowed
from strongroom.scan.torchscript_code import MAX_SOURCE_BYTES, Program
from strongroom.scan.torchscript_pickles import TorchScriptReader, find_strings

__all__ = ["RULES", "scan_exported_program", "scan_torchscript"]

RULES = rules.RULES

MAX_SOURCES_BYTES = 64 * 2**20
"""Of all files of a program together."""

_SOURCE = re.compile(r"code/(__torch__(?:/[\w$]+)*\.py)", re.ASCII)
_DEBUG = re.compile(r"code/__torch__(?:/[\w$]+)*\.py\.debug_pkl", re.ASCII)
_PICKLES = {
    "data.pkl": "data",
    "constants.pkl": "constants",
    "attributes.pkl": "",
    "bytecode.pkl": "",
    "traced_inputs.pkl": "traced_inputs",
    "mobile_debug_handles.pkl": "",
}
"""Each with the folder of its storages."""
_CLASS = "__torch__.torch.classes."


def scan_torchscript(scan: Scan, content: Content) -> None:
    """Judge an archive that torch.jit.save wrote, or the one for phones (``_save_for_lite_interpreter``)."""
    archive = Archive(scan, content, "constants.pkl")
    archive.refuse_strays(rules.MEMBER)
    program = _judge_program(scan, archive)
    seen: set[str] = {name for name in archive.files if _SOURCE.fullmatch(name)}
    for name, folder in _PICKLES.items():
        if name in archive.files:
            seen.add(name)
            seen |= _judge_pickle(scan, archive, program, name, folder)
    if "data.pkl" not in archive.files:
        raise RejectedError("a TorchScript archive without data.pkl")
    for name in archive.files.keys() - seen:
        _judge_other(scan, archive, program, name)


def _judge_program(scan: Scan, archive: Archive) -> Program:
    program = Program()
    total = 0
    for name in sorted(archive.files):
        source = _SOURCE.fullmatch(name)
        if source is None:
            continue
        content = archive.open(name, MAX_SOURCE_BYTES)
        total += content.size_bytes
        if total > MAX_SOURCES_BYTES:
            raise RejectedError(f"a program of more than {MAX_SOURCES_BYTES} bytes")
        text = content.read(MAX_SOURCE_BYTES).decode("utf-8", "replace")
        scan.text(text, content.place)
        try:
            program.add(source[1], text)
        except RejectedError as error:
            scan.add(rules.SYNTAX, content.place, error.message)
    for path in program.trees:
        place = archive.place(f"code/{path}")
        for fault in program.judge(path):
            rule = rules.CALL if fault.is_call else rules.SYNTAX
            scan.add(rule, place.named(f"line {fault.line}"), fault.message)
    return program


def _judge_pickle(scan: Scan, archive: Archive, program: Program, name: str, folder: str) -> set[str]:
    """Judge a pickle and its storages; return the members that are these."""
    storages = Storages(is_legacy=False)
    content = archive.open(name)
    reader = TorchScriptReader(scan, content, program, storages.persist if folder else None)
    value, is_read = reader.read_all()
    if name == "bytecode.pkl":
        _judge_bytecode(scan, content, value)
    if not folder:
        return set()
    return archive.judge_storages(folder, storages, rules.STORAGE, is_read=is_read)


def _judge_bytecode(scan: Scan, content: Content, value: object) -> None:
    """Phones run this in place of the program: operators and classes are named in it as text."""
    for text in find_strings(value):
        namespace, colons, name = text.partition("::")
        is_class = text.startswith(_CLASS) and text.removeprefix(_CLASS) not in CLASSES
        if is_class or (colons and not is_allowed(namespace, name)):
            scan.add(rules.CALL, content.place, f"names {shorten(text)}, which is not known to be harmless")


def _judge_other(scan: Scan, archive: Archive, program: Program, name: str) -> None:
    if name in NOTES:
        archive.judge_note(name, rules.MEMBER)
    elif _DEBUG.fullmatch(name):
        TorchScriptReader(scan, archive.open(name), program, None).read_all()
    elif name.startswith("extra/"):
        archive.descend(name, rules.MEMBER)
    else:
        archive.refuse(name, rules.MEMBER, f"{shorten(name)} is not part of TorchScript")
