"""Beam models: every number of a machine's beam, in one YAML file each.

    convolution fluence convolved with lateral kernels
    model       BeamModel, and the models by name
    gaussian    lateral kernels as sums of Gaussians: `generic-6x`
    lattice     what fluence is convolved on
    sampled     lateral kernels as pyRadPlan samples them, with its conventions: `matrad-generic`

docs/beam-model.md has the formulas and the numbers.
"""

from radplan_env.beam_models.model import BEAM_MODELS, DEFAULT_BEAM_MODEL, BeamModel, beam_model_named

__all__ = ["BEAM_MODELS", "DEFAULT_BEAM_MODEL", "BeamModel", "beam_model_named"]
