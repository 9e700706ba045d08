"""Mistakes of the kind that programs like this one make, planted one by one into a copy of the program: the histories
must notice each. `python -m tests.simulation.mistakes` plants them all; it says which history noticed which.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Mistake:
    """In `file`, the one place that reads `right` reads `wrong`."""

    name: str
    file: str
    right: str
    wrong: str


MISTAKES = (
    Mistake(
        "a watermark moves although its page was not staged",
        "engine/collecting.py",
        "        await _stage_page(work, page)\n        work.tally.count(f",
        "        try:\n            await _stage_page(work, page)\n        except Exception:\n            page = page\n"
        "        work.tally.count(f",
    ),
    Mistake(
        "an older change takes the place of a newer one",
        "engine/plan.py",
        "merged = merge(merged, row.pending) if earlier else merge(row.pending, merged)",
        "merged = merge(row.pending, merged) if earlier else merge(merged, row.pending)",
    ),
    Mistake(
        "no intent is stored before a create",
        "engine/acting.py",
        "return replace(with_keys(link, decision), sys_id=sys_id, generation=generation, intended=True)",
        "return replace(link, generation=generation)",
    ),
    Mistake(
        "each try to create takes another sys_id",
        "engine/keys.py",
        'return digest("sys_id", tenant, kind, source_id, str(generation))[:32]',
        'import uuid\n    return digest("sys_id", tenant, kind, source_id, str(uuid.uuid4()))[:32]',
    ),
    Mistake(
        "what failed is not tried again",
        "engine/again.py",
        "elif item.retry is not None and item.retry.at is not None:",
        "elif item.retry is not None and item.retry.at is None:",
    ),
    Mistake(
        "links are ignored, everybody is matched by name",
        "engine/observe.py",
        "for d in drafts if d.known.link.sys_id and not d.settled}",
        "for d in drafts if d.known.link.sys_id and not d.settled and d.known.link.intended}",
    ),
    Mistake(
        "an absence is believed without a proof",
        "engine/observe.py",
        "    if context.job.policy.everyone:\n        return\n    default_access",
        "    if context.job.policy.tenant or True:\n        return\n    default_access",
    ),
    Mistake(
        "the guard forgets the last 24 hours",
        "engine/reviewing.py",
        "        number += executed.get(kind, 0)\n",
        "",
    ),
    Mistake(
        "the guard lets all through",
        "rules/review.py",
        "return self.removals > self.allowed",
        "return False",
    ),
    Mistake(
        "what is held is forgotten",
        "engine/reviewing.py",
        "    await work.context.held.add(held)\n",
        "",
    ),
    Mistake(
        "values go into queries as they are",
        "adapters/servicenow/query.py",
        'quote(value.replace("^", "^^"), safe=_PLAIN)',
        'quote(value, safe=_PLAIN + "^")',
    ),
    Mistake(
        "who waits for somebody is not called",
        "engine/again.py",
        "    pairs = await work.context.waiting.arrived(arrived)\n",
        "    pairs = await work.context.waiting.arrived(())\n",
    ),
    Mistake(
        "a reading anew forgets who did not turn up",
        "engine/collecting.py",
        "absent = [key for key in keys if key not in present]\n        staged = [Pending(key, home_lane",
        "absent = [key for key in keys if key in present]\n        staged = [Pending(key, home_lane",
    ),
    Mistake(
        "who returns is not activated",
        "rules/decide.py",
        '    if known.get(ACTIVE) == "false":\n        return',
        '    if known.get(ACTIVE) == "never":\n        return',
    ),
    Mistake(
        "a lost reply counts as done",
        "engine/outcomes.py",
        "        case Refused() | Unsettled():\n            return _escrowed(base, item)\n",
        "        case Refused() | Unsettled():\n            return replace(base, intended=False, enabled=True)\n",
    ),
    Mistake(
        "a lease is not asked for",
        "engine/jobs.py",
        "if lease.holder != holder and now < lease.until <= now + 2 * LEASE_SECONDS:",
        "if lease.holder != holder and now + 10**9 < lease.until:",
    ),
)


def planted(mistake: Mistake, scratch: Path) -> Path:
    """A copy of the program with the mistake in it. Raises ValueError when its place is not there, or there twice."""
    tree = scratch / "tree"
    for name in ("provisioning", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    file = tree / "provisioning" / mistake.file
    text = file.read_text(encoding="utf-8")
    if text.count(mistake.right) != 1:
        raise ValueError(f"{mistake.name}: {mistake.file} has its place {text.count(mistake.right)} times, not once")
    file.write_text(text.replace(mistake.right, mistake.wrong), encoding="utf-8")
    return tree


def noticed_by(mistake: Mistake, *, histories: int = 150) -> int | None:
    """The first seed whose histories notice the mistake."""
    with tempfile.TemporaryDirectory(prefix="planted-") as scratch:
        tree = planted(mistake, Path(scratch))
        for seed in SEEDS:
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "tests.simulation",
                    "--seed",
                    str(seed),
                    f"--histories={histories}",
                    "--as-found",
                ],
                cwd=tree,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode and "Failing test case" in done.stderr:
                return seed
            if done.returncode:
                raise RuntimeError(f"{mistake.name}: the histories did not run: {done.stderr[-2000:]}")
    return None


def main() -> int:
    missed = 0
    for mistake in MISTAKES:
        seed = noticed_by(mistake)
        missed += seed is None
        sys.stdout.write(f"{'MISSED ' if seed is None else f'seed {seed} '} {mistake.name}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{len(MISTAKES) - missed} of {len(MISTAKES)} mistakes were noticed\n")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
