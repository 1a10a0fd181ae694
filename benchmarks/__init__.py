"""One script per claim: each prints the machine, the peer, both figures and the ratio, and ends with a JSON line."""
