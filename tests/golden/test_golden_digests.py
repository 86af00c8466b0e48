"""Evidence has the recorded bytes, on every kind of processor: a refactoring changes none.

Where a byte is meant to change: a decision record says why, then `python -m tests.golden` records the new digests.
"""

from golden.samples import digests, expected


def test_evidence_has_the_recorded_bytes() -> None:
    found, recorded = digests(), expected()
    changed = [
        f"{sample}: {name}"
        for sample in recorded
        for name in recorded[sample]
        if found.get(sample, {}).get(name) != recorded[sample][name]
    ]
    assert not changed, f"{len(changed)} files have other bytes than recorded: {', '.join(changed)}"
    assert {name: list(files) for name, files in found.items()} == {name: list(found[name]) for name in recorded}, (
        "samples or files were added: record them"
    )
