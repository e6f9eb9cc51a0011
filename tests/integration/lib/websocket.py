"""A WebSocket client of the test's own (RFC 6455), in place of a socket: what `Peer` sends becomes frames, and what it reads is
payload. Apart from the C code in common/net, so that the two can disagree."""

import base64
import hashlib
import os
import struct

GUID = b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN = 0x80


def frame(payload, opcode=BINARY, first=None, mask=None, length=None):
    """A frame of a client. FIRST: its first byte, MASK: the key (b'' for none), LENGTH: the one it claims."""
    mask = os.urandom(4) if mask is None else mask
    length = len(payload) if length is None else length
    bit = 0x80 if mask else 0
    if length < 126:
        head = bytes([bit | length])
    elif length < 1 << 16:
        head = bytes([bit | 126]) + struct.pack('>H', length)
    else:
        head = bytes([bit | 127]) + struct.pack('>Q', length)
    body = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)) if mask else payload
    return bytes([FIN | opcode if first is None else first]) + head + mask + body


def request(key, path='/mqtt', extra=(), without=(), method='GET', protocol='mqtt'):
    """An upgrade request; lines whose name is in WITHOUT are left out."""
    lines = [('Host', 'test'), ('Upgrade', 'websocket'), ('Connection', 'Upgrade'), ('Sec-WebSocket-Key', key),
             ('Sec-WebSocket-Version', '13'), ('Sec-WebSocket-Protocol', protocol)]
    text = f'{method} {path} HTTP/1.1\r\n'
    text += ''.join(f'{name}: {value}\r\n' for name, value in [*(line for line in lines if line[0] not in without), *extra])
    return text.encode('latin-1') + b'\r\n'


def read_head(sock):
    """An HTTP answer up to its empty line, or to the end of the connection: (status, {name: value}, bytes behind it)."""
    got = b''
    while b'\r\n\r\n' not in got:
        chunk = sock.recv(4096)
        if not chunk:
            raise AssertionError(f'closed within an HTTP answer: {got!r}')
        got += chunk
    head, rest = got.split(b'\r\n\r\n', 1)
    first, *lines = head.decode('latin-1').split('\r\n')
    fields = dict(line.split(': ', 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in fields.items()}, rest


class WebSocket:
    """A socket that has been upgraded; raises AssertionError unless the server answers as it must."""

    def __init__(self, sock, path='/mqtt', extra=(), protocol='mqtt'):
        self.sock, self.family = sock, sock.family
        key = base64.b64encode(os.urandom(16)).decode()
        sock.sendall(request(key, path, extra, protocol=protocol))
        status, fields, self.pending = read_head(sock)
        assert status == 101, status
        accept = base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()
        assert fields['sec-websocket-accept'] == accept, fields
        assert fields['sec-websocket-protocol'] in [name.strip() for name in protocol.split(',')], fields
        self.protocol = fields['sec-websocket-protocol']
        self.pongs, self.close_code = [], None

    # ---- what Peer wants of a socket

    def sendall(self, data):
        if data:
            self.sock.sendall(frame(data))

    def recv(self, size):
        """Payload that has come; b'' at the server's close frame or the end of the connection."""
        while self.close_code is None:
            payload = self.take_frames()
            if payload:
                return payload
            if self.close_code is None:
                chunk = self.sock.recv(size)
                if not chunk:
                    return b''
                self.pending += chunk
        return b''

    def take_frames(self):
        payload = b''
        while (got := self.take_frame()) is not None:
            opcode, data = got
            if opcode in (BINARY, CONTINUATION):
                payload += data
            elif opcode == PONG:
                self.pongs.append(data)
            elif opcode == PING:
                self.sock.sendall(frame(data, PONG))
            elif opcode == CLOSE:
                self.close_code = struct.unpack('>H', data[:2])[0] if data else 1005
                break
            else:
                raise AssertionError(f'opcode {opcode} of a server')
        return payload

    def take_frame(self):
        """(opcode, payload) of the first whole frame; None when there is none."""
        head = self.pending[:2]
        if len(head) < 2:
            return None
        assert not head[0] & 0x70 and not head[1] & 0x80, head
        length, at = head[1], 2
        if length >= 126:
            size = 2 if length == 126 else 8
            if len(self.pending) < 2 + size:
                return None
            length, at = int.from_bytes(self.pending[2:2 + size], 'big'), 2 + size
        if len(self.pending) < at + length:
            return None
        payload, self.pending = self.pending[at:at + length], self.pending[at + length:]
        return head[0] & 15, payload

    def wait_pong(self):
        """The payload of the next pong."""
        while not self.pongs:
            assert not self.take_frames(), 'payload instead of a pong'
            if not self.pongs:
                chunk = self.sock.recv(4096)
                assert chunk, 'closed instead of a pong'
                self.pending += chunk
        return self.pongs.pop(0)

    def wait_close(self):
        """The code of the server's close frame, behind which it must end the connection."""
        while self.recv(65536):
            pass
        while self.sock.recv(65536):
            pass
        return self.close_code

    def fileno(self):
        return self.sock.fileno()

    def setsockopt(self, *option):
        self.sock.setsockopt(*option)

    def close(self):
        self.sock.close()
