"""The mutants that no test can notice, as `equivalent.txt` has them: a name a line, the reason in the indented lines below it."""

from pathlib import Path


def equivalents() -> dict[str, str]:
    """Name to reason. ValueError for a name without one."""
    found: dict[str, str] = {}
    name = ""
    for line in (Path(__file__).resolve().parent / "equivalent.txt").read_text().splitlines():
        if line.startswith("    "):
            found[name] += line.strip() + " "
        elif line and not line.startswith("#"):
            name = line
            found[name] = ""
    if silent := [name for name, reason in found.items() if not reason]:
        raise ValueError(f"equivalent.txt gives no reason for {silent}; a mutant that lives needs one")
    return found
