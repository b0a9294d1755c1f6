"""What hostile code inside a worker can do: nothing; and without the locks: nearly everything."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyseccomp
import pytest

from strongroom.errors import OutageError
from strongroom.serve import landlock
from strongroom.serve.worker import layers, seccomp
from strongroom.serve.worker.layers import ON, require_layers
from tests.serve.hostile import payloads
from tests.serve.hostile.scene import NOBODY, Mode, build_scene

AS_ROOT = os.geteuid() == 0
USER = ("--uid", str(NOBODY)) if AS_ROOT else ()
UNLOCKED = Mode("no locks", ("--unlocked",))
RESTRICTED = Mode("user, namespaces refused", (*USER, "--no-namespaces"))
"""As in a restricted pod: the layers that are left must do alone."""
MODES = [RESTRICTED, Mode("user", USER)]
if AS_ROOT:
    MODES += [Mode("root", ()), Mode("root, namespaces refused", ("--no-namespaces",))]

NEED_ROOT = {"chroot", "mount", "become_another_user", "become_root", "set_clock", "set_hostname", "bpf"}
NEED_LUCK = {"inject_terminal_input", "io_uring", "performance_events", "user_faults", "keyring"}
"""Not every host lets these succeed even without locks."""
HARMLESS_WHILE_LOADING = {
    "thread_bomb",  # an engine starts its threads then; they inherit every lock
    "stat_file",  # Landlock leaves stat alone, and engines stat what they open
}
CAUSED_HARM = {"kill_bystander", "change_limits_of_others", "renice_others", "remove_file", "mount"}


@pytest.mark.parametrize("attack", payloads.ESCAPES)
def test_an_attack_is_stopped_without_namespaces(attack: str) -> None:
    with build_scene(RESTRICTED) as scene:
        assert scene.attack(attack).startswith("stopped")
        assert scene.harm() == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[1:], ids=lambda mode: mode.name)
@pytest.mark.parametrize("attack", payloads.ESCAPES)
def test_an_attack_is_stopped_in_every_mode(attack: str, mode: Mode) -> None:
    with build_scene(mode) as scene:
        assert scene.attack(attack).startswith("stopped")
        assert scene.harm() == []


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES[::2], ids=lambda mode: mode.name)
@pytest.mark.parametrize("attack", sorted(payloads.ESCAPES.keys() - HARMLESS_WHILE_LOADING))
def test_an_attack_is_stopped_while_the_model_is_loaded(attack: str, mode: Mode) -> None:
    with build_scene(mode) as scene:
        assert scene.attack(attack, "load").startswith("stopped")
        assert scene.harm() == []


@pytest.mark.parametrize("attack", payloads.ESCAPES)
def test_the_same_attack_succeeds_without_locks(attack: str) -> None:
    """The control: what fails here proves nothing in the tests above."""
    with build_scene(UNLOCKED) as scene:
        outcome = scene.attack(attack)
        if outcome.startswith("stopped") and (attack in NEED_LUCK or (attack in NEED_ROOT and not AS_ROOT)):
            return  # this host refuses it anyway, locks or no locks
        assert outcome.startswith("got")
        assert bool(scene.harm()) == (attack in CAUSED_HARM)


@pytest.mark.parametrize("attack", payloads.ENDLESS)
def test_what_never_ends_is_ended_by_the_clock_outside(attack: str) -> None:
    with build_scene(RESTRICTED) as scene:
        assert scene.attack(attack, timeout_s=0.5).startswith("stopped: by the watchdog, exit -9")
        assert scene.harm() == []


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
@pytest.mark.parametrize("attack", payloads.CRASHES)
def test_a_crash_is_the_worker_s_alone_and_its_signal_is_told(attack: str, mode: Mode) -> None:
    with build_scene(mode) as scene:
        # The first process of a pid namespace ignores SIGABRT; libc then ends it with SIGSEGV.
        assert scene.attack(attack).endswith(("exit -6", "exit -11"))
        assert scene.harm() == []


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_the_report_names_what_is_on_and_why_the_rest_is_not(mode: Mode) -> None:
    with build_scene(mode) as scene:
        scene.attack("stat_file")
    report = scene.layers
    assert all(state == ON or state.startswith("missing: ") for state in report.values())
    for name in ("no_new_privs", "seccomp", "rlimits", "capabilities", "non_dumpable", "environment"):
        assert report[name] == ON, name
    assert (report["user"] == ON) == (mode.uid is None and AS_ROOT)
    if "--no-namespaces" in mode.options:
        assert report["pid_namespace"].startswith("missing")
        require_layers(report, ["landlock", "isolation"])
        with pytest.raises(OutageError, match="namespaces is required and pid_namespace is"):
            require_layers(report, ["namespaces"])
    elif AS_ROOT:
        require_layers(report, [*layers.DEFAULT_REQUIRED, "namespaces"])


def test_a_missing_required_layer_names_the_layer_and_the_reason() -> None:
    report = {"no_new_privs": ON, "rlimits": ON, "seccomp": "missing: no libseccomp", "landlock": ON}
    with pytest.raises(OutageError, match="seccomp is required and seccomp is 'missing: no libseccomp'"):
        require_layers(report)


def test_a_layer_that_is_not_reported_is_missing() -> None:
    with pytest.raises(OutageError, match="not reported"):
        require_layers({})


def test_isolation_is_landlock_or_all_namespaces() -> None:
    spaces = dict.fromkeys(("pid_namespace", "network_namespace", "mount_namespace", "ipc_namespace"), ON)
    require_layers(spaces, ["isolation", "namespaces"])
    require_layers({"landlock": ON}, ["isolation"])
    with pytest.raises(OutageError):
        require_layers(spaces | {"mount_namespace": "missing: EPERM"}, ["isolation"])


def test_an_unknown_required_layer_is_missing_and_not_ignored() -> None:
    with pytest.raises(OutageError):
        require_layers({"seccomp": ON}, ["secomp"])


def test_a_layer_that_raises_is_reported_and_costs_nothing_else() -> None:
    report: layers.Layers = {}

    def refuse() -> None:
        raise PermissionError(1, "Operation not permitted")

    layers.apply(report, "first", refuse)
    layers.apply(report, "second", lambda: None)
    assert report == {"first": "missing: Operation not permitted", "second": ON}


@pytest.mark.parametrize("arch", [pyseccomp.Arch.X86_64, pyseccomp.Arch.AARCH64], ids=["x86-64", "arm64"])
@pytest.mark.parametrize("stage", seccomp.Stage)
def test_the_filters_compile_for_both_architectures(stage: seccomp.Stage, arch: int) -> None:
    foreign = None if arch == pyseccomp.system_arch() else arch
    with tempfile.TemporaryFile() as program:
        seccomp.build(stage, 3, foreign).export_bpf(program)
        assert program.tell() > 0


def test_landlock_with_a_second_thread_is_not_claimed() -> None:
    """Landlock binds one thread: a report of "on" beside a free thread would be a lie."""
    code = (
        "import threading, time, os\n"
        "threading.Thread(target=time.sleep, args=(5,), daemon=True).start()\n"
        "from strongroom.serve.worker import locks\n"
        "report = {}\n"
        "locks._lock_files(report, len(os.listdir('/proc/self/task')))\n"
        "print(report['landlock'], flush=True); os._exit(0)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "missing: 2 threads existed before the locks"


def test_the_worker_dies_with_its_supervisor() -> None:
    """The supervisor is killed and cannot hang up; every process of the worker is gone soon after."""
    script = (
        "import sys, time\n"
        f"sys.path.insert(0, {str(Path(__file__).resolve().parents[2])!r})\n"
        "from tests.serve.harness import Worker\n"
        "import os, socket\n"
        "worker = Worker()\n"
        "assert worker.receive()['kind'] == 'locked'\n"
        # Someone else holds the control channel open, so that only the parent-death signal is left.
        "if os.fork() == 0:\n"
        "    os.setsid(); os.dup2(os.open('/dev/null', os.O_RDWR), 1); time.sleep(20); os._exit(0)\n"
        "pid = worker.process.pid\n"
        "print(pid, open(f'/proc/{pid}/task/{pid}/children').read(), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    processes = [int(word) for word in result.stdout.split()]
    assert processes
    for _ in range(200):
        if not any(map(_is_alive, processes)):
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its supervisor")


def _is_alive(process: int) -> bool:
    """Zombies of a lost parent are not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_landlock_reports_its_abi_here() -> None:
    try:
        assert landlock.abi() >= 1
    except OSError as error:
        pytest.skip(f"this kernel has no Landlock: {error}")


def test_without_libseccomp_the_layer_is_missing_and_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seccomp, "pyseccomp", None)
    report: layers.Layers = {}
    layers.apply(report, "seccomp", lambda: seccomp.lock(seccomp.Stage.LOADING, 3))
    assert report["seccomp"] == "missing: libseccomp or the package pyseccomp is not installed"
    with pytest.raises(OutageError, match="seccomp"):
        require_layers(report | {"no_new_privs": ON, "rlimits": ON, "landlock": ON})
