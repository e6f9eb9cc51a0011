#!/usr/bin/python3
"""WebSocket in front of a broker that has none (Debian's mosquitto is built without): python3-websockets as server.

    lib/ws_front.py BROKER_PORT [CERT KEY]      prints its own port; wss with a certificate; ends with SIGTERM
"""

import asyncio
import signal
import ssl
import sys

import websockets

FRAME = 1000        # bytes: packets and frames do not agree


async def serve(ws, port):
    reader, writer = await asyncio.open_connection('127.0.0.1', port)

    async def down():
        while chunk := await reader.read(1 << 16):
            for at in range(0, len(chunk), FRAME):
                await ws.send(chunk[at:at + FRAME])
        await ws.close(1001)

    task = asyncio.ensure_future(down())
    try:
        async for message in ws:
            assert isinstance(message, bytes)
            writer.write(message)
            await writer.drain()
        print(f'closed {ws.close_code}', flush=True)
    finally:
        task.cancel()
        writer.close()


async def main(port, *cert):
    context = None
    if cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*cert)

    async def on_connection(ws):
        await serve(ws, port)

    server = await websockets.serve(on_connection, '127.0.0.1', 0, subprotocols=['mqtt'], ssl=context, max_size=None,
                                    compression=None)
    print(f'port {server.sockets[0].getsockname()[1]}', flush=True)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    await ended.wait()
    server.close()


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
