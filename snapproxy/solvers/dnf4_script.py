"""Compute a closure with dnf 4: run by the system's Python, which has the module dnf, not by that of snapproxy.

`python3 dnf4_script.py REQUEST RESULT`: both are JSON files, described in `dnf_texts`. The steps are those of `dnf
install` (dnf/cli/commands/install.py): fill the sack, mark the names, resolve. Nothing is downloaded but metadata.
The syntax is that of Python 3.6, which RHEL 8 has.
"""

import json
import sys
from pathlib import Path
from typing import Any

NO_DNF = 9
"""The exit status if this Python has no module dnf."""

try:
    import dnf
    import hawkey
except ImportError:
    sys.exit(NO_DNF)


def main(request: Any) -> Any:
    """Return the result for a request."""
    solver = f"dnf {dnf.const.VERSION} (libdnf {hawkey.VERSION})"
    result = {"solver": solver, "failure": "", "is_solved": True, "unknown": [], "addresses": [], "packages": []}
    base = dnf.Base()
    try:
        _configure(base.conf, request)
        for number, address in enumerate(request["addresses"]):
            options = {"baseurl": [address], "skip_if_unavailable": False}
            base.repos.add_new_repo(f"r{number}", base.conf, **options)
        base.fill_sack(load_system_repo="auto")
    except dnf.exceptions.Error as error:
        return dict(result, failure=str(error))
    try:
        base.install_specs(request["packages"])
        base.resolve()
    except dnf.exceptions.MarkingErrors as error:
        unknown = [*error.no_match_pkg_specs, *error.no_match_group_specs]
        return dict(result, unknown=unknown, failure=str(error), is_solved=False)
    except dnf.exceptions.Error as error:
        return dict(result, failure=str(error), is_solved=False)
    addresses = [base.repos[f"r{number}"].baseurl[0] for number in range(len(request["addresses"]))]
    return dict(result, addresses=addresses, packages=[_package(each) for each in base.transaction.install_set])


def _configure(conf: Any, request: Any) -> None:
    """Set every folder and choice; no configuration of the machine is read."""
    folder = request["folder"]
    conf.installroot = folder + "/root"
    conf.cachedir, conf.persistdir, conf.logdir = folder + "/cache", folder + "/persist", folder + "/log"
    conf.reposdir, conf.varsdir, conf.pluginpath, conf.pluginconfpath = [], [], [], []
    conf.plugins = False
    conf.arch = request["architecture"]
    conf.ignorearch = True
    conf.releasever = request["releasever"] or None
    conf.best = True
    conf.timeout, conf.minrate = 300, 1
    if request["recommends"] is not None:
        conf.install_weak_deps = request["recommends"]


def _package(package: Any) -> Any:
    algorithm, digest = package.returnIdSum()
    return {
        "repository": int(package.reponame[1:]),
        "name": package.name,
        "version": package.evr,
        "architecture": package.arch,
        "location": package.location,
        "base": package.baseurl or "",
        "size": package.downloadsize,
        "digest": f"{algorithm}:{digest}",
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(json.dumps(main(json.loads(Path(sys.argv[1]).read_text()))))
