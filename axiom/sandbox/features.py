"""What `axiom doctor` says about the sandbox: which layers hold on this machine, and what to do about the others."""

from axiom.errors import SandboxError
from axiom.sandbox.host import Template
from axiom.sandbox.selftest import missing, self_test

_REMEDIES = {
    "namespaces": "additional: run as root, or allow user namespaces (sysctl user.max_user_namespaces)",
    "empty_root": "additional: run as root, or allow user namespaces; it can stand in for Landlock",
    "rlimits": "raise the hard limits of the account (ulimit -Ha)",
    "identity": "map the ids 61184 or 65534 into the container's user namespace, or run as an ordinary user",
    "no_new_privs": "needs Linux 3.5 or later",
    "landlock": "needs Linux 5.13 with `landlock` in the kernel's lsm= list, and a container that allows its calls",
    "seccomp": "needs a kernel with CONFIG_SECCOMP_FILTER, on x86-64 or aarch64",
}


def features() -> list[tuple[str, bool, str, str]]:
    """(layer, holds, detail, what to do) for each isolation layer, and last whether a template passes its self-test."""
    try:
        template = Template()
    except SandboxError as error:
        return [("template", False, str(error), "run with the Python that axiom is installed in")]
    try:
        rows = [(name, holds, detail, _REMEDIES[name]) for name, (holds, detail) in template.layers.items()]
        return [*rows, _verdict(template)]
    finally:
        template.close()


def _verdict(template: Template) -> tuple[str, bool, str, str]:
    tier = "+".join(name for name, (holds, _) in template.layers.items() if holds)
    lacking = tuple(name for name, _ in missing(template.layers, ()))
    try:
        self_test(template, lacking)
    except SandboxError as error:
        return ("self-test", False, str(error), "do not trust verdicts of this machine")
    remedy = f"or accept it: set sandbox.without to {list(lacking)}"
    return ("self-test", not lacking, f"tier {tier}", remedy if lacking else "")
