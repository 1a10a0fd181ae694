"""GPT-RadPlan for models of a few billion parameters: forms instead of prose, remedies and arithmetic by code.

Such models choose a whole phrase of a list more surely than its parts, run on in circles where nothing bounds them, and
misread figures. So code works out what fails and which parameters usually help, and the model chooses.
"""
