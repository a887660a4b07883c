"""The engine child: `python -m router.engine.worker --base FILE --socket PATH --threads N --context N`.

It serves one base on a unix socket and ends with its parent, whose pipe is its standard input. A file that cannot
be served is one line on standard error and exit code 65.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import resource
import stat
import sys
import threading
from pathlib import Path
from socket import AF_UNIX
from socket import socket as unix_socket

from registry.errors import EngineError
from router.engine.protocol import EngineFileError

EXIT_BAD_FILE = 65
STDIN = 0
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_LARGEST_FILE_BYTES = 64 << 20
"""It writes no files but what a profiler or coverage has it write."""


def main() -> int:
    """Load the base and serve until told to stop."""
    arguments = _arguments()
    _harden()
    try:
        serve(arguments.base, arguments.socket, threads=arguments.threads, context=arguments.context)
    except EngineFileError as error:
        return _complain(error, EXIT_BAD_FILE)
    except EngineError as error:
        return _complain(error, error.exit_code)
    return 0


def serve(base: Path, socket: Path, *, threads: int, context: int) -> None:
    """Check and load the base, then answer on the socket.

    Raises:
        EngineFileError: the file is unreadable, damaged, or no base.
        EngineError: llama-cpp-python is missing, or memory is.
    """
    from router.engine.fit import check_base
    from router.engine.header import read_header

    header = read_header(base)
    check_base(header)
    try:
        import uvicorn

        from router.engine.admission import Admission
        from router.engine.llama import Llama
        from router.engine.service import EngineService
    except ImportError as error:
        raise EngineError(f"the local engine needs {error.name}; pip install 'modelbreeder[local]'") from error
    llama = Llama(base, threads=threads, context=context)
    app = EngineService(llama, Admission(llama, header.without_arrays())).app()
    _place_socket(socket)
    # Nothing is freed after: the decoding thread may still be at work, and the process ends here anyway.
    uvicorn.run(
        app, uds=str(socket), log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=1
    )


def _place_socket(path: Path) -> None:
    """Leave a socket that only we may use: uvicorn gives its own the mode of what it finds, else 0666."""
    with unix_socket(AF_UNIX) as place:
        place.bind(str(path))
    path.chmod(0o600)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="router.engine.worker")
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--context", type=int, required=True)
    return parser.parse_args()


def _harden() -> None:
    """Leave no core of a user's prompts and nothing that others can read, reach no network, and outlive no parent."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_FILE_BYTES, _LARGEST_FILE_BYTES))
    _leave_network()
    os.environ["GGML_NO_BACKTRACE"] = "1"
    mode = os.fstat(STDIN).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        threading.Thread(target=_end_with_parent, daemon=True).start()


def _leave_network() -> None:
    """Give up every network, where the kernel lets it: a file that takes llama.cpp over calls nobody.

    The unix socket is a file, which no namespace of networks hides.
    """
    unshare = getattr(ctypes.CDLL(None), "unshare", None)
    if unshare is not None:
        unshare(_NEW_USER | _NEW_NETWORK)


def _end_with_parent() -> None:
    # Not PR_SET_PDEATHSIG: that fires when the thread that forked ends, and a supervisor may run in any thread.
    # Not sys.stdin: its lock, held by a waiting daemon thread, aborts an interpreter that ends.
    while os.read(STDIN, 4096):
        pass
    os._exit(0)


def _complain(error: Exception, code: int) -> int:
    sys.stderr.write(f"{error}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
