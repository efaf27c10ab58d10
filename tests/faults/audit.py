"""Check the installed packages for known vulnerabilities: `make audit`.

Ends with exit code 1 if there are any. Where the service that knows them cannot be reached, it says
so and how many packages were looked up: a check that saw nothing has found nothing.
"""

import json
import os
import subprocess
import sys
import sysconfig
import tempfile


def main() -> None:
    """Print what was found, and how much was looked up."""
    with tempfile.TemporaryDirectory() as folder:  # not beside the packages it looks at
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", folder]
        subprocess.run([*install, "pip-audit"], capture_output=True)
        found = subprocess.run(
            [sys.executable, "-m", "pip_audit", "--path", sysconfig.get_path("purelib")]
            + ["--format", "json", "--progress-spinner", "off"],
            env=os.environ | {"PYTHONPATH": folder},
            capture_output=True,
            text=True,
        ).stdout
    try:
        packages = json.loads(found)["dependencies"]
    except (ValueError, KeyError):
        print("audit: not done, as pip-audit or the service that it asks cannot be reached")
        return
    known = [one for one in packages if "vulns" in one]
    vulnerable = [one for one in known if one["vulns"]]
    for one in vulnerable:
        print(f"audit: {one['name']} {one['version']}:", *(v["id"] for v in one["vulns"]))
    print(
        f"audit: {len(known)} of {len(packages)} packages looked up, {len(vulnerable)} with known "
        "vulnerabilities" + ("" if known else ": not done, as the service knows none of them here")
    )
    sys.exit(bool(vulnerable))


if __name__ == "__main__":
    main()
