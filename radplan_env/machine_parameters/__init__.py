"""Machine parameters as actions: an arc is planned interval by interval, and no fluence comes before it.

task     ArcTask: K by interval, objective, start and judge of one case
arc      Arc: leaves and monitor units at one moment, their dose and their value
bands    groups of leaf pairs that an action moves together
env      MachineParameterEnv
"""

from radplan_env.machine_parameters.arc import Arc
from radplan_env.machine_parameters.env import MachineParameterEnv
from radplan_env.machine_parameters.task import ArcTask, ArcVerdict

__all__ = ["Arc", "ArcTask", "ArcVerdict", "MachineParameterEnv"]
