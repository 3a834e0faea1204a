"""TLS in front of a PostgreSQL server that was built without it.

Belongs here: answering a client's request for encryption, and bytes both ways after that. Does not
belong here: anything else of the protocol.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CHUNK_BYTES = 1 << 16
# "Protocol – Message Formats" of PostgreSQL's documentation: SSLRequest, of 8 bytes.
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"


@contextmanager
def encrypted(host: str, port: int, certificate: Path) -> Iterator[int]:
    """The port of a front that only takes encrypted connections, with this certificate and key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readexactly(len(_SSL_REQUEST)) != _SSL_REQUEST:
            writer.close()
            return
        writer.write(b"S")
        await writer.start_tls(context)
        theirs, ours = await asyncio.open_connection(host, port)
        await asyncio.gather(_pump(reader, ours), _pump(theirs, writer))

    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await source.read(_CHUNK_BYTES):
            target.write(data)
            await target.drain()
    target.close()
