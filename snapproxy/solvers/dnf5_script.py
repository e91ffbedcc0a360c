"""Compute a closure with dnf 5: run by the system's Python, which has the module libdnf5, not by that of snapproxy.

`python3 dnf5_script.py REQUEST RESULT`: both are JSON files, described in `dnf_texts`. The steps are those of `dnf5
install`: load the repositories, add the names to a goal, resolve it. Nothing is downloaded but metadata.
"""

import json
import sys
from pathlib import Path
from typing import Any

NO_DNF = 9
"""The exit status if this Python has no module libdnf5."""

try:
    import libdnf5
except ImportError:
    sys.exit(NO_DNF)


def main(request: Any) -> Any:
    """Return the result for a request."""
    result = {"solver": "", "failure": "", "is_solved": True, "unknown": [], "addresses": [], "packages": []}
    base = libdnf5.base.Base()
    _configure(base.get_config(), request)
    variables = base.get_vars()
    variables.set("arch", request["architecture"])
    if request["releasever"]:
        variables.set("releasever", request["releasever"])
    base.setup()
    try:
        _load(base.get_repo_sack(), request["addresses"])
        goal = libdnf5.base.Goal(base)
        for name in request["packages"]:
            goal.add_install(name)
        transaction = goal.resolve()
    except RuntimeError as error:  # the bindings raise every error of libdnf5 as this class
        return dict(result, failure=str(error))
    if transaction.get_problems():
        logs = list(transaction.get_resolve_logs())
        unknown = [each.get_spec() for each in logs if each.get_problem() == libdnf5.base.GoalProblem_NOT_FOUND]
        is_unknown = len(unknown) == len(logs)
        text = "\n".join(transaction.get_resolve_logs_as_strings())
        return dict(result, unknown=unknown if is_unknown else [], failure=text, is_solved=False)
    addresses = [variables.substitute(address) for address in request["addresses"]]
    packages = [_package(each.get_package()) for each in transaction.get_transaction_packages()]
    return dict(result, addresses=addresses, packages=packages)


def _configure(config: Any, request: Any) -> None:
    """Set every folder and choice; no configuration of the machine is read."""
    folder = request["folder"]
    config.installroot = folder + "/root"
    config.cachedir = config.system_cachedir = folder + "/cache"
    config.persistdir, config.logdir, config.system_state_dir = folder + "/persist", folder + "/log", folder + "/state"
    config.reposdir = config.varsdir = (folder + "/none",)
    config.plugins = False
    config.ignorearch = True
    config.best = True
    config.timeout, config.minrate = 300, 1
    if request["recommends"] is not None:
        config.install_weak_deps = request["recommends"]


def _load(sack: Any, addresses: Any) -> None:
    for number, address in enumerate(addresses):
        config = sack.create_repo(f"r{number}").get_config()
        config.baseurl = (address,)
        config.skip_if_unavailable = False
    sack.load_repos(libdnf5.repo.Repo.Type_AVAILABLE)


def _package(package: Any) -> Any:
    checksum = package.get_checksum()
    return {
        "repository": int(package.get_repo_id()[1:]),
        "name": package.get_name(),
        "version": package.get_evr(),
        "architecture": package.get_arch(),
        "location": package.get_location(),
        "base": package.get_baseurl() or "",
        "size": package.get_download_size(),
        "digest": f"{checksum.get_type_str()}:{checksum.get_checksum()}",
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
