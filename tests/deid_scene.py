"""A small exam to de-identify, and what is looked for in the outcome."""

from __future__ import annotations

import hashlib
import re
import zlib
from types import SimpleNamespace

import numpy as np
import pydicom

from mriprep.core import Grid, Volume
from planted import NAME, NUMBER

SECRET = bytes(range(32))


def ball(shape=(40, 48, 12)):
    """A noisy ball in place of a head: what is tested is not the anatomy."""
    rng = np.random.default_rng(1)
    away = np.indices(shape).T / np.array(shape) - 0.5
    bright = np.where((away**2).sum(-1).T < 0.15, 700.0, 20.0) + 30 * rng.normal(size=shape)
    grid = Grid(shape, np.array([[2.0, 0, 0, -40], [0, 2, 0, -48], [0, 0, 3, 9], [0, 0, 0, 1]]))
    image = Volume(np.abs(bright).astype("f4"), grid)
    facts = {"contrast": "T1w", "age_years": 41.0, "seed": 3}
    return SimpleNamespace(image=image, grid=grid, facts=facts)


def digest(folder):
    return {
        p: hashlib.sha256(p.read_bytes()).digest() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def unpacked(data):
    """The bytes, and what is compressed in them."""
    yield data
    for at in (m.start() for m in re.finditer(rb"\x1f\x8b\x08|\x78[\x01\x9c\xda]", data)):
        try:
            yield zlib.decompressobj(47).decompress(data[at:])
        except zlib.error:
            continue


def traces(folder, words=(NAME, NUMBER)):
    """Files in which a word is, in any case and encoding, or in their names."""
    found = []
    for path in folder.rglob("*"):
        inside = str(path.relative_to(folder))
        texts = [inside.encode()]
        if path.is_file():
            texts += unpacked(path.read_bytes())
        for data in texts:
            low = data.lower()
            for word in words:
                forms = [
                    word.lower().encode(c) for c in ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le")
                ]
                forms += [word.lower().encode()[::-1], word.lower().encode().hex().encode()]
                if any(f in low for f in forms):
                    found.append((inside, word))
    return found


def change(folder, **values):
    """Write attributes into the first file of a series."""
    file = sorted(folder.iterdir())[0]
    ds = pydicom.dcmread(file)
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.save_as(file)
    return ds


def datasets(done):
    return [pydicom.dcmread(p) for p in sorted(done.folder.rglob("*.dcm"))]


def drawn(shape, text, size=12):
    """Where a text is in a picture, true or false."""
    from PIL import Image, ImageDraw, ImageFont

    canvas = Image.new("1", shape[::-1])
    ImageDraw.Draw(canvas).text((0, 3), text, fill=1, font=ImageFont.load_default(size))
    return np.array(canvas)


def draw(folder, text="DOE JANE", size=12, value=None):
    """Burn a text into one picture."""
    file = sorted(folder.iterdir())[5]
    ds = pydicom.dcmread(file)
    pixels = ds.pixel_array.copy()
    pixels[drawn(pixels.shape, text, size)] = pixels.max() if value is None else value
    ds.PixelData = pixels.tobytes()
    ds.save_as(file)


def written_into(data):
    """An image with a text in its second slice."""
    new = data.copy()
    new[..., 1].T[drawn(data.shape[1::-1], "DOE JANE")] = 4000
    return new
