"""The process that serves a GGUF file: python local_server.py PATH NAME THREADS CONTEXT_TOKENS.

It writes its URL to standard output and ends when its standard input does, so it never outlives who started it.
"""

from __future__ import annotations

import sys

import xllamacpp


def main(path: str, name: str, threads: str, context_tokens: str) -> None:
    """Serve until standard input ends."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = path
    parameters.model_alias = {name}
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0  # any that is free
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = int(threads)
    parameters.n_threads_http = 2
    parameters.n_parallel = 1
    parameters.n_ctx = int(context_tokens)
    parameters.cache_prompt = False  # a cached prompt changes the last digits of what follows, and then the words
    parameters.cache_ram_mib = 0
    parameters.offline = True
    parameters.ui = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()
    del server


if __name__ == "__main__":
    main(*sys.argv[1:])
