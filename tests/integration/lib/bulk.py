"""Many packets through one connection, as fast as they can be made. Version 3.1.1."""

import socket

from .peer import PATIENCE

WINDOW = 1000


def text(value):
    return len(value).to_bytes(2, 'big') + value.encode()


def packet(first, body):
    length, left = b'', len(body)
    while True:
        left, low = divmod(left, 128)
        length += bytes((low | (128 if left else 0),))
        if left == 0:
            return bytes((first,)) + length + body


class Bulk:
    """A connected client."""

    def __init__(self, address, client_id, clean=True):
        self.sock = socket.create_connection(address, PATIENCE)
        self.sock.sendall(packet(0x10, text('MQTT') + bytes((4, 2 if clean else 0, 0, 0)) + text(client_id)))
        self.is_present = self.read(4)[2] == 1

    def read(self, n):
        got = b''
        while len(got) < n:
            chunk = self.sock.recv(n - len(got))
            assert chunk, 'closed'
            got += chunk
        return got

    def subscribe(self, filters, qos=1):
        """In one packet; all are granted."""
        self.sock.sendall(packet(0x82, b'\0\1' + b''.join(text(wanted) + bytes((qos,)) for wanted in filters)))
        assert self.read(1) == b'\x90'
        while self.read(1)[0] & 128:
            pass
        assert self.read(2 + len(filters))[2:] == bytes((qos,)) * len(filters)

    def publish(self, messages, retain=False):
        """MESSAGES are (topic, payload), with QoS 1: until the last PUBACK."""
        sent = acknowledged = 0
        left = b''
        source = iter(messages)
        is_end = False
        while not is_end or acknowledged < sent:
            batch = []
            while not is_end and sent - acknowledged < WINDOW:
                message = next(source, None)
                is_end = message is None
                if not is_end:
                    batch.append(packet(0x32 | retain, text(message[0]) + (sent % 60000 + 1).to_bytes(2, 'big') + message[1]))
                    sent += 1
            if batch:
                self.sock.sendall(b''.join(batch))
            if acknowledged < sent:
                left += self.sock.recv(1 << 16)
                acknowledged += len(left) // 4
                left = left[len(left) // 4 * 4:]

    def disconnect(self):
        self.sock.sendall(b'\xe0\0')
        assert self.sock.recv(1) == b''
        self.sock.close()
