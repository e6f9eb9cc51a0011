"""HTTP/2 as bytes (RFC 9113), without a library: what hostile clients send to the gRPC port, and just enough reading to see what
becomes of it. Headers are literals that are never indexed, so no state of HPACK is kept."""

import socket
import struct
import time

from .peer import PATIENCE

PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS = 1, 1, 4
MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE = 3, 6
RELAY_PATH = '/mqtt.MqttRelayService/StreamMqttMessages'
TRUNK_PATH = '/mqtt.MqttTrunkService/Trunk'


def frame(kind, flags=0, stream=0, payload=b'', length=None):
    """LENGTH: the one it claims."""
    return struct.pack('>I', len(payload) if length is None else length)[1:] + bytes([kind, flags]) + \
        struct.pack('>I', stream) + payload


def integer(value, bits):
    """HPACK's integer (RFC 7541, 5.1) behind a prefix of zeros."""
    limit = (1 << bits) - 1
    if value < limit:
        return bytes([value])
    out, value = bytearray([limit]), value - limit
    while value >= 128:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes(out + bytes([value]))


def literal(name, value):
    """A header line: neither indexed nor compressed."""
    raw = [part.encode() if isinstance(part, str) else part for part in (name, value)]
    return b'\0' + b''.join(integer(len(part), 7) + part for part in raw)


def request(path=RELAY_PATH, extra=()):
    """The header block of a gRPC call."""
    lines = [(':method', 'POST'), (':scheme', 'http'), (':path', path), (':authority', 'test'), ('te', 'trailers'),
             ('content-type', 'application/grpc'), *extra]
    return b''.join(literal(name, value) for name, value in lines)


def message(payload):
    """A gRPC message."""
    return b'\0' + struct.pack('>I', len(payload)) + payload


class Http2:
    """A connection that has said its preface and SETTINGS."""

    def __init__(self, address, settings=b''):
        self.sock = socket.create_connection(address, PATIENCE)
        self.pending = b''
        self.last_stream = -1
        self.send(PREFACE + frame(SETTINGS, payload=settings))

    def send(self, raw):
        """False: the server has closed."""
        try:
            self.sock.sendall(raw)
            return True
        except (BrokenPipeError, ConnectionResetError, TimeoutError):
            return False

    def call(self, path=RELAY_PATH, extra=(), flags=END_HEADERS):
        """Open a stream; returns its number."""
        self.last_stream += 2
        self.send(frame(HEADERS, flags, self.last_stream, request(path, extra)))
        return self.last_stream

    def next(self):
        """The next frame as (kind, flags, stream, payload); None when the server has closed."""
        while len(self.pending) < 9 or len(self.pending) < 9 + self.length():
            try:
                chunk = self.sock.recv(1 << 18)
            except ConnectionResetError:
                return None
            if not chunk:
                return None
            self.pending += chunk
        length = self.length()
        kind, flags, stream = struct.unpack('>BBI', self.pending[3:9])
        payload, self.pending = self.pending[9:9 + length], self.pending[9 + length:]
        return kind, flags, stream & 0x7fffffff, payload

    def length(self):
        return int.from_bytes(self.pending[:3], 'big')

    def wait(self, kind, stream=None):
        """The next frame of this kind (and stream); SETTINGS and PING are answered meanwhile. None when the server has closed."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            got = self.next()
            if got is None or got[0] == kind and (stream is None or got[2] == stream):
                return got
            if got[0] in (SETTINGS, PING) and not got[1] & ACK:
                self.send(frame(got[0], ACK, 0, got[3] if got[0] == PING else b''))
        raise AssertionError(f'no frame of kind {kind} has come')

    def status(self, stream):
        """grpc-status of a stream that has ended: what the first trailers of a connection say, in full."""
        while True:
            got = self.wait(HEADERS, stream)
            assert got, 'closed'
            at = got[3].find(b'grpc-status')
            if at >= 0:
                value = got[3][at + len('grpc-status'):]
                return int(value[1:1 + value[0]])

    def close(self):
        self.sock.close()
