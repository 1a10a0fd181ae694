"""Delivery: from a fluence to apertures that a machine delivers.

machine       Machine: leaves, speeds, dose rates; machines/*.yaml with sources
techniques    fields, control points, and the coarse fields that they start from
apertures     Field and Apertures: leaf ends at control points, monitor units, and their fluence
limits        how long a plan takes, violations, and the nearest plan without any
complexity    mean gap and modulation complexity score
sequencing    sliding windows of a fluence; start: those of all fields
opening       compiled kernels; columns: K by leaf pair
coverage      a dose scaled to cover; optimise: aperture optimisation; planner: K, start and optimisation of one case
delivered     Delivery: what a plan keeps of all this
read_rtplan   apertures of an RTPLAN; `radplan_env.export_plan` writes one
"""
