"""What an engine does where memory does not suffice, and on how many threads it runs."""

from __future__ import annotations

import warnings

import pytest

from mriprep.core import EngineError, EngineMissing, MriprepWarning
from mriprep.engines import _device
from mriprep.engines._device import on_gpu, run_on, run_with_fallback, torch_threads, usable_cores


def full(error):
    def run():
        raise error

    return run


def out_of_memory():
    import torch

    return torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")


def test_the_first_that_fits_is_taken_and_nothing_is_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (
            run_with_fallback([("on the GPU", lambda: 1), ("on the CPU", lambda: 2)], name="x") == 1
        )


def test_it_falls_back_step_by_step_and_says_so():
    attempts = [
        ("on the GPU", full(out_of_memory())),
        ("on the GPU in tiles", full(RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"))),
        ("on the CPU", lambda: "done"),
    ]
    with pytest.warns(MriprepWarning) as told:
        assert run_with_fallback(attempts, name="mindgrab") == "done"
    first, second = (str(w.message) for w in told)
    assert first.startswith("mindgrab: there is not enough memory to run on the GPU;")
    assert "run on the GPU in tiles instead" in first
    assert "run on the CPU instead" in second
    assert told[0].filename == __file__


@pytest.mark.parametrize(
    "error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")]
)
def test_where_nothing_is_left_the_error_says_what_to_do(error):
    with pytest.raises(EngineError, match="not even to run on the CPU") as told:
        run_with_fallback([("on the CPU", full(error))], name="deepbet")
    assert "more memory" in told.value.hint


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    attempts = [("on the GPU", full(RuntimeError("shapes differ"))), ("on the CPU", lambda: 1)]
    with pytest.raises(RuntimeError, match="shapes differ"):
        run_with_fallback(attempts, name="x")


def test_what_a_failed_attempt_held_is_free_before_the_next():
    import gc
    import weakref

    class Held:
        pass

    seen = []

    def first():
        held = Held()
        seen.append(weakref.ref(held))
        raise out_of_memory()

    def second():
        gc.collect()
        return seen[0]() is None

    with pytest.warns(MriprepWarning):
        assert run_with_fallback([("on the GPU", first), ("on the CPU", second)], name="x")


def test_threads_are_those_that_may_be_used_and_are_put_back(monkeypatch):
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr(_device, "usable_cores", lambda: 1)
    with torch_threads() as n:
        assert n == 1 == torch.get_num_threads()
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="boom"), torch_threads():
        raise ValueError("boom")
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("quota", "cores"), [("150000 100000", 2), ("max 100000", 8), ("50000 100000", 1), ("", 8)]
)
def test_a_containers_quota_counts(monkeypatch, quota, cores):
    monkeypatch.setattr(_device.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(_device.Path, "read_text", lambda *_, **__: quota)
    assert usable_cores() == cores


def test_a_gpu_that_is_not_there_is_told(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert not on_gpu("cpu")
    assert not on_gpu("auto")
    with pytest.raises(EngineMissing, match="no GPU"):
        on_gpu("cuda")


def test_a_network_runs_where_it_is_meant_to_and_else_on_the_cpu(monkeypatch):
    import torch

    seen = []

    def run(on):
        seen.append(on)
        if on == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return "done"

    assert run_on("cpu", run, name="x") == "done"
    assert seen == ["cpu"]
    monkeypatch.setattr("mriprep.engines._device.on_gpu", lambda device: device != "cpu")
    with pytest.warns(MriprepWarning, match="x: there is not enough memory to run on the GPU") as w:
        assert run_on("auto", run, name="x") == "done"
    assert seen == ["cpu", "cuda", "cpu"]
    assert len(w) == 1
