"""Writers and readers of numbered messages, thousands a second in one thread, whose sessions outlive any number of kills.

Writers see each message through to its last acknowledgement, WINDOW at a time, QoS 1 and 2 in turn. Readers take everything
and count as the standard says: QoS 2 once for each id until its PUBREL. A reader of a group shares a subscription with the
others of it. Version 3.1.1 throughout, so that a packet is taken apart in a few steps.
"""

import selectors
import socket
import struct
import time

from .peer import PATIENCE

WINDOW = 40
FLOOD = 1 << 18
PUBACK, PUBREC, PUBREL, PUBCOMP = 0x40, 0x50, 0x62, 0x70
TEXT = struct.Struct('>HH')


class Lost(Exception):
    """The broker has been killed, or is not there yet."""


def ack(kind, packet_id):
    return bytes((kind, 2, packet_id >> 8, packet_id & 255))


def text(value):
    return len(value).to_bytes(2, 'big') + value.encode()


def packet(first, body):
    assert len(body) < 128
    return bytes((first, len(body))) + body


class Client:
    """One connection after the other, of one session."""

    def __init__(self, swarm, name):
        self.swarm, self.name = swarm, name
        self.sock, self.input, self.output = None, b'', []

    def connect(self, is_new=False):
        self.drop()
        try:
            self.sock = socket.create_connection(self.swarm.address, PATIENCE)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.sock.sendall(packet(0x10, text('MQTT') + bytes((4, 0, 0, 0)) + text(self.name)))
            answer = self.read_exactly(4)
        except OSError as e:
            raise Lost from e
        assert answer == bytes((0x20, 2, 0 if is_new else 1, 0)), f'{self.name}: CONNACK {answer.hex()}'

    def read_exactly(self, n):
        got = b''
        while len(got) < n:
            chunk = self.sock.recv(n - len(got))
            if not chunk:
                raise Lost
            got += chunk
        return got

    def drop(self):
        if self.sock is not None:
            self.sock.close()
        self.sock, self.input, self.output = None, b'', []

    def flush(self):
        if not self.output:
            return
        try:
            self.sock.sendall(b''.join(self.output))
        except OSError as e:
            raise Lost from e
        self.output = []

    def read(self):
        try:
            chunk = self.sock.recv(FLOOD)
        except OSError as e:
            raise Lost from e
        if not chunk:
            raise Lost
        data = self.input + chunk
        at, end = 0, len(data)
        while end - at >= 2 and end - at >= 2 + data[at + 1]:
            self.take(data[at], data, at + 2, at + 2 + data[at + 1])
            at += 2 + data[at + 1]
        self.input = data[at:]
        self.flush()


class Writer(Client):
    def __init__(self, swarm, index):
        super().__init__(swarm, f'{swarm.base}-w{index}')
        self.index = index
        self.topic = text(swarm.topic(index))
        self.count = self.acknowledged = 0
        self.open = {}                      # packet id: [number, QoS, has it been released]

    def publish(self, packet_id, number, qos, first):
        self.output.append(packet(first | qos << 1, self.topic + packet_id.to_bytes(2, 'big') + struct.pack('>HI', self.index, number)))

    def resume(self):
        for packet_id, (number, qos, is_released) in self.open.items():
            if is_released:
                self.output.append(ack(PUBREL, packet_id))
            else:
                self.publish(packet_id, number, qos, 0x38)
        self.push()

    def push(self):
        while len(self.open) < WINDOW and not self.swarm.is_ending:
            packet_id, qos = self.count % 60000 + 1, 1 + self.count % 2
            self.open[packet_id] = [self.count, qos, False]
            self.publish(packet_id, self.count, qos, 0x30)
            self.count += 1
        self.flush()

    def take(self, first, data, at, _):
        packet_id = data[at] << 8 | data[at + 1]
        if first == PUBREC:
            self.open[packet_id][2] = True
            self.output.append(ack(PUBREL, packet_id))
            return
        number, qos, is_released = self.open.pop(packet_id)
        assert (first, is_released) == ((PUBACK, False) if qos == 1 else (PUBCOMP, True)), f'{self.name}: {first} of {number}'
        self.acknowledged += 1
        self.push()


class Reader(Client):
    def __init__(self, swarm, name, filters, group=None):
        super().__init__(swarm, f'{swarm.base}-{name}')
        self.filters = [f'$share/{group}/{f}' if group else f for f in filters]
        self.received, self.held = [], set()        # (writer, number) in order

    def subscribe(self):
        for wanted in self.filters:
            self.sock.sendall(packet(0x82, b'\0\1' + text(wanted) + b'\2'))
            assert self.read_exactly(5)[4] == 2

    def take(self, first, data, at, end):
        if first == PUBREL:
            packet_id = data[at] << 8 | data[at + 1]
            self.held.discard(packet_id)
            self.output.append(ack(PUBCOMP, packet_id))
            return
        assert first >> 4 == 3, f'{self.name}: {first:02x}'
        at += 2 + (data[at] << 8 | data[at + 1])
        packet_id = data[at] << 8 | data[at + 1]
        writer_and_number = struct.unpack('>HI', data[at + 2:end])
        if first & 6 == 2:
            self.received.append(writer_and_number)
            self.output.append(ack(PUBACK, packet_id))
            return
        if packet_id not in self.held:
            self.held.add(packet_id)
            self.received.append(writer_and_number)
        self.output.append(ack(PUBREC, packet_id))


class Swarm:
    """WRITERS, each with a topic. ADDRESS is where the broker is."""

    def __init__(self, t, writers, address):
        self.base, self.topic, self.address = t.base, lambda i: t.topic(f's/{i}'), address
        self.is_ending = False
        self.writers = [Writer(self, i) for i in range(writers)]
        self.readers, self.absent, self.groups = [], [], []
        self.seconds = 0.0
        for writer in self.writers:
            writer.connect(is_new=True)

    def add_reader(self, name, writers, is_absent=False, group=None):
        reader = Reader(self, name, [self.topic(i) for i in writers], group)
        reader.connect(is_new=True)
        reader.subscribe()
        reader.writers = list(writers)
        if is_absent:
            reader.sock.sendall(bytes((0xE0, 0)))
            assert reader.sock.recv(1) == b''
            reader.drop()
        (self.absent if is_absent else self.readers).append(reader)
        return reader

    def acknowledged(self):
        return sum(writer.acknowledged for writer in self.writers)

    def run(self, is_done, on_idle=None):
        """Until IS_DONE(), or Lost is raised: at a killed broker everybody has to be connected again."""
        begin, last = time.monotonic(), time.monotonic()
        with selectors.DefaultSelector() as selector:
            for client in self.writers + self.readers:
                if client.sock is None:
                    client.connect()
                    client.resume() if isinstance(client, Writer) else None
                elif isinstance(client, Writer):
                    client.push()
                selector.register(client.sock, selectors.EVENT_READ, client)
            while not is_done():
                events = selector.select(0.02)
                last = time.monotonic() if events else last
                assert time.monotonic() - last < PATIENCE, 'nothing moves'
                for key, _ in events:
                    key.data.read()
        self.seconds += time.monotonic() - begin

    def drop_all(self):
        for client in self.writers + self.readers:
            client.drop()

    def end(self):
        """Writers finish; then everybody who was away comes, until all has arrived. Raises Lost."""
        self.is_ending = True
        self.run(lambda: not any(writer.open for writer in self.writers))
        self.readers += self.absent
        self.absent = []
        silence = [time.monotonic(), -1]

        def is_silent():
            count = sum(len(reader.received) for reader in self.readers)
            if count != silence[1]:
                silence[:] = time.monotonic(), count
            seconds = time.monotonic() - silence[0]
            return seconds > 0.3 and self.has_all() or seconds > PATIENCE / 2
        self.run(is_silent)

    def wanted(self, writers):
        return {(i, number) for i in writers for number in range(self.writers[i].count)}

    def parties(self):
        """(name, who together have to have everything, of which writers)"""
        names = {}
        for reader in self.readers:
            name = reader.filters[0].split('/')[1] if reader.filters[0].startswith('$share') else reader.name
            names.setdefault(name, []).append(reader)
        return [(name, members, members[0].writers) for name, members in names.items()]

    def has_all(self):
        return all(self.wanted(writers) <= set().union(*(member.received for member in members))
                   for _, members, writers in self.parties())

    def check(self, where):
        for name, members, writers in self.parties():
            received = [item for member in members for item in member.received]
            lost = sorted(self.wanted(writers) - set(received))
            assert not lost, f'{where}: {name} has lost {len(lost)}: {lost[:10]}'
            once = [item for item in received if item[1] % 2]               # odd ones were QoS 2
            twice = sorted({item for item in once if once.count(item) > 1}) if len(once) != len(set(once)) else []
            assert not twice, f'{where}: {name} has {len(twice)} twice: {twice[:10]}'
            if len(members) > 1:
                continue
            for i in writers:
                numbers = list(dict.fromkeys(number for writer, number in received if writer == i))
                assert numbers == sorted(numbers), f'{where}: {name}: out of order, writer {i}'
