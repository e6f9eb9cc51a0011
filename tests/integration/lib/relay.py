"""A TCP relay between two programs, as a process of its own, with a hand on the tap.

    python3 relay.py HOST PORT [PACE]     prints the port it listens on, then obeys commands on stdin:

    cut      reset every connection           stall    move no more bytes        resume   go on
    refuse   reset new connections at once    admit    take them again           bytes    print how many bytes passed

Each command is answered by one line. PACE drip: bytes leave in single-byte writes with pauses of a millisecond: the receiver
sees every split of the first packets of each burst. Later bytes of a long burst leave in odd sizes, so that a megabyte takes no
minute. PACE a number: a slow link, so many bytes per second each way.
"""

import errno
import selectors
import socket
import struct
import sys
import time

BUFFER = 1 << 18
SINGLE_BYTES = 1500         # of a burst, one by one
PAUSED_BYTES = 8            # of a burst, with a pause after each; later ones pause every PAUSE_EVERY bytes
PAUSE_EVERY = 64
PAUSE_S = 0.001
LATER_SIZES = (1, 2, 3, 5, 7, 1021, 11, 13, 8191, 1, 65521, 127, 4093)
RATE_STEPS_PER_S = 100      # how smoothly a slow link moves
RATE_QUEUE_S = 0.1          # what waits before it
SEGMENT = 1448              # bytes, as on most links
KERNEL_LEAST = 64 * 1024    # with less the kernel drops what it has asked for


class AtOnce:
    """As fast as it goes."""
    buffer = BUFFER

    def piece(self, direction):
        return len(direction.pending)

    def wake_at(self, direction, sent):
        return 0.0


class Drip:
    buffer = BUFFER

    def piece(self, direction):
        return 1 if direction.burst < SINGLE_BYTES else LATER_SIZES[direction.burst % len(LATER_SIZES)]

    def wake_at(self, direction, sent):
        burst = direction.burst
        is_pause = burst <= PAUSED_BYTES or burst < SINGLE_BYTES and burst % PAUSE_EVERY == 0
        return time.monotonic() + PAUSE_S if is_pause else 0.0


class Rate:
    """So many bytes per second."""

    def __init__(self, rate):
        self.rate = rate
        self.buffer = int(rate * RATE_QUEUE_S)

    def piece(self, direction):
        return self.rate // RATE_STEPS_PER_S

    def wake_at(self, direction, sent):
        """Who wakes up late makes up for it, but saves nothing up."""
        return max(direction.wake_at, time.monotonic() - 2 / RATE_STEPS_PER_S) + sent / self.rate


def make_pace(words):
    if not words:
        return AtOnce()
    return Drip() if words[0] == 'drip' else Rate(int(words[0]))


class Direction:
    """One way of one connection: bytes read from SOURCE and not yet written to SINK."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.pending = bytearray()
        self.is_ended = False       # SOURCE has sent its FIN
        self.is_shut = False        # and SINK has been told
        self.burst = 0              # bytes written since PENDING was last empty
        self.wake_at = 0.0


class Relay:
    def __init__(self, target, pace):
        self.target, self.pace = target, pace
        self.is_stalled = self.is_refusing = False
        self.moved = 0
        self.selector = selectors.DefaultSelector()
        self.listener = self.limit(socket.create_server(('127.0.0.1', 0), backlog=1024))
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ, self.accept)
        self.selector.register(sys.stdin, selectors.EVENT_READ, self.command)
        self.pairs = {}             # socket -> the two directions of its connection
        self.due = set()            # directions with a pause that must end

    def limit(self, sock):
        """What the kernel holds is queue too; with the segments of loopback a small queue would stand still."""
        if self.pace.buffer < BUFFER:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, max(self.pace.buffer, KERNEL_LEAST))
        return sock

    def connect(self):
        server = self.limit(socket.socket())
        server.settimeout(10)
        server.connect(self.target)
        return server

    def run(self):
        print(self.listener.getsockname()[1], flush=True)
        while True:
            for key, events in self.selector.select(self.next_pause()):
                key.data(key.fileobj, events)
            now = time.monotonic()
            for direction in [d for d in self.due if d.wake_at <= now]:
                self.due.discard(direction)
                self.push(direction)

    def next_pause(self):
        if not self.due:
            return None
        return max(0.0, min(d.wake_at for d in self.due) - time.monotonic())

    def command(self, stdin, events):
        word = stdin.readline().strip()
        if not word:
            sys.exit(0)
        if word == 'cut':
            for sock in list(self.pairs):
                self.drop(sock)
        elif word in ('stall', 'resume'):
            self.is_stalled = word == 'stall'
            for directions in list(self.pairs.values()):
                for direction in directions:
                    self.push(direction)
        elif word in ('refuse', 'admit'):
            self.is_refusing = word == 'refuse'
        print(self.moved if word == 'bytes' else 'ok', flush=True)

    def accept(self, listener, events):
        client, _ = listener.accept()
        if self.is_refusing:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            client.close()
            return
        try:
            server = self.connect()
        except OSError:
            client.close()
            return
        directions = (Direction(client, server), Direction(server, client))
        for sock in (client, server):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.pairs[sock] = directions
            self.selector.register(sock, selectors.EVENT_READ, self.ready)

    def ready(self, sock, events):
        if sock not in self.pairs:
            return
        there, back = self.pairs[sock]
        reading, writing = (there, back) if there.source is sock else (back, there)
        if events & selectors.EVENT_READ:
            self.pull(reading)
        if events & selectors.EVENT_WRITE and sock in self.pairs:
            self.push(writing)

    def pull(self, direction):
        try:
            chunk = direction.source.recv(self.pace.buffer)
        except BlockingIOError:
            return
        except OSError:
            self.drop(direction.source)
            return
        direction.pending += chunk
        direction.is_ended = direction.is_ended or not chunk
        self.push(direction)

    def push(self, direction):
        """Write what may be written now; then look again at what to wait for."""
        try:
            while direction.pending and not self.is_stalled and direction.wake_at <= time.monotonic():
                sent = direction.sink.send(direction.pending[:self.pace.piece(direction)])
                del direction.pending[:sent]
                direction.burst += sent
                self.moved += sent
                direction.wake_at = self.pace.wake_at(direction, sent)
            if not direction.pending:
                direction.burst = 0
            if direction.is_ended and not direction.pending and not direction.is_shut:
                direction.is_shut = True
                direction.sink.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            pass
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                self.drop(direction.sink)
                return
        if direction.pending and not self.is_stalled and direction.wake_at > time.monotonic():
            self.due.add(direction)
        self.watch(direction.source)

    def watch(self, sock):
        there, back = self.pairs.get(sock, (None, None))
        if there is None:
            return
        if there.is_shut and back.is_shut:
            self.drop(sock, abortive=False)
            return
        for reading, writing in ((there, back), (back, there)):
            events = 0
            if not reading.is_ended and len(reading.pending) < self.pace.buffer and not self.is_stalled:
                events |= selectors.EVENT_READ
            if writing.pending and writing not in self.due and not self.is_stalled:
                events |= selectors.EVENT_WRITE
            self.set_events(reading.source, events)

    def set_events(self, sock, events):
        is_known = sock in self.selector.get_map()
        if events and is_known:
            self.selector.modify(sock, events, self.ready)
        elif events:
            self.selector.register(sock, events, self.ready)
        elif is_known:
            self.selector.unregister(sock)

    def drop(self, sock, abortive=True):
        """End a connection; a reset on one side becomes a reset on the other."""
        directions = self.pairs.get(sock)
        if directions is None:
            return
        for direction in directions:
            self.due.discard(direction)
            one = direction.source
            del self.pairs[one]
            self.set_events(one, 0)
            if abortive:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            one.close()


if __name__ == '__main__':
    Relay((sys.argv[1], int(sys.argv[2])), make_pace(sys.argv[3:])).run()
