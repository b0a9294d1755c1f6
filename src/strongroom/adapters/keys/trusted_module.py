"""A library of a vendor that is about to run in this process: only one that root alone could have put there.

Who may write into a home, or into its settings, must not come to run code with the keys of the home.
"""

import stat
from pathlib import Path

from strongroom.errors import InvalidError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def require_trusted_module(path: Path, setting: str) -> Path:
    """Return the file behind ``path``, links followed. ``setting`` names it in errors.

    Raises:
        InvalidError: it is no absolute path of a plain file, or somebody else than root may replace it.
    """
    if not path.is_absolute():
        raise InvalidError(f"{setting}: {path} is not an absolute path")
    try:
        found = path.resolve(strict=True)
        if not stat.S_ISREG(found.stat().st_mode):
            raise InvalidError(f"{setting}: {path} is not a plain file")
        for place in (found, *found.parents):
            status = place.stat()
            if status.st_uid != 0 or status.st_mode & _OTHERS_WRITE:
                raise InvalidError(
                    f"{setting}: others than root may write to {place}",
                    hint="install the library where only root may write, for instance in /usr/lib",
                )
    except FileNotFoundError:
        raise InvalidError(f"{setting}: there is no file {path}", hint="see docs/keys.md") from None
    except (OSError, RuntimeError) as error:
        raise InvalidError(f"{setting}: {path} cannot be looked at ({error})") from None
    return found
