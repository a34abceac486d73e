"""Which engine looks for a brain; judging what it finds, and trying again if it is not trusted."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from mriprep import engines, weights
from mriprep.core import EngineError, EngineMissing, Grid, MriprepWarning, Volume
from mriprep.io.hashes import checked

from ._brain_input import KNOWN, T1_LIKE, is_t1w
from ._brain_mask import one_piece, overlap
from ._brain_surface import Coarse
from ._brain_trust import BrainTrust, agreed, judge

Bools = npt.NDArray[np.bool_]

#: In which order `auto` asks engines, where the scan is T1-weighted, and for any other contrast.
T1W_ORDER = ("deepbet", "synthstrip", "hd-bet", "mindgrab", "template")
ANY_ORDER = ("synthstrip", "hd-bet", "mindgrab", "template", "deepbet")
#: So many engines are asked at most.
_MOST = 3
#: Two masks that overlap less (Dice) disagree.
AGREE = 0.95


@dataclass(frozen=True)
class Answer:
    """What an engine made of a scan.

    Parameters
    ----------
    engine : str
        Which; ``consensus of ...`` for what several make together.
    mask : (X, Y, Z) bool
        One piece without holes.
    trust : BrainTrust
        How far it can be trusted.
    probability : (X, Y, Z) float32
        Of being brain.
    facts : mapping
        For the record: the hashes of weights.
    """

    engine: str
    mask: Bools
    trust: BrainTrust
    probability: npt.NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)


def ready(name: str) -> bool:
    """Whether an engine can run here: its packages are installed, its weights there."""
    engine = engines.describe("brain", name)
    return not engine.missing and (engine.weights is None or weights.is_here(engine.weights))


def order(t1w: bool) -> list[str]:
    """The engines that `auto` would ask, in order; of those that are there."""
    known = engines.names("brain")
    return [n for n in (T1W_ORDER if t1w else ANY_ORDER) if n in known and ready(n)]


def begins_with(parameters: Mapping[str, Any]) -> str:
    """The engine that a step with these parameters begins with: what `auto` means for a contrast."""
    engine = str(parameters.get("engine"))
    if engine != "auto":
        return engine
    contrast = parameters.get("contrast")
    t1w = contrast not in KNOWN or contrast in T1_LIKE
    return next(iter(order(t1w)), T1W_ORDER[0])


def find(
    image: Volume,
    coarse: Coarse,
    *,
    engine: str,
    threshold: float,
    device: str,
    weights_at: str | None = None,
    contrast: str | None = None,
    age: float | None = None,
    check: bool = False,
) -> tuple[Answer, dict[str, Any]]:
    """The brain of a head, by one engine, or by as many as it takes.

    Parameters
    ----------
    image : Volume
        Finite voxels.
    coarse : Coarse
        The same on a coarse grid.
    engine : str
        An engine, whose answer stands; or ``auto``.
    threshold : float
        Probability above which a voxel is brain.
    device, weights_at
        As the step's.
    contrast : str, optional
        The scan's, where it is known.
    age : float, optional
        Years.
    check : bool
        Ask a second engine in any case.

    Returns
    -------
    answer : Answer
        The best.
    facts : dict
        For the record: what was tried, how it was judged, what was not there.

    Raises
    ------
    EngineError
        If no engine finds a brain.
    EngineMissing
        If the engine that is asked for is not there, or none is.
    """
    t1w = engine == "auto" and is_t1w(image, coarse, contrast)
    names = [engine] if engine != "auto" else order(t1w)[:_MOST]
    if not names:
        raise EngineMissing(
            "no engine for brain extraction is there", hint="pip install deepbet; `mriprep doctor`"
        )
    if check and engine != "auto":
        names += [n for n in order(is_t1w(image, coarse, contrast)) if n != engine][:1]
    answers: list[Answer] = []
    tried: dict[str, Any] = {}
    failure: EngineError | EngineMissing | None = None
    for number, name in enumerate(names):
        try:
            own = weights_at if name == engine else None  # they belong to the engine that is named
            answer = _ask(name, image, coarse, threshold, device, own, age)
        except (EngineError, EngineMissing) as error:
            if engine != "auto" and number == 0:
                raise
            failure = failure or error
            tried[name] = f"failed: {error.message}"
            continue
        answers.append(answer)
        tried[name] = round(answer.trust.score, 4)
        if answer.trust.trusted and (len(answers) > 1 or not check):
            break
    if not answers:
        raise failure or EngineError("no engine finds a brain in this image")
    best, facts = _settled(answers, coarse, image.grid, threshold, age, keep_first=engine != "auto")
    left = [n for n in engines.names("brain") if engine == "auto" and not ready(n)]
    about = {
        "engine": best.engine,
        **best.trust.facts(),
        **facts,
        "tried": tried,
        **({"not_there": left} if left else {}),
        **best.facts,
    }
    return best, about


def _ask(
    name: str,
    image: Volume,
    coarse: Coarse,
    threshold: float,
    device: str,
    weights_at: str | None,
    age: float | None,
) -> Answer:
    module = engines.load("brain", name)
    declared = engines.describe("brain", name)
    given = {"weights": weights_at} if weights_at else {}
    found: Volume = module.probability(image, device=device, **given)
    mask = one_piece(np.asarray(found.data) > threshold)
    if not mask.any():
        raise EngineError(
            "no brain was found in this image",
            hint="is it a head? for a body, or a scan already stripped, leave skullstrip out",
        )
    facts: dict[str, Any] = {}
    if declared.weights is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MriprepWarning)  # the engine has said it already
            path = weights.find(declared.weights, weights_at)
        facts = weights.facts(declared.weights, path)
    elif hasattr(module, "weight_files"):  # they come with its package
        files = module.weight_files(weights_at)
        facts = {"weights": name, "weights_files": {f.name: checked(f) for f in files}}
    probability = np.asarray(found.data, dtype=np.float32)
    return Answer(name, mask, judge(coarse, mask, image.grid, age, probability), probability, facts)


def _settled(
    answers: list[Answer],
    coarse: Coarse,
    grid: Grid,
    threshold: float,
    age: float | None,
    keep_first: bool,
) -> tuple[Answer, dict[str, Any]]:
    """The answer to take of several, and how far they agree; where they disagree, a consensus."""
    best = answers[0] if keep_first else max(answers, key=lambda a: a.trust.score)
    others = [a for a in answers if a is not best]
    if not others:
        return best, {}
    agreement = max(overlap(best.mask, a.mask) for a in others)
    facts = {"agreement": round(agreement, 4)}
    only_one = best.trust.trusted and not any(a.trust.trusted for a in others)
    if only_one and not keep_first:  # the others were given up
        return best, facts
    if agreement < AGREE and not keep_first:
        together = _consensus(answers, coarse, grid, threshold, age)
        if together is not None and together.trust.score >= best.trust.score:
            best = together
    return replace(best, trust=agreed(best.trust, agreement)), facts


def _consensus(
    answers: list[Answer], coarse: Coarse, grid: Grid, threshold: float, age: float | None
) -> Answer | None:
    """What engines say on average, each counting as much as it is trusted."""
    shares = [max(a.trust.score, 0.05) for a in answers]
    mean = sum(s * a.probability for s, a in zip(shares, answers, strict=True)) / sum(shares)
    probability = np.asarray(mean, dtype=np.float32)
    mask = one_piece(probability > threshold)
    if not mask.any():
        return None
    facts = {k: v for a in answers for k, v in a.facts.items()}
    names = " and ".join(a.engine for a in answers)
    return Answer(
        f"consensus of {names}",
        mask,
        judge(coarse, mask, grid, age, probability),
        probability,
        facts,
    )
