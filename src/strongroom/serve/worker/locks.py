"""The order in which a worker locks itself in; see docs/formats/wire-frames.md for when.

Stage 1 comes between importing the engine and receiving the model, stage 2 between loading and answering.
"""

import os
from collections.abc import Callable
from functools import partial

from strongroom.serve import landlock
from strongroom.serve.worker import namespaces, process, seccomp
from strongroom.serve.worker.layers import ON, Layers, apply

_SPARE_BYTES = 2 * 2**30
"""What activations and the engine's own structures may take beside four times the model."""
_MODEL_COPIES = 4


def before_loading(
    layers: Layers,
    control_fd: int,
    is_parent_alive: Callable[[], bool],
    stage: seccomp.Stage = seccomp.Stage.LOADING,
) -> int:
    """Lock stage 1; returns the address space in use, for `limit_memory`. Only one thread may exist."""
    os.umask(0o077)
    os.chdir("/")
    used = process.used_address_space()
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208 - a directory of the kernel, not a path
    if layers.get("mount_namespace") == ON:
        apply(layers, "mount_namespace", namespaces.empty_root)
    apply(layers, "memory_lock", process.lock_memory)
    apply(layers, "rlimits", process.set_limits)
    process.drop_bounding_set()
    apply(layers, "user", process.drop_user)
    apply(layers, "capabilities", process.drop_capabilities)
    apply(layers, "no_new_privs", process.forbid_privileges)
    apply(layers, "non_dumpable", process.forbid_inspection)
    apply(layers, "parent_death", partial(process.die_with_parent, is_parent_alive))
    _lock_files(layers, threads)
    apply(layers, "seccomp", partial(seccomp.lock, stage, control_fd))
    return used


def limit_memory(used_bytes: int, model_bytes: int, memory_bytes: int = 0) -> None:
    """Bound the worker's memory before loading: ``memory_bytes`` beyond what it has, or a guess by size."""
    process.limit_memory(used_bytes + (memory_bytes or _MODEL_COPIES * model_bytes + _SPARE_BYTES))


def before_serving(layers: Layers, control_fd: int) -> None:
    """Lock stage 2: no thread, no file, no new descriptor but from the supervisor. Raises OSError.

    A layer that the supervisor saw missing and accepted stays missing; one that was on must hold here too.
    """
    process.forbid_processes()
    if layers["seccomp"] == ON:
        seccomp.lock(seccomp.Stage.SERVING, control_fd)


def _lock_files(layers: Layers, threads: int) -> None:
    """Landlock binds one thread and its descendants, so a second thread would stay free."""
    names = ("landlock", "landlock_network", "landlock_scope")
    if threads != 1:
        for name in names:
            layers[name] = f"missing: {threads} threads existed before the locks"
        return
    version = 0

    def deny() -> None:
        nonlocal version
        version = landlock.deny_all()

    apply(layers, "landlock", deny)
    if layers["landlock"] != ON:
        for name in names[1:]:
            layers[name] = layers["landlock"]
        return
    apply(layers, "landlock_network", partial(landlock.missing_network, version))
    apply(layers, "landlock_scope", partial(landlock.missing_scope, version))
