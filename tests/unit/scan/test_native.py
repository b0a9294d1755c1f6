import marshal
import struct
from importlib.util import MAGIC_NUMBER

import pytest

from strongroom.scan.upload import Verdict
from tests.unit.artifact.objects import some_bytes
from tests.unit.scan.looking import rules, scan_files

PE = b"MZ".ljust(0x3C, b"\0") + b"\x80\0\0\0".ljust(0x44, b"\0") + b"PE\0\0" + bytes(50)
PYC = MAGIC_NUMBER + struct.pack("<3L", 0, 1_700_000_000, 10) + marshal.dumps(compile("1", "a", "eval"))


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("lib.so", b"\x7fELF\x02\x01\x01" + bytes(100), "ELF"),
        ("a.dll", PE, "PE"),
        ("a.dylib", b"\xcf\xfa\xed\xfe" + bytes(100), "Mach-O"),
        ("a.dylib", b"\xca\xfe\xba\xbe\0\0\0\x02" + bytes(100), "universal"),
        ("a.wasm", b"\0asm\x01\0\0\0", "WebAssembly"),
        ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x41" + bytes(100), "Java"),
        ("classes.dex", b"dex\n035\0" + bytes(100), "Android"),
        ("a.pyc", PYC, "Python bytecode"),
        ("weights.bin", PYC, "Python bytecode"),
        ("weights.safetensors", b"\x7fELF\x02\x01\x01" + bytes(100), "ELF"),
    ],
)
def test_programs_are_refused_under_any_name(name: str, content: bytes, kind: str) -> None:
    report = scan_files({name: content})
    assert "native-program" in rules(report.matches)
    assert any(kind in match.message for match in report.matches)
    assert report.verdict is Verdict.REFUSED


def test_bytes_that_begin_with_two_letters_are_no_program() -> None:
    assert "native-program" not in rules(scan_files({"w.bin": b"MZ" + some_bytes(5000)}).matches)
    assert "native-program" not in rules(scan_files({"w.txt": b"a\n\r\nabcdcef"}).matches)
