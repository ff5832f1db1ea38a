"""Print the lowest versions that pyproject.toml allows, as constraints for pip.

torch is that of constraints.txt: older ones bring gigabytes of CUDA packages.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FLOOR = re.compile(r"([\w.-]+)>=([\w.]+)")


def main() -> None:
    """Print a line such as "numpy==1.26" for each package."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    found = map(FLOOR.match, sum(extras, project["dependencies"]))
    floors = {match[1]: match[2] for match in found if match}
    pins = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    floors |= dict(pin.split("==") for pin in pins if pin.startswith("torch=="))
    for name, version in floors.items():
        print(f"{name}=={version}")


if __name__ == "__main__":
    main()
