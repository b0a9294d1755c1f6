"""An environment that a test makes up."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class MemoryHost:
    """`InstalledPackages` as they are given."""

    installed: dict[str, str] = field(default_factory=dict)
    needs: dict[str, frozenset[str]] = field(default_factory=dict)
    known_opsets: dict[str, int] = field(default_factory=dict)

    def versions(self) -> Mapping[str, str]:
        return dict(self.installed)

    def closure(self, name: str) -> frozenset[str]:
        waiting, reached = [name], set()
        while waiting:
            package = waiting.pop()
            if package in self.installed and package not in reached:
                reached.add(package)
                waiting += sorted(self.needs.get(package, frozenset()))
        return frozenset(reached)

    def opsets(self) -> Mapping[str, int]:
        return dict(self.known_opsets)
