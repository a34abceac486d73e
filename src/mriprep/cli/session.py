"""``run`` and ``plan`` for recipes that take all contrasts of a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mriprep.core import Case

from .pipeline import finish


def run_session(
    recipe: Any,
    sources: tuple[Path, ...],
    output: Path,
    results: list[Any] | None,
    given: dict[str, Any],
) -> int:
    """Do what `run` does, to a session; `results`, if given, gets the outcome."""
    from mriprep.cli.progress import watching
    from mriprep.core.age import parse_age
    from mriprep.intake import with_given_age
    from mriprep.intake_session import companions, joined, read_session
    from mriprep.io.atomic import writable_folder
    from mriprep.run import listening
    from mriprep.session import execute_session, plan_session, states_of
    from mriprep.session_plan import pick

    if given["age"]:
        parse_age(given["age"])  # a slip is told before anything is read
    folder = writable_folder(output)
    with listening() as said:  # told at the end, and on record
        case, beside = read_session(
            list(sources),
            name=given["name"],
            volume=given["volume"],
            series=given["series"],
            engine=given["dicom_engine"],
        )
        case = with_given_age(_only(case, given["contrast"]), given["age"])
        reference = pick(case, given["reference"])
        told_of = {r: companions(given[r], r, case, reference) for r in ("mask", "labels")}
        by_contrast = {
            c: {r: v for r in told_of for v in told_of[r].get(c, {}).values()} for c in case
        }
        beside = joined(by_contrast, beside, case)
    with listening():  # said again, and kept, when it is done
        _, planned = plan_session(recipe, case, reference, states_of(case, reference, beside))
    with watching([(t.name, t.expected.seconds) for t in planned.tasks]) as progress:
        done = execute_session(
            recipe, case, reference=reference, given=beside, progress=progress, said=said
        )
    if results is not None:
        results.append(done)
    return finish(done, folder, given)


def session_plan(recipe: Any, sources: tuple[Path, ...], given: dict[str, Any]) -> tuple[Any, str]:
    """The plan of a session from headers alone, and what it is a plan of."""
    from mriprep.core.age import age_of, parse_age, settle, with_age
    from mriprep.core.errors import nearest
    from mriprep.intake_session import headers
    from mriprep.session_plan import make, pick

    age = parse_age(given["age"], "--age") if given["age"] else None
    grids, facts = headers(sources, series=given["series"], volume=given["volume"])
    if (contrast := given["contrast"]) is not None:
        if contrast not in grids:
            from mriprep.core import InputError

            raise InputError(f"the session has no {contrast}", hint=nearest(contrast, grids))
        grids = {contrast: grids[contrast]}
    reference = pick(grids, given["reference"])
    facts = with_age(facts, settle([age, age_of(facts)]))
    known = recipe.informed(facts, reference)
    if given["mask"] and any(e.step.name == "skullstrip" for e in known.entries):
        known = known.without(["skullstrip"])
    slots = {c: {"image": g} for c, g in grids.items()}
    if given["mask"]:
        slots[reference]["mask"] = slots[reference]["image"]
    planned = make(known, slots, reference)
    others = ", ".join(c for c in planned.contrasts if c != reference) or "no other contrast"
    return planned, f"{known.name}: reference {reference} ({grids[reference]}), {others}"


def _only(case: Case, contrast: str | None) -> Case:
    """The case with one contrast alone, where one is asked for."""
    return case if contrast is None else Case(case.name, {contrast: case[contrast]}, case.facts)
