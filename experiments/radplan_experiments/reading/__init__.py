"""Do language models see what is wrong with a plan? Errors are planted in doses of optimised plans, and asked for.

errors    the errors, planted in a dose
pictures  what a model is shown of a dose
reading   plans, questions, sensitivity and false alarms
"""
