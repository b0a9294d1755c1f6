"""How much memory may still be taken: asked before a model is unsealed; the kernel would kill, not refuse."""

from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


def find_available_bytes() -> int | None:
    """Return the least that the machine and our control groups (v2) leave; None if nothing says so."""
    rooms = [room for room in (_machine_room(), *_group_rooms()) if room is not None]
    return min(rooms, default=None)


def _machine_room() -> int | None:
    kibibytes = _read_table(_MEMINFO).get("MemAvailable:")
    return None if kibibytes is None else kibibytes * 1024


def _group_rooms() -> list[int | None]:
    """One for our group and each above it: any of them may be the one that ends us."""
    unified = [line[3:] for line in _read_lines(_MEMBERSHIP) if line.startswith("0::/")]
    if not unified:
        return []
    folder = _CGROUPS / unified[0].lstrip("/")
    return [_group_room(group) for group in (folder, *folder.parents) if group.is_relative_to(_CGROUPS)]


def _group_room(folder: Path) -> int | None:
    limit, used = _read_lines(folder / "memory.max"), _read_lines(folder / "memory.current")
    if not limit or not used or not limit[0].isdigit():
        return None
    # File cache counts as used but is given up before anything is killed.
    cache = _read_table(folder / "memory.stat")
    reclaimable = cache.get("inactive_file", 0) + cache.get("active_file", 0)
    return max(0, int(limit[0]) - int(used[0]) + reclaimable)


def _read_table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in _read_lines(path))
    return {row[0]: int(row[1]) for row in rows if len(row) >= 2 and row[1].isdigit()}


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return []
