"""06.1: what stands in the package's folder, which way imports point, and how long files and functions are."""

from pathlib import PurePosixPath

from tests import test_architecture as house
from tests.validation import Result

ENTRIES, LINES, FUNCTION = 18, 400, 60


def measure() -> Result:
    """Read every file of the package."""
    entries = sorted({PurePosixPath(name).parts[0] for name in house.NAMES})
    up = [f"{name} imports {file}" for name in house.NAMES for file in sorted(house.pointing_up(name))]
    circles = [names for folder in house.FOLDERS if (names := house.circle(folder))]
    files = {name: house.length(name) for name in house.NAMES}
    functions = {f"{name}:{what}": size for name in house.NAMES for what, size in house.function_lengths(name).items()}
    file, function = max(files, key=files.__getitem__), max(functions, key=functions.__getitem__)
    return Result(
        f"{len(entries)} entries, {len(up)} imports point up, {len(circles)} circles, longest file {files[file]} lines "
        f"({file}), longest function {functions[function]} ({function})",
        len(entries) <= ENTRIES and not up and not circles and files[file] <= LINES and functions[function] <= FUNCTION,
        {"entries": entries, "up": up, "circles": circles, "files": len(files), "functions": len(functions)},
    )
