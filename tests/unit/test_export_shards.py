"""Windows of sharded arrays: what zarr itself reads, whatever the window."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from zarr.codecs import BloscCodec, GzipCodec

from mriprep.core import InputError
from mriprep.export import zarr as writing
from mriprep.export.shards import ShardedArray, attributes

SHAPE = (2, 21, 18, 9)


def written(folder, compress=True, dtype="float32"):
    """An array of 3 x 3 x 2 shards of 8³, in chunks of 8³ and of 4³."""
    data = np.random.default_rng(0).normal(0, 50, SHAPE).astype(dtype)
    data[:, 8:16, :8, :8] = 0  # a shard that is not written at all
    data[:, :4, :4, :4] = 0  # and a chunk
    group = zarr.create_group(store=str(folder))
    compressors = BloscCodec(cname="lz4", shuffle="noshuffle") if compress else None
    group.create_array(
        "a", shape=SHAPE, dtype=dtype, chunks=(2, 4, 4, 4), shards=(2, 8, 8, 8),
        compressors=compressors, fill_value=0,
    )[...] = data  # fmt: skip
    return data


@pytest.fixture(
    scope="module", params=["packed-float32", "plain-float32", "packed-int16", "plain-uint8"]
)
def array(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("array")
    how, dtype = request.param.split("-")
    return written(folder / "z", compress=how == "packed", dtype=dtype), ShardedArray(
        folder / "z/a"
    )


def test_all_of_it(array):
    data, read = array
    found = read.read()
    assert found.dtype == data.dtype
    assert read.space == SHAPE[1:]
    np.testing.assert_array_equal(found, data)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(read)).read(), data)


SPANS = [st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted) for n in SHAPE[1:]]


@settings(max_examples=60, deadline=None)
@given(spans=st.tuples(*SPANS))
def test_any_window(array, spans):
    data, read = array
    window = tuple(slice(a, b) for a, b in spans)
    np.testing.assert_array_equal(read.read(window), data[:, *window])


def test_what_an_export_writes(tmp_path):
    group = zarr.create_group(store=str(tmp_path / "z"), attributes={"x": 1})
    data = np.arange(40 * 30 * 20, dtype=np.int32).reshape(40, 30, 20)
    writing._array(group, "labels", data, 16, True)
    np.testing.assert_array_equal(ShardedArray(tmp_path / "z/labels").read(), data)
    assert attributes(tmp_path / "z") == {"x": 1}


def test_windows_have_no_step(array):
    with pytest.raises(InputError, match="no step"):
        array[1].read((slice(0, 4, 2), slice(None), slice(None)))


def test_damage_is_told(tmp_path):
    written(tmp_path / "z")
    shard = tmp_path / "z/a/c/0/0/0/1"
    content = shard.read_bytes()
    for broken in (content[:40], b"\xff" * 300 + content[300:], content[200:]):
        shard.write_bytes(broken)
        with pytest.raises(InputError, match="is damaged"):
            ShardedArray(tmp_path / "z/a").read()


def test_other_layouts_are_refused(tmp_path):
    group = zarr.create_group(store=str(tmp_path / "z"))
    about = {"shape": (8, 8, 8), "dtype": "f4", "chunks": (4, 4, 4)}
    group.create_array("plain", **about)
    group.create_array("gzip", shards=(8, 8, 8), compressors=GzipCodec(), **about)
    group.create_array("ones", shards=(8, 8, 8), fill_value=1, **about)
    for name in ("plain", "gzip", "ones"):
        with pytest.raises(InputError, match="another layout|not a sharded array"):
            ShardedArray(tmp_path / "z" / name)
    with pytest.raises(InputError, match="cannot be read"):
        ShardedArray(tmp_path / "z" / "nothing")
