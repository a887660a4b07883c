"""Reads server-sent events leniently and in bounded memory: any line ending, comments, BOM, `data:` without a space."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable

from registry.errors import UpstreamError

MAX_EVENT_BYTES = 8 << 20
_BOM = b"\xef\xbb\xbf"


async def events(chunks: AsyncIterable[bytes]) -> AsyncGenerator[list[bytes], None]:
    """Yield the data of the events that arrived together, lines joined; raise UpstreamError for one that never ends.

    Data that the stream's end cuts off before its blank line is dropped, as the standard says.
    """
    reader = EventReader()
    async for chunk in chunks:
        if arrived := reader.feed(chunk):
            yield arrived


class EventReader:
    """An incremental reader; events may be split anywhere between chunks."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        """The beginning of a line that has not ended; joined once it does, so that long lines cost no copies."""
        self._held = 0
        self._lines: list[bytes] = []
        self._size = 0
        self._started = False

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the data of the events that this chunk completes."""
        found: list[bytes] = []
        for line in self._whole_lines(chunk):
            if line:
                self._add(line)
            elif self._lines:
                found.append(b"\n".join(self._lines))
                self._lines, self._size = [], 0
        if self._held + self._size > MAX_EVENT_BYTES:
            raise UpstreamError(f"the upstream sent one event of over {MAX_EVENT_BYTES:,} bytes; it was cut off")
        return found

    def _whole_lines(self, chunk: bytes) -> list[bytes]:
        self._pieces.append(chunk)
        self._held += len(chunk)
        # A final "\r" may be half of "\r\n", so a line that it ends waits for the next byte.
        ends = b"\n" in chunk or b"\r" in chunk or (self._pieces[-2:-1] and self._pieces[-2].endswith(b"\r"))
        if not ends or (not self._started and self._held < len(_BOM)):
            return []
        text = b"".join(self._pieces)
        if not self._started:
            text, self._started = text.removeprefix(_BOM), True
        lines = text.splitlines(keepends=True)
        rest = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        self._pieces, self._held = [rest] if rest else [], len(rest)
        return [line.rstrip(b"\r\n") for line in lines]

    def _add(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            self._lines.append(data)
            self._size += len(data)
