"""Long runs under disorder, for `tests/run --all`."""

import random
import threading
import time

from lib import wire
from lib.case import chain_test
from lib.peer import CLOSED, PATIENCE, Client, connect_to
from lib.programs import SUPPORT
from lib.wire import V311, V5

DISORDER_S = 60
PAIRS = 6


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


@chain_test(V311, V5, only_all=True, is_long=True, relay=True)
def nothing_is_lost_or_doubled_while_everything_breaks(t):
    """A minute of killed proxies, cut links and drains: every QoS 1 message arrives, every QoS 2 message exactly once, in
    order. The seed is in the log's first line."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    link = t.relay(s_proxy.address)
    r_proxy = t.r_proxy(f'127.0.0.1:{link.port}')
    target, listen = s_proxy.target, 'mqtt://{}:{}'.format(*r_proxy.address)
    stop, pairs, threads = threading.Event(), [], []
    for i in range(PAIRS):
        pair = Publisher(t, f'pub{i}', t.version, stop), Subscriber(t, f'sub{i}', t.version, stop)
        pair[1].subscribed = threading.Event()
        pairs.append(pair)
        for client, wait in ((pair[1], pair[1].subscribed), (pair[0], None)):
            threads.append(threading.Thread(target=client.run, args=(t.topic(f'{i}'),), daemon=True))
            threads[-1].start()
            assert wait is None or wait.wait(PATIENCE)
    seed = time.time_ns()
    source, deadline, accidents = random.Random(seed), time.monotonic() + DISORDER_S, 0
    while time.monotonic() < deadline:
        wait_for_progress(pairs)
        accident = source.choice(('cut', 'kill s', 'kill r', 'drain s', 'drain r', 'stall'))
        if accident == 'cut':
            link.tell('cut')
        elif accident == 'stall':
            link.tell('stall')
            link.tell('cut')
            link.tell('resume')
        elif accident.endswith('s'):
            end(s_proxy, accident)
            s_proxy = t.s_proxy([broker.url], listen=target)
        else:
            end(r_proxy, accident)
            r_proxy = t.r_proxy(f'127.0.0.1:{link.port}', listens=(listen,))
        accidents += 1
    stop.set()
    for thread in threads:
        thread.join(4 * PATIENCE)
        assert not thread.is_alive(), f'seed {seed}: a client never got to its end'
    for publisher, subscriber in pairs:
        check(publisher.count, subscriber.received, f'seed {seed}, {accidents} accidents, {publisher.name}')


def end(program, accident):
    if accident.startswith('kill'):
        program.kill()
    else:
        program.stop()


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


@chain_test(V5, only_all=True, is_long=True, relay=True)
def three_hundred_take_overs_under_load(t):
    """R15: one persistent session is taken over 300 times while messages flow to it: no fault, the last one has it."""
    broker, _, _ = t.chain()
    pub = t.connected('pub', address=broker.address)
    old = None
    for i in range(300):
        c = t.client('same', client_id='same')
        c.is_quiet = True
        c.connect(clean=False, properties=[('session_expiry', 100)])
        c.send(wire.subscribe(V5, 1, [(t.topic('a'), 1)]))
        pub.publish(t.topic('a'), b'%d' % i, 1)
        if old is not None:
            while old.next() != CLOSED:
                pass
            old.close()
        old = c
    old.sock.sendall(wire.pingreq())
    while True:
        got = old.next()
        assert got != CLOSED and got.kind != 'DISCONNECT', got
        if got.kind == 'PINGRESP':
            break


@chain_test(release=True, only_all=True, is_long=True, relay=True)
def valgrind_finds_nothing(t):
    """Both programs under memcheck through a short life with every kind of client: no error, no block lost at exit."""
    wrapper = ['valgrind', '--quiet', '--leak-check=full', '--show-leak-kinds=definite,indirect,possible',
               '--errors-for-leak-kinds=definite,indirect,possible', '--error-exitcode=98', '--child-silent-after-fork=yes',
               f'--suppressions={SUPPORT}/valgrind.supp']
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], wrapper=wrapper)
    r_proxy = t.r_proxy(s_proxy.target, wrapper=wrapper)
    for version in (V311, V5):
        c = t.served('c', version=version, will=wire.Will(t.topic('will'), b'w'))
        c.is_quiet = True
        c.subscribe((t.topic('#'), 2))
        for qos in (0, 1, 2):
            c.send(wire.publish(version, t.topic('a'), b'x' * 100_000, qos, 9 if qos else None))
        c.reset()
        c = t.connected('d', version=version)
        c.publish(t.topic('b'), b'', 2)
        c.disconnect()
        c = t.client('bad', version=version)
        c.send(b'\x30\xff\xff\xff\xff\xff')
        c.expect_end([0x81, 0x82])
    for program in (r_proxy, s_proxy):
        program.stop()
        assert '==' not in program.log(), program.tail(200)
