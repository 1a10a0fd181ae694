"""What one patient is: the numbers drawn for an anatomy, and the published spread each is drawn from.

Sources, cited at the fields of :class:`Anatomy`. Known from abstracts and search excerpts, not from the full papers:

[Hindawi19]  Prostate volume on CT, 122 men, BioMed Res Int 2019:7029450: median 43 cc (33 by ultrasound).
[Nield25]    Empty against full bladder, 20 men, doi 10.1111/1754-9485.70139: bladder median 126 cc (49-246)
             empty, 276 cc (159-626) full; CTV (prostate with or without seminal vesicles) median 63-66 cc.
[BJR11]      Bladder scans before planning CT, 30 men, doi 10.1259/bjr/50048151: 282 cc, SD 145, range 89-608.
[Stillie]    Rectum on the planning CT of 89 men, Monash "Rectal filling at planning": mean cross-section,
             median 7.3 cm2, range 2.8-17.1.
[Pinkawa06]  doi 10.1016/j.radonc.2006.10.028: a rectum above 120 cc or 12 cm2 counts as distended.
[Spacer]     PMC6871626, 9 men without spacer: prostate to anterior rectal wall, median 12 mm (7-19) at the
             base, 2 mm (0-4) at mid-gland, 1 mm (0-5) at the apex.
[SV14]       CT of 114 men, ro-journal 9:288 (2014): the proximal 1 cm and 2 cm of the seminal vesicles, used
             as CTV for intermediate and high risk.
[Mattes14]   VMAT of 57 men, PTV 5-10 mm around prostate and vesicles, Radiat Oncol J 32(1), 2014: overlap with
             the boost PTV above 3.5 % of the rectum and 5.0 % of the bladder parts those who exceed QUANTEC's
             limits from the rest. Clinical overlaps of 3-18 % (rectum) and 3-20 % (bladder) are from memory.
[Margins13]  Gleeson, J Radiother Pract 2013: online marker correction needs 5 mm RL, 8 mm SI, 6 mm AP.
[Margins14]  ro-journal 9:29 (2014), table 2: two centres' margins are 5-10 mm, and 5 or 6 mm posteriorly. From
             memory: 7 mm, posteriorly 3 mm, in the 26 x 2.7 Gy arm of Pollack's trial (J Clin Oncol 2013).
[Mall00]     German femora, 100 men ("Determination of sex from femora"): head diameter 49 mm, SD 3.
[BMI16]      Rogers, J Radiother Pract 2016, 38 men with prostate cancer: BMI median 28.4, range 21.4-44.7.

Not found in a source and set by the one real pelvis at hand (lateral 384 mm, AP 224 mm, hips 184 mm apart)
and textbook anatomy: size of the bony pelvis, thickness of the soft tissue outside it, bladder shape. How deep the
prostate lies in rectum and bladder was set on seeds of no split, until their shares in the PTV spread so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radplan_env.sources._pelvis.shapes import RandomField

_STREAM = 7020  # keeps these random numbers apart from those of anything else seeded alike


@dataclass(frozen=True)
class Anatomy:
    """One male pelvis. Lengths in mm, relative to the centre of the prostate; +z superior, +y posterior."""

    # Prostate and seminal vesicles
    prostate_cc: float  # [Hindawi19], widened to the sizes that are irradiated
    prostate_shape: tuple[float, float, float]  # radii (z, y, x) relative to the sphere of that volume
    prostate_tilt_deg: float  # base leans posteriorly
    vesicle_length: tuple[float, float]  # right, left
    vesicle_radius: float
    vesicle_lift: float  # how far the tips rise above their roots
    vesicle_in_ctv: float  # length of seminal vesicle in the CTV: none, 1 or 2 cm [SV14], or all
    margin: float  # CTV to PTV [Margins13, Margins14]
    margin_posterior: float

    # Rectum
    rectal_area_cm2: float  # mean cross-section [Stillie], a tenth more than its neighbours leave it
    rectal_aspect: float  # width over depth
    rectal_gaps: tuple[float, float, float]  # prostate to anterior wall at apex, mid-gland, base [Spacer];
    # below zero the prostate lies in the wall, which bends round it [Mattes14]
    rectal_ends: tuple[float, float]  # below the apex, above the base
    rectal_hollow: float  # how far the ampulla falls back into the sacral concavity
    rectal_sway: float  # sideways
    rectal_calibre: tuple[float, float, float, float]  # wobble of the calibre along the tube
    rectal_gas: float  # share of the lumen, from above

    # Bladder
    bladder_cc: float  # [BJR11, Nield25]; its neighbours then press about a fourth of it away
    bladder_neck: float  # in front of the centre of the prostate, as a share of its half depth
    bladder_drop: float  # how far the neck lies below the top of the prostate, as a share of its half height
    bladder_sway: float  # sideways
    bladder_lean_deg: float  # how far the centre lies in front of the neck
    bladder_breadth: float  # width over that of a sphere

    # Bony pelvis, as a rigid body
    bone_scale: float
    bone_turn_deg: tuple[float, float]  # how crooked it lies: roll, yaw
    symphysis_z: float  # of its centre
    retropubic_gap: float  # symphysis to prostate
    hip_lateral: float  # half the distance of the hip joints
    hip_z: float
    hip_y: float
    femoral_head_diameter: float  # [Mall00]

    # Outline
    soft_lateral: float  # trochanter to skin; a wide spread stands for the BMI of patients [BMI16]
    soft_anterior: float  # symphysis to skin
    soft_posterior: float  # sacrum to skin
    fat_share: float  # share of that depth that is subcutaneous fat
    belly: float  # how much deeper the abdomen is than the pelvis
    squareness: float  # exponent of the anterior outline
    cleft: float

    # Smooth irregularity of each shape and of the tissues
    wobble: dict[str, RandomField]

    @classmethod
    def draw(cls, seed: int) -> Anatomy:
        """The anatomy of a seed; the same everywhere."""
        rng = np.random.default_rng((_STREAM, seed))

        def normal(mean: float, sd: float, low: float, high: float) -> float:
            return float(np.clip(rng.normal(mean, sd), low, high))

        def spread(median: float, sigma: float, low: float, high: float) -> float:
            return float(np.clip(median * np.exp(sigma * rng.standard_normal()), low, high))

        def uniform(low: float, high: float) -> float:
            return float(rng.uniform(low, high))

        margin = uniform(5.0, 9.0)
        contact = normal(-2.4, 3.0, -8.0, 4.0)
        adiposity = rng.beta(2.0, 2.5)
        shape = np.array([1.0, 0.90, 1.08]) * np.exp(0.06 * rng.standard_normal(3))
        shape /= np.cbrt(shape.prod())
        return cls(
            prostate_cc=spread(46.0, 0.42, 20.0, 110.0),
            prostate_shape=(float(shape[0]), float(shape[1]), float(shape[2])),
            prostate_tilt_deg=normal(14.0, 6.0, 0.0, 26.0),
            vesicle_length=(uniform(26.0, 40.0), uniform(26.0, 40.0)),
            vesicle_radius=uniform(4.5, 6.5),
            vesicle_lift=uniform(13.0, 25.0),
            vesicle_in_ctv=float(rng.choice([0.0, 10.0, 20.0, 60.0], p=[0.25, 0.35, 0.25, 0.15])),
            margin=margin,
            margin_posterior=max(3.0, margin * uniform(0.6, 1.0)),
            rectal_area_cm2=spread(8.0, 0.36, 4.0, 16.0),
            rectal_aspect=uniform(0.95, 1.35),
            rectal_gaps=(contact + uniform(-1.0, 4.0), contact, 0.5 * min(contact, 0.0) + uniform(2.0, 12.0)),
            rectal_ends=(uniform(22.0, 36.0), uniform(45.0, 70.0)),
            rectal_hollow=normal(8.0, 4.0, 0.0, 16.0),
            rectal_sway=normal(0.0, 5.0, -10.0, 10.0),
            rectal_calibre=tuple(np.clip(rng.normal(1.0, 0.12, 4), 0.75, 1.3).tolist()),
            rectal_gas=float(rng.choice([0.0, uniform(0.15, 0.55)], p=[0.45, 0.55])),
            bladder_cc=spread(300.0, 0.48, 165.0, 650.0),
            bladder_neck=uniform(0.0, 0.75),
            bladder_drop=uniform(0.1, 0.9),
            bladder_sway=normal(0.0, 4.0, -9.0, 9.0),
            bladder_lean_deg=normal(50.0, 11.0, 25.0, 72.0),
            bladder_breadth=uniform(0.84, 1.1),
            bone_scale=normal(1.0, 0.035, 0.93, 1.07),
            bone_turn_deg=(normal(0.0, 1.0, -2.5, 2.5), normal(0.0, 1.0, -2.5, 2.5)),
            symphysis_z=normal(-6.0, 5.0, -16.0, 4.0),
            retropubic_gap=uniform(8.0, 16.0),
            hip_lateral=normal(90.0, 3.5, 83.0, 97.0),
            hip_z=normal(27.0, 4.0, 19.0, 35.0),
            hip_y=normal(27.0, 3.0, 21.0, 33.0),
            femoral_head_diameter=normal(49.0, 2.5, 44.0, 54.0),
            soft_lateral=14.0 + 42.0 * adiposity + uniform(-3.0, 3.0),
            soft_anterior=28.0 + 42.0 * adiposity + uniform(-6.0, 6.0),
            soft_posterior=18.0 + 34.0 * adiposity + uniform(-4.0, 4.0),
            fat_share=uniform(0.55, 0.8),
            belly=uniform(-8.0, 10.0) + 22.0 * adiposity,
            squareness=uniform(2.1, 2.7),
            cleft=uniform(8.0, 18.0),
            wobble={
                "prostate": RandomField.draw(rng, (28.0, 45.0)),
                "vesicles": RandomField.draw(rng, (12.0, 22.0)),
                "rectum": RandomField.draw(rng, (25.0, 50.0)),
                "bladder": RandomField.draw(rng, (45.0, 90.0)),
                "bone": RandomField.draw(rng, (25.0, 60.0)),
                "body": RandomField.draw(rng, (90.0, 180.0)),
                "muscle": RandomField.draw(rng, (35.0, 70.0)),
                "bowel": RandomField.draw(rng, (22.0, 40.0)),
                "texture": RandomField.draw(rng, (7.0, 16.0), waves=48),
            },
        )

    @property
    def prostate_radii(self) -> tuple[float, float, float]:
        """Radii (z, y, x) of the ellipsoid that holds the prostate's volume."""
        sphere = np.cbrt(3000.0 * self.prostate_cc / (4 * np.pi))
        z, y, x = (float(sphere * s) for s in self.prostate_shape)
        return z, y, x

    @property
    def symphysis_y(self) -> float:
        """Where the back of the symphysis lies: in front of the prostate by the retropubic space."""
        return -self.prostate_radii[1] - self.retropubic_gap
