"""Where things lie in the head outside the brain, in mm of the MNI152 template's world."""

from __future__ import annotations

from .shapes import Blob, ball, pair, rod

#: Named points of the template head, mm, to check poses by.
LANDMARKS: dict[str, tuple[float, float, float]] = {
    "anterior commissure": (0.0, 2.0, -4.0),
    "posterior commissure": (0.0, -24.5, -2.5),
    "left eye": (-34.0, 57.0, -38.0),
    "right eye": (34.0, 57.0, -38.0),
    "left lens": (-34.0, 66.5, -38.0),
    "right lens": (34.0, 66.5, -38.0),
    "nose tip": (0.0, 105.0, -66.0),
    "left ear canal": (-76.0, -20.0, -44.0),
    "right ear canal": (76.0, -20.0, -44.0),
}

#: What the head's outline is, beside the scalp over the skull.
OUTLINE: tuple[Blob, ...] = (
    ball("soft", (0, 18, -52), (75, 54, 46)),  # cheeks
    *pair(ball("soft", (33, 48, -38), (25, 23, 22))),  # around the eyes
    *pair(ball("soft", (56, 18, -22), (19, 36, 42))),  # temples
    *pair(ball("soft", (60, -14, -66), (17, 26, 36))),  # angles of the jaw
    ball("soft", (0, 22, -94), (60, 52, 40)),  # jaws
    ball("soft", (0, 66, -118), (22, 16, 16)),  # chin
    ball("soft", (0, 70, -92), (24, 11, 12)),  # lips
    rod("soft", (0, 66, -28), (0, 95, -66), 9, 10),  # nose
    *pair(rod("soft", (8, 76, -66), (8, 90, -69), 8)),
    rod("soft", (0, -44, -44), (0, -38, -170), 66, 58),  # neck
    rod("soft", (0, -8, -90), (0, -12, -170), 54),
    *pair(ball("soft", (83, -24, -44), (6, 16, 27))),  # ears
)

#: Eyes and what surrounds them; front first, as everywhere below.
ORBITS: tuple[Blob, ...] = tuple(
    blob
    for one in (
        ball("soft", LANDMARKS["right lens"], (4.5, 2.2, 4.5)),
        ball("fluid", LANDMARKS["right eye"], 11.8),
        ball("bone", LANDMARKS["right eye"], 12.4, wall=0.5),  # sclera: dark
        rod("wm", (32, 46, -38), (13, 20, -30), 2.0, 2.2),  # optic nerve
        rod("soft", (44, 55, -38), (17, 22, -31), 2.2, 1.5),
        rod("soft", (22, 53, -38), (14, 22, -31), 2.2, 1.5),
        rod("soft", (33, 54, -27), (15, 22, -28), 2.0, 1.5),
        rod("soft", (33, 54, -49), (15, 22, -34), 2.0, 1.5),
        rod("fat", (34, 54, -38), (14, 20, -31), 17.0, 4.0),
        rod("bone", (35, 53, -38), (14, 18, -31), 19.5, 6.5),
    )
    for blob in pair(one)
)

#: Spinal cord and the fluid around it, below the brain's cut.
CORD: tuple[Blob, ...] = (
    rod("wm", (0, -42, -71), (0, -52, -96), 6.0, 5.0),
    rod("wm", (0, -52, -96), (0, -50, -170), 5.0),
    rod("csf", (0, -42, -71), (0, -52, -96), 10.0, 8.0),
    rod("csf", (0, -52, -96), (0, -50, -170), 8.0),
)

#: Airways that open through the skin.
OPENINGS: tuple[Blob, ...] = (
    *pair(rod("air", (66, -20, -44), (92, -22, -45), 2.5)),  # ear canals
    *pair(rod("air", (6, 74, -70), (7, 91, -78), 3.0)),  # nostrils
)

AIRWAYS: tuple[Blob, ...] = (
    ball("soft", (0, 48, -57), (0.9, 34, 17)),  # nasal septum
    *pair(ball("soft", (9, 46, -66), (3.0, 25, 5.0))),  # turbinates
    *pair(ball("soft", (7.5, 44, -54), (2.4, 20, 4.0))),
    ball("air", (0, 46, -58), (13, 36, 17)),  # nasal cavity
    ball("soft", (0, 14, -37), (0.8, 16, 11)),
    ball("air", (0, 12, -37), (13, 13, 9)),  # sphenoid sinus
    ball("bone", (0, 12, -37), (15, 15, 11)),
    *pair(ball("air", (9, 46, -35), (5, 16, 9))),  # ethmoid cells
    *pair(ball("air", (32, 40, -64), (13, 15, 15))),  # maxillary sinuses
    *pair(ball("bone", (32, 40, -64), (14.5, 16.5, 16.5))),
    *pair(ball("air", (11, 76, -19), (9, 4, 9))),  # frontal sinuses
    rod("air", (0, 8, -62), (0, 3, -98), 8, 8),  # pharynx
    rod("air", (0, 3, -98), (0, 14, -170), 8, 8),
    ball("air", (0, 40, -85), (18, 24, 1.6)),  # mouth
)

BONES: tuple[Blob, ...] = (
    rod("bone", (0, 66, -34), (0, 80, -50), 3.0),  # nasal bone
    ball("bone", (0, 46, -79), (22, 26, 3)),  # palate
    *pair(rod("bone", (0, 66, -91), (17, 58, -91), 5.0)),  # teeth and their sockets
    *pair(rod("bone", (17, 58, -91), (24, 32, -89), 5.0)),
    ball("soft", (0, 30, -106), (20, 36, 16)),  # tongue and floor of the mouth
    *pair(rod("marrow", (0, 66, -116), (22, 58, -116), 3.0)),  # mandible
    *pair(rod("marrow", (22, 58, -116), (45, 4, -108), 3.0)),
    *pair(rod("bone", (0, 66, -115), (22, 58, -115), 6.0)),
    *pair(rod("bone", (22, 58, -115), (45, 4, -108), 6.0)),
    *pair(rod("marrow", (46, 2, -108), (50, -6, -56), 3.0, 2.5)),
    *pair(rod("bone", (46, 2, -108), (50, -6, -52), 5.5, 5.0)),
    *pair(rod("bone", (52, 50, -50), (66, 8, -47), 3.5, 2.5)),  # zygomatic arches
    *pair(rod("air", (56, -36, -48), (62, -38, -60), 6.0, 3.0)),  # mastoid cells
    *pair(rod("bone", (58, -34, -46), (60, -36, -64), 13.0, 7.0)),
    *pair(rod("bone", (16, -10, -44), (60, -28, -46), 7.5, 11.0)),  # petrous bones
    rod("marrow", (0, -4, -36), (0, -20, -62), 5.5, 3.0),  # clivus
    rod("bone", (0, -4, -36), (0, -20, -62), 8.0, 6.0),
    *(ball("marrow", (0, -26 - 0.05 * i, -84 - 17 * i), (8, 7, 6.0)) for i in range(4)),
    rod("bone", (0, -25, -72), (0, -28, -170), 10.0),  # vertebral bodies
    *(ball("bone", (0, -70 - i, -92 - 17 * i), (4, 11, 3.0)) for i in range(4)),  # spines
    *pair(ball("bone", (24, -42, -76), (14, 8, 5))),  # atlas
)

MUSCLES: tuple[Blob, ...] = (
    *pair(ball("soft", (60, 16, -18), (8, 30, 34))),  # temporalis
    *pair(ball("soft", (56, 12, -82), (8, 17, 28))),  # masseter
    *pair(rod("soft", (22, 20, -60), (42, 2, -92), 8.0, 7.0)),  # pterygoids
    *pair(rod("soft", (60, -36, -64), (26, 10, -170), 10.0, 11.0)),  # sternomastoid
    *pair(rod("soft", (14, -88, -62), (12, -82, -170), 11.0, 12.0)),  # nuchal muscles
    *pair(rod("soft", (24, -72, -66), (24, -66, -170), 12.0, 12.0)),
)
