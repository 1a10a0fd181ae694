"""Results that are there, looked at again: plans computed anew, judged anew, folders put together."""
