"""The planner's console: what a human planner has at a treatment planning system, as functions with JSON in and out.

tools      the tools, one function each: their signatures are the schemas that models and servers see
console    an episode at the console: calls carried out, counted and kept
desk       the plans of an episode and its budget
changes    from what is asked for to planning parameters
tables     what is told of a plan
places     where a plan is hot or cold
pictures   the pictures of a plan
arguments  types of arguments, and schemas made of signatures
"""

from .arguments import ToolError
from .console import Console, Turn, tool_descriptions
from .tools import TOOLS, Answer, Tool

__all__ = ["TOOLS", "Answer", "Console", "Tool", "ToolError", "Turn", "tool_descriptions"]
