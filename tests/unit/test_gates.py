"""Gates: limits as data, and what they say of values."""

import pytest
from pydantic import ValidationError

from mriprep.qc import gates
from mriprep.qc.gates import Gate, judge, verdict_of
from mriprep.qc.metrics import METRICS

HIGH = {
    "code": "x",
    "metric": "cjv",
    "says": "{value:.1f}, {limit:.1f} is usual",
    "picture": "brain",
}


def made(**more):
    return Gate(**{**HIGH, **more})


def test_a_value_beyond_a_limit_is_told_with_what_is_usual():
    gate = made(above={"look": 1.0, "fail": 2.0})
    assert gate.asked(1.0) is None
    assert gate.asked(1.5)["level"] == "look"
    worst = gate.asked(3.0)
    assert (worst["level"], worst["limit"], worst["says"]) == ("fail", 2.0, "3.0, 1.0 is usual")


def test_a_value_may_be_too_low():
    gate = made(below={"look": 1.0, "fail": 0.5})
    assert [gate.asked(v) and gate.asked(v)["level"] for v in (1.0, 0.7, 0.1)] == [
        None,
        "look",
        "fail",
    ]


@pytest.mark.parametrize("sides", [{}, {"above": {"look": 1}, "below": {"look": 0}}])
def test_a_gate_has_one_side(sides):
    with pytest.raises(ValidationError, match="above or below"):
        made(**sides)


def test_a_misspelt_key_is_refused():
    with pytest.raises(ValidationError):
        made(above={"look": 1}, contrast=["T1w"])


def test_the_gate_that_says_most_about_when_it_holds_is_asked(monkeypatch):
    anywhere = made(above={"look": 1.0})
    for_t1w = made(above={"look": 2.0}, contrasts=("T1w",))
    at_3t = made(above={"look": 3.0}, contrasts=("T1w",), tesla=(2.5, 3.5))
    monkeypatch.setattr(gates, "gates", lambda: (for_t1w, anywhere, at_3t))
    assert judge({"cjv": 1.5}, "T2w")
    assert not judge({"cjv": 1.5}, "T1w")
    assert judge({"cjv": 2.5}, "T1w")
    assert not judge({"cjv": 2.5}, "T1w", 3.0)


def test_the_worst_comes_first_and_is_the_verdict(monkeypatch):
    mild = made(above={"look": 1.0})
    bad = made(code="y", metric="cnr", below={"fail": 1.0})
    monkeypatch.setattr(gates, "gates", lambda: (mild, bad))
    reasons = judge({"cjv": 2.0, "cnr": 0.5, "efc": None}, "T1w")
    assert [r["code"] for r in reasons] == ["y", "x"]
    assert verdict_of(reasons) == "fail"
    assert verdict_of(reasons[1:]) == "look"
    assert verdict_of([]) == "pass"


def test_what_was_not_measured_is_not_judged(monkeypatch):
    monkeypatch.setattr(gates, "gates", lambda: (made(above={"look": 1.0}),))
    assert judge({"cjv": None}, "T1w") == judge({}, "T1w") == []


def test_where_a_metric_is_needed_and_missing_somebody_must_look(monkeypatch):
    needed = made(above={"look": 1.0}, needed=True)
    monkeypatch.setattr(gates, "gates", lambda: (needed, made(code="y", above={"look": 1.0})))
    (reason,) = judge({}, "T1w", missing={"cjv": "half of it is not positive"})
    assert (reason["code"], reason["level"]) == ("x-unmeasured", "look")
    assert "half of it is not positive" in reason["says"]
    assert judge({}, "T1w", missing={}) == []
    assert judge({"cjv": 0.5}, "T1w", missing={}) == []


@pytest.mark.parametrize("name", ["brain_score", "registration_score"])
def test_a_score_near_zero_fails(name):
    assert verdict_of(judge({name: 0.01}, "T1w")) == "fail"
    assert judge({name: 0.3}, "T1w") == []  # the step itself doubts it


def test_every_gate_is_of_a_metric_that_is_there_and_speaks():
    assert gates.gates()
    for gate in gates.gates():
        assert gate.metric in METRICS or gate.metric.endswith("_score"), gate
        limits = gate.above or gate.below
        limit = limits.get("look", limits.get("fail"))
        told = [gate.says.format(value=value, limit=limit) for value in (1.0, 4.0)]
        assert told[0] != told[1], f"{gate.code} does not tell the value"
        if len(limits) == 2:
            sign = 1 if gate.above else -1
            assert sign * limits["fail"] > sign * limits["look"], gate.code


def test_the_direction_of_a_gate_is_that_of_its_metric():
    for gate in gates.gates():
        better = METRICS[gate.metric].better if gate.metric in METRICS else "higher"
        if better in ("higher", "lower"):
            assert bool(gate.below) == (better == "higher"), gate.code
