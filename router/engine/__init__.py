"""The local engine: a child process on llama.cpp behind a unix socket, its client and its supervisor.

llama.cpp aborts the whole process on a failed assertion, so only the child ever loads it.
"""
