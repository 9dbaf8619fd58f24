"""What SECURITY.md says is defended is shown by a test."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SECURITY = (ROOT / "SECURITY.md").read_text(encoding="utf-8")


def test_every_defence_is_shown_by_tests_that_exist():
    table = SECURITY[SECURITY.index("| against |") :].split("\n\n")[0].splitlines()[2:]
    assert len(table) >= 18
    for row in table:
        tests = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", row)
        assert tests, f"no test shows: {row}"
        for path, name in tests:
            functions = {node.name for node in ast.walk(ast.parse((ROOT / path).read_text())) if hasattr(node, "name")}
            assert name in functions, f"{path} has no {name}"
