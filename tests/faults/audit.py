"""Check the installed packages for known vulnerabilities: `make audit`.

Ends with exit code 1 if there are any. Where the service that knows them cannot be reached, it says
so and how many packages were looked up: a check that saw nothing has found nothing.
"""

import json
import subprocess
import sys
import sysconfig
import tempfile


def report() -> list[dict] | None:
    """Return what pip-audit says of each package; None if it cannot be installed or ask."""
    with tempfile.TemporaryDirectory() as folder:  # not beside the packages it looks at
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
        if subprocess.run([*install, "pip-audit"], capture_output=True).returncode:
            return None
        found = subprocess.run(
            [sys.executable, "-c", _RUN, folder, sysconfig.get_paths()["purelib"]],
            capture_output=True,
            text=True,
        )
        try:
            return json.loads(found.stdout)["dependencies"]
        except (ValueError, KeyError):
            return None


_RUN = """
import sys
folder, packages = sys.argv[1:]
sys.path.insert(0, folder)
sys.argv[1:] = ["--path", packages, "--format", "json", "--progress-spinner", "off"]
from pip_audit._cli import audit
audit()
"""


def main() -> None:
    """Print what was found, and how much was looked up."""
    packages = report()
    if packages is None:
        print("audit: not done, as pip-audit or the service that it asks cannot be reached")
        return
    known = [one for one in packages if "vulns" in one]
    vulnerable = [one for one in known if one["vulns"]]
    for one in vulnerable:
        ids = ", ".join(v["id"] for v in one["vulns"])
        print(f"audit: {one['name']} {one['version']}: {ids}")
    print(
        f"audit: {len(known)} of {len(packages)} packages looked up, {len(vulnerable)} with known "
        "vulnerabilities" + ("" if known else ": not done, as the service knows none of them here")
    )
    sys.exit(bool(vulnerable))


if __name__ == "__main__":
    main()
