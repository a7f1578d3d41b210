"""What `kubectl port-forward` does, for replicas of the operator that are processes of this machine.

Contract: run as a program, with the port of each target as JSON, the target and the local port, which are the last two
words of `kubectl port-forward`. Connections to the local port are relayed until the program is killed. A target without
a port is an error, as a pod that does not exist is for kubectl.
"""

import asyncio
import json
import sys


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(65_536):
            writer.write(chunk)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.close()


async def _forward(port: int, local: int) -> None:
    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_relay(reader, ours), _relay(theirs, writer))

    async with await asyncio.start_server(connected, "127.0.0.1", local) as server:
        await server.serve_forever()


def main() -> int:
    """Relay connections; the exit code is 1 for a target that does not exist."""
    ports, target, local = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if target not in ports:
        sys.stderr.write(f"error: {target} not found, there are: {', '.join(ports)}\n")
        return 1
    asyncio.run(_forward(ports[target], local))
    return 0


if __name__ == "__main__":
    sys.exit(main())
