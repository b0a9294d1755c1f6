"""Programs and libraries, which have no place beside weights."""

from strongroom.scan.rule import Rule
from strongroom.scan.scan import Content, Scan
from strongroom.values import Severity

PROGRAM = Rule(
    "native-program",
    Severity.CRITICAL,
    "Program or library",
    "This is machine code or bytecode: it runs as soon as something starts it, loads it or imports it, and"
    " nothing can tell what it does.",
    "Leave it out. A model is weights and a graph; what it needs to run is installed from a package index.",
    atlas=("AML.T0011.000", "AML.T0018.002"),
)
RULES = (PROGRAM,)

_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "an ELF program or library (Linux)"),
    (b"MZ", "a PE program or library (Windows)"),
    (b"\xfe\xed\xfa", "a Mach-O program or library (macOS)"),
    (b"\xce\xfa\xed\xfe", "a Mach-O program or library (macOS)"),
    (b"\xcf\xfa\xed\xfe", "a Mach-O program or library (macOS)"),
    (b"\xca\xfe\xba", "a universal Mach-O program, or a Java class"),
    (b"\x00asm", "a WebAssembly program"),
    (b"dex\n", "an Android program"),
    (b"!<arch>\n", "a static library"),
    (b"BC\xc0\xde", "LLVM bitcode"),
)


def scan_program(scan: Scan, content: Content) -> None:
    head = content.read_at(0, 8)
    kind = next((kind for magic, kind in _KINDS if head.startswith(magic)), "Python bytecode")
    scan.add(PROGRAM, content.place, f"is {kind}")
