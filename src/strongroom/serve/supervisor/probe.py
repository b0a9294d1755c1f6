"""What this machine can give a sandbox, found out by starting one."""

from strongroom.errors import OutageError, StrongroomError
from strongroom.flows.doctor import Check, Verdict
from strongroom.serve.supervisor.worker import start_locked
from strongroom.serve.worker.layers import ON, require_layers


def examine_host(required: list[str]) -> list[Check]:
    """Lock a worker in, read which layers hold, and end it."""
    try:
        child, layers = start_locked("sandbox probe", [])
    except StrongroomError as error:
        return [Check("sandbox", Verdict.FAIL, error.message, error.hint or "")]
    child.kill()
    checks = [
        Check(f"sandbox {name}", Verdict.OK if state == ON else Verdict.WARN, state)
        for name, state in layers.items()
    ]
    try:
        require_layers(layers, required)
    except OutageError as error:
        checks.append(Check("sandbox", Verdict.FAIL, error.message, error.hint or ""))
    else:
        checks.append(Check("sandbox", Verdict.OK, f"has what sandbox.require asks: {', '.join(required)}"))
    return checks
