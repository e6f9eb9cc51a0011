"""A broker that costs next to nothing, to see what the load generator alone can do and costs.

It takes the bytes of each publisher as they come and passes them, unread, to the subscriber of the publisher's first
topic: right for QoS 0 with one topic per pair (`--pattern pairs:N`), and for nothing else.

    /usr/bin/python3 null_broker.py PORT
"""

import selectors
import socket
import struct
import sys

READ_SIZE = 1 << 20


def read_varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def read_string(data, at):
    (length,) = struct.unpack_from(">H", data, at)
    return bytes(data[at + 2 : at + 2 + length]), at + 2 + length


class Client:
    def __init__(self, broker, sock):
        self.broker, self.sock = broker, sock
        self.version = 4
        self.subscriber = None  # the client that gets what this one publishes
        self.begun = bytearray()  # packets before the first PUBLISH

    def on_readable(self):
        try:
            data = self.sock.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return
        except ConnectionResetError:
            data = b""
        if not data:
            self.close()
        elif self.subscriber:
            self.subscriber.send(data)
        else:
            self.begun += data
            self.read_packets()

    def read_packets(self):
        """The sockets of the generator deliver CONNECT, SUBSCRIBE and PINGREQ whole: nothing is checked."""
        while len(self.begun) > 1:
            length, body = read_varint(self.begun, 1)
            kind = self.begun[0] >> 4
            if kind == 3:
                topic, _ = read_string(self.begun, body)
                self.subscriber = self.broker.subscribers[topic]
                self.subscriber.send(bytes(self.begun))
                self.begun.clear()
                return
            if len(self.begun) < body + length:
                return
            self.answer(kind, body)
            del self.begun[: body + length]

    def answer(self, kind, body):
        if kind == 1:
            self.version = self.begun[body + 6]
            self.send(b"\x20\x03\x00\x00\x00" if self.version == 5 else b"\x20\x02\x00\x00")
        elif kind == 8:
            at = body + 2 + (1 if self.version == 5 else 0)
            topic, _ = read_string(self.begun, at)
            self.broker.subscribers[topic] = self
            properties = b"\x00" if self.version == 5 else b""
            code = b"\x00"
            ack = bytes(self.begun[body : body + 2]) + properties + code
            self.send(bytes([0x90, len(ack)]) + ack)
        elif kind == 12:
            self.send(b"\xd0\x00")

    def send(self, data):
        # Blocking on purpose: the publisher behind it waits, as behind any broker that keeps its memory bounded.
        try:
            self.sock.sendall(data)
        except OSError:
            self.close()

    def close(self):
        if self.sock.fileno() >= 0:
            self.broker.selector.unregister(self.sock)
            self.sock.close()


class NullBroker:
    def __init__(self, port):
        self.subscribers = {}
        self.selector = selectors.DefaultSelector()
        self.listener = socket.create_server(("127.0.0.1", port), backlog=4096)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)

    def accept(self):
        sock, _ = self.listener.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.selector.register(sock, selectors.EVENT_READ, Client(self, sock).on_readable)

    def run(self):
        while True:
            for key, _ in self.selector.select():
                key.data()


if __name__ == "__main__":
    NullBroker(int(sys.argv[1])).run()
