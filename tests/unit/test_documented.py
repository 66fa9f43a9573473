"""The examples of the documentation are compared with what they print."""

import os
from pathlib import Path

import pytest

from tests.documented import Step, differences, run, steps_of

PAGE = """
Say:

```bash
echo '{"id": 1}'
```
```json
{"id": 1}
```

Then:

```bash
exit 3
```
```python
not = run
```
"""


def test_a_page_is_its_examples_with_what_they_print() -> None:
    first, second = steps_of(PAGE)
    assert first == Step(line=4, command="echo '{\"id\": 1}'\n", kind="json", shown='{"id": 1}\n')
    assert (second.line, second.kind) == (13, "")


def test_steps_share_a_shell_and_one_that_fails_is_named(tmp_path: Path) -> None:
    steps = [Step(line=1, command="name=Ada"), Step(line=5, command="echo $name; pwd")]
    printed = ["", f"Ada\n{tmp_path}\n"]
    assert run(steps, folder=tmp_path, environment=os.environ) == (printed, "")
    steps += [Step(line=9, command="echo oh; false"), Step(line=11, command="true")]
    assert run(steps, folder=tmp_path, environment=os.environ) == (printed, "line 9 failed: oh\n\n")


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"state": "indexed", "count": 1}', '{"count": 1, "state": "indexed"}'),
        ('"5f0c8a52-8a46-4c8e-8a55-0c7f1f6f6d3b"', '"00000000-8a46-4c8e-8a55-0c7f1f6f6d3b"'),
        ('"2026-01-31T09:30:00Z"', '"2027-12-01T00:00:01.123456Z"'),
        ('{"similarity": 0.9}', '{"similarity": 1}'),
        ("[null, true]", "[null, true]"),
    ],
)
def test_what_differs_from_run_to_run_is_alike(shown: str, printed: str) -> None:
    assert differences(Step(line=1, command="", kind="json", shown=shown), printed) == []


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ('{"state": "indexed"}', '{"state": "failed"}'),
        ('{"state": "indexed"}', '{"state": "indexed", "code": ""}'),
        ('{"count": 1}', '{"count": 2}'),
        ('{"count": 1.5}', '{"count": true}'),
        ('{"count": 0.0}', '{"count": false}'),
        ('{"count": 1}', '{"count": true}'),
        ("[1]", "[]"),
        ("[]", "[1]"),
        ("null", '"x"'),
        ('"5f0c8a52-8a46-4c8e-8a55-0c7f1f6f6d3b"', '"not_found"'),
        ("{}", "Internal Server Error"),
    ],
)
def test_what_else_differs_is_noticed(shown: str, printed: str) -> None:
    assert differences(Step(line=1, command="", kind="json", shown=shown), printed)


def test_of_headers_the_status_and_the_names_count() -> None:
    step = Step(line=1, command="", kind="http", shown='HTTP/1.1 304 Not Modified\netag: "x"\n')
    assert differences(step, 'HTTP/1.1 304 Not Modified\r\nETag: "y"\r\nserver: z\r\n\r\n') == []
    assert differences(step, "HTTP/1.1 304 Not Modified\r\n\r\n") == ["no header etag"]
    assert differences(step, 'HTTP/1.1 200 OK\r\netag: "y"\r\n\r\n') == [
        "HTTP/1.1 200 OK instead of HTTP/1.1 304 Not Modified"
    ]
    assert differences(step, "")
