"""Clients whose sessions outlive their connections, and the account of what they were promised.

A Publisher sees each message through to its last acknowledgement, over any number of connections; a Subscriber takes
everything and counts as the standard says. check() holds one against the other.
"""

import threading
import time

from . import wire
from .peer import CLOSED, PATIENCE, Client, connect_to
from .wire import V5


class Gone(Exception):
    """The connection ended; the session goes on with the next one."""


class Persistent:
    """A client with a session that outlives its connections."""

    def __init__(self, t, name, version, stop):
        self.t, self.name, self.version, self.stop = t, name, version, stop
        self.client = None

    def reconnect(self):
        """Until CONNACK 0. Those who are refused or cut off come again."""
        while True:
            try:
                if self.client is not None:
                    self.client.close()
                self.client = Client(self.name, connect_to(self.t.address), self.version, [], f'{self.t.base}-{self.name}')
                self.client.is_quiet = True
                self.client.send(wire.connect(self.version, self.client.client_id, clean=False, properties=(
                    [('session_expiry', 3600)] if self.version == V5 else [])))
                got = self.client.next()
                if got != CLOSED and got.kind == 'CONNACK' and got.code == 0:
                    return got
            except OSError:
                pass

    def next(self):
        try:
            got = self.client.next()
        except OSError:
            raise Gone from None
        if got == CLOSED or got.kind == 'DISCONNECT':
            raise Gone
        return got

    def send(self, *pieces):
        try:
            self.client.send(*pieces)
        except OSError:
            raise Gone from None


class Publisher(Persistent):
    """One message after the other, QoS 1 and 2 in turn, each pursued to its last acknowledgement over any number of
    connections."""

    count = 0       # messages that have had their last acknowledgement

    def run(self, topic):
        self.reconnect()
        while not self.stop.is_set():
            qos = 1 + self.count % 2
            self.deliver(topic, b'%d' % self.count, qos, self.count % 65535 + 1)
            self.count += 1
        self.deliver(topic, b'end', 2, 65535)

    def deliver(self, topic, payload, qos, packet_id):
        is_again = is_released = False
        while True:
            try:
                if is_released:
                    self.send(wire.ack(self.version, 'PUBREL', packet_id))
                else:
                    self.send(wire.publish(self.version, topic, payload, qos, packet_id, dup=is_again))
                while True:
                    got = self.next()
                    if got.packet_id == packet_id and got.kind in ('PUBACK', 'PUBCOMP'):
                        return
                    if got.packet_id == packet_id and got.kind == 'PUBREC' and not is_released:
                        is_released = True
                        self.send(wire.ack(self.version, 'PUBREL', packet_id))
            except Gone:
                is_again = True
                self.reconnect()


class Subscriber(Persistent):
    """Takes everything; a QoS 2 message counts when it comes first, repeats of its id until PUBREL do not."""

    def run(self, topic):
        self.received, held = [], set()
        self.reconnect()
        is_subscribed = False
        while not self.received or self.received[-1] != b'end' or held:
            try:
                if not is_subscribed:
                    self.send(wire.subscribe(self.version, 1, [(topic, 2)]))
                got = self.next()
                if got.kind == 'SUBACK':
                    is_subscribed = True
                    self.subscribed.set()
                elif got.kind == 'PUBLISH':
                    self.take(got, held)
                elif got.kind == 'PUBREL':
                    held.discard(got.packet_id)
                    self.send(wire.ack(self.version, 'PUBCOMP', got.packet_id))
            except Gone:
                self.reconnect()

    def take(self, got, held):
        if got.qos == 1:
            self.received.append(got.payload)
            self.send(wire.ack(self.version, 'PUBACK', got.packet_id))
            return
        if got.packet_id not in held:
            held.add(got.packet_id)
            self.received.append(got.payload)
        self.send(wire.ack(self.version, 'PUBREC', got.packet_id))


def start_pairs(t, count, stop, name='', publish_at=None, subscribe_at=None):
    """COUNT publishers with a subscriber each, in threads of their own: the pairs, the threads. They end after STOP. Both
    connect to t.address, unless they are told where instead."""
    pairs, threads = [], []
    for i in range(count):
        pair = (Publisher(publish_at or t, f'pub{name}{i}', t.version, stop),
                Subscriber(subscribe_at or t, f'sub{name}{i}', t.version, stop))
        pair[1].subscribed = threading.Event()
        pairs.append(pair)
        for client, wait in ((pair[1], pair[1].subscribed), (pair[0], None)):
            threads.append(threading.Thread(target=client.run, args=(t.topic(f'{name}{i}'),), daemon=True))
            threads[-1].start()
            assert wait is None or wait.wait(PATIENCE)
    return pairs, threads


def wait_for_progress(pairs):
    """Some messages have passed since the last accident: disorder, not standstill, is the subject."""
    before = [publisher.count for publisher, _ in pairs]
    deadline = time.monotonic() + 4 * PATIENCE
    while sum(publisher.count - start for (publisher, _), start in zip(pairs, before)) < 50:
        assert time.monotonic() < deadline, 'nothing moves'
        threading.Event().wait(0.01)


def check(count, received, where):
    numbers = [int(payload) for payload in received if payload != b'end']
    once = [number for number in numbers if number % 2]                 # odd ones were QoS 2
    assert once == [number for number in range(count) if number % 2], f'{where}: QoS 2 {difference(once, count)}'
    assert set(numbers) == set(range(count)), f'{where}: lost {sorted(set(range(count)) - set(numbers))[:10]}'
    firsts = list(dict.fromkeys(numbers))
    assert firsts == sorted(firsts), f'{where}: out of order'


def difference(once, count):
    wanted = [number for number in range(count) if number % 2]
    return f'lost {sorted(set(wanted) - set(once))[:10]}, twice {sorted({n for n in once if once.count(n) > 1})[:10]}'
