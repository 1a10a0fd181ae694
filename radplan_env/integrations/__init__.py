"""The environment as other frameworks expect it; none of them is needed to import this."""
