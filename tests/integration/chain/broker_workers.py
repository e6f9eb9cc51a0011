"""mqtt-broker with several workers: clients of different workers are clients of one broker."""

import random
import selectors
import time

from lib import wire
from lib.case import chain_test
from lib.peer import PATIENCE
from lib.wire import V5

WORKERS = 4
CLIENTS, TOPICS, MESSAGES = 200, 40, 40
WINDOW = 10


class Crowd:
    """Clients that all read all the time; HANDLE(client, packet) is told of what comes."""

    def __init__(self, t, count, handle):
        self.selector, self.handle = selectors.DefaultSelector(), handle
        self.clients = []
        for i in range(count):
            c = t.connected(f'c{i}')
            c.is_quiet, c.at, c.outstanding, c.received = True, i, {}, {}
            self.clients.append(c)
            self.selector.register(c.sock, selectors.EVENT_READ, c)

    def run(self, is_done):
        deadline = time.monotonic() + PATIENCE
        while not is_done():
            events = self.selector.select(deadline - time.monotonic())
            assert events, 'nothing comes any more'
            for key, _ in events:
                self.read(key.data)

    def read(self, c):
        chunk = c.sock.recv(1 << 18)
        assert chunk, f'{c.name}: closed'
        c.decoder.feed(chunk)
        while (got := c.decoder.next()) is not None:
            self.handle(c, got)


class Account:
    """Everybody publishes to topics by chance, numbered for each publisher and topic; everybody has subscribed to some."""

    def __init__(self, t, seed):
        self.t, self.random = t, random.Random(seed)
        self.crowd = Crowd(t, CLIENTS, self.handle)
        self.missing, self.busy = 0, set()
        self.sent = {}                          # (publisher, topic): how many
        self.subscribers = {topic: set() for topic in range(TOPICS)}

    def subscribe(self):
        for c in self.crowd.clients:
            for topic in self.random.sample(range(TOPICS), 3):
                if self.random.random() < 0.8:
                    wanted = self.t.topic(f'{topic}/x')
                else:
                    wanted = self.t.topic(f'{topic}/+')
                c.subscribe((wanted, 2))
                self.subscribers[topic].add(c.at)

    def publish(self):
        for c in self.crowd.clients:
            c.left = MESSAGES
            self.busy.add(c.at)
            self.push(c)

    def push(self, c):
        """As much as C's window allows; the exchanges run side by side."""
        while c.left > 0 and len(c.outstanding) < WINDOW:
            topic, qos = self.random.randrange(TOPICS), self.random.randrange(3)
            number = self.sent[c.at, topic] = self.sent.get((c.at, topic), 0) + 1
            packet_id = c.new_id() if qos else None
            c.left -= 1
            if qos:
                c.outstanding[packet_id] = qos
            c.send(wire.publish(c.version, self.t.topic(f'{topic}/x'), b'%d %d %d' % (c.at, topic, number), qos, packet_id))
            self.missing += len(self.subscribers[topic])
        if c.left == 0 and not c.outstanding:
            self.busy.discard(c.at)

    def handle(self, c, got):
        if got.kind == 'PUBLISH':
            self.take(c, got)
        elif got.kind == 'PUBREC':
            c.send(wire.ack(c.version, 'PUBREL', got.packet_id))
        elif got.kind == 'PUBREL':
            c.send(wire.ack(c.version, 'PUBCOMP', got.packet_id))
        elif got.kind in ('PUBACK', 'PUBCOMP'):
            del c.outstanding[got.packet_id]
            self.push(c)

    def take(self, c, got):
        publisher, topic, number = map(int, got.payload.split())
        before = c.received.get((publisher, topic, got.qos), 0)
        assert number > before, f'{c.name}: {number} of {publisher} to {topic} behind {before}'
        c.received[publisher, topic, got.qos] = number
        self.missing -= 1
        if got.qos:
            c.send(wire.ack(c.version, 'PUBACK' if got.qos == 1 else 'PUBREC', got.packet_id))

    def is_done(self):
        return not self.busy and self.missing == 0


@chain_test(V5)
def everybody_hears_everybody(t):
    """200 clients of four workers, all three QoS: every message arrives once at each subscriber, in its publisher's order."""
    t.address = t.broker('--workers', str(WORKERS), '--max-queued-messages', '0').address
    seed = time.time_ns()
    account = Account(t, seed)
    account.subscribe()
    account.publish()
    account.crowd.run(account.is_done)
    for c in account.crowd.clients:
        c.send(wire.pingreq())
    fenced = set()
    account.crowd.handle = lambda c, got: fenced.add(c.at) if got.kind == 'PINGRESP' else account.handle(c, got)
    account.crowd.run(lambda: len(fenced) == CLIENTS)
    assert account.missing == 0, f'seed {seed}: {-account.missing} too many'


@chain_test(V5)
def what_is_published_behind_suback_arrives(t):
    """SUBACK, and the answer to a retained message, mean that every worker knows: nothing is lost between two clients."""
    t.address = t.broker('--workers', str(WORKERS)).address
    publishers = [t.connected(f'pub{i}') for i in range(8)]
    for i in range(60):
        sub = t.connected(f'sub{i}')
        sub.is_quiet = True
        publisher = publishers[i % 8]
        publisher.is_quiet = True
        publisher.publish(t.topic(f'{i}/kept'), b'kept', 1, retain=True)
        sub.subscribe((t.topic(f'{i}/#'), 1))
        sub.receive(t.topic(f'{i}/kept'), b'kept', retain=1)
        publisher.publish(t.topic(f'{i}/now'), b'now', i % 3)
        sub.receive(t.topic(f'{i}/now'), b'now')
        sub.disconnect()


@chain_test(V5)
def a_shared_subscription_spans_workers(t):
    """Each message goes to one member, wherever it is; and to one that is connected while there is one."""
    t.address = t.broker('--workers', str(WORKERS)).address
    members = [t.connected(f'member{i}', clean=False, properties=[('session_expiry', 100)]) for i in range(8)]
    pub = t.connected('pub')
    for member in members:
        member.is_quiet = True
        member.subscribe((f'$share/group/{t.topic("#")}', 1))
    for i in range(80):
        pub.publish(t.topic('x'), b'%d' % i, 1)
    got = []
    for member in members:
        got += [int(message.payload) for message in member.receive_many(10)]
    assert sorted(got) == list(range(80)), sorted(got)
    for member in members[1:]:
        member.disconnect()
    for i in range(20):
        pub.publish(t.topic('y'), b'%d' % i, 1)
    # one that another worker gave to a member that was just going comes after those behind it
    assert sorted(int(message.payload) for message in members[0].receive_many(20)) == list(range(20))
