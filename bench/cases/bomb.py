"""What judging one file costs a process that has the parser loaded. ``bomb.py BENIGN FILE``; prints JSON.

``BENIGN`` is judged first: a file of the same kind, so that nothing is imported while the other is measured.
"""

import json
import os
import resource
import sys
from pathlib import Path

from strongroom.scan.scan import Source
from strongroom.scan.scanners import load_all
from strongroom.scan.upload import Report, scan_upload


def main() -> None:
    load_all()
    _scan(Path(sys.argv[1]))
    Path("/proc/self/clear_refs").write_text("5\n")  # proc(5): resets VmHWM
    base, began = _peak_bytes(), _processor_s()
    report = _scan(Path(sys.argv[2]))
    found = {
        "processor_s": _processor_s() - began,
        "memory_bytes": _peak_bytes() - base,
        "verdict": report.verdict,
        "rules": sorted({match.rule.id for match in report.matches}),
    }
    print(json.dumps(found))


def _scan(path: Path) -> Report:
    file = os.open(path, os.O_RDONLY)
    entries: dict[str, Source] = {
        path.name: (lambda offset, size: os.pread(file, size, offset), path.stat().st_size)
    }
    report = scan_upload(entries)
    os.close(file)
    return report


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise SystemExit("/proc/self/status: no VmHWM")


def _processor_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
