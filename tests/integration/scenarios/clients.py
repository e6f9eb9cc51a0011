"""Client ids of every kind, many clients at once, and what a silent one meets."""

import selectors
import time

from lib import wire
from lib.case import scenario
from lib.peer import PATIENCE, connect_to
from lib.wire import V31, V311, V5, Will


@scenario()
def client_ids_of_every_kind_work(t):
    """One byte, more than 23, non-ASCII, slashes and wildcards, 65,535 bytes; each is an identity of its own."""
    ids = ['x', 'i' * 24, 'клиент-日本-😀', 'a/b/+/#', 'with space', '$SYS', 'x' * 65535, 'x' * 65534]
    clients = [t.connected(f'{i}', client_id=client_id, clean=True) for i, client_id in enumerate(ids)]
    for c in clients:
        c.subscribe((t.topic('a'), 1))
    pub = t.connected('pub')
    pub.publish(t.topic('a'), b'all of you', 1)
    for c in clients:
        c.receive(t.topic('a'), 'all of you')
        c.fence()


@scenario(V31, V311)
def an_empty_client_id_needs_a_clean_session(t):
    """M44: with it 3.1.1 is served, without it the answer is 2 (3.1: refused either way)."""
    c = t.client('c', client_id='')
    if t.version == V311:
        c.connect(clean=True)
        c.publish(t.topic('a'), b'', 1)
        c.disconnect()
        c = t.client('c', client_id='')
    c.connect(code=2, clean=False)
    c.expect_closed()


@scenario()
def many_clients_without_an_id_are_many(t):
    """Ten clients with an empty id (3.1: with ten ids) do not disturb each other."""
    clients = [t.client(f'{i}', client_id=f'{i}' if t.version == V31 else '') for i in range(10)]
    for c in clients:
        c.is_quiet = True               # the assigned ids differ
        c.connect()
        c.subscribe((t.topic('a'), 0))
    clients[0].publish(t.topic('b'), b'', 1)
    for c in clients:
        c.fence()
    pub = t.connected('pub')
    pub.publish(t.topic('a'), b'x', 1)
    for c in clients:
        c.receive(t.topic('a'), 'x')


@scenario()
def the_last_client_with_an_id_has_it(t):
    """Take-over: ten in a row; each one closes the one before, the last one lives."""
    pub = t.connected('pub')
    old = None
    for i in range(10):
        new = t.connected(f'{i}', client_id=t.topic('same'))
        new.subscribe((t.topic('a'), 1))
        if old is not None:
            old.expect_closed_by_broker(t.farewell(0x8E))
        old = new
    pub.publish(t.topic('a'), b'last', 1)
    old.receive(t.topic('a'), 'last')


@scenario(V31, V311, V5, is_long=True)
def a_thousand_clients_at_once(t):
    """All are connected at the same time, each gets its own message and the one for all."""
    count = 1000
    clients = [Light(t, i) for i in range(count)]
    selector = selectors.DefaultSelector()
    for c in clients:
        selector.register(c.sock, selectors.EVENT_READ, c)
        c.sock.send(wire.connect(t.version, f'{t.topic()}-{c.number}', keep_alive=0) +
                    wire.subscribe(t.version, 1, [(t.topic(f'own/{c.number}'), 0), (t.topic('all'), 0)]))
    await_all(selector, clients, lambda c: c.seen[:2] == ['CONNACK', 'SUBACK'])
    for c in clients:
        c.sock.send(wire.publish(t.version, t.topic(f'own/{c.number}'), b'%d' % c.number))
    await_all(selector, clients, lambda c: c.payloads == [b'%d' % c.number])
    pub = t.connected('pub')
    pub.publish(t.topic('all'), b'all', 1)
    await_all(selector, clients, lambda c: c.payloads == [b'%d' % c.number, b'all'])
    for c in clients:
        c.sock.send(wire.disconnect(t.version))
    await_all(selector, clients, lambda c: c.is_closed)
    t.note('all', f'{count} served')


class Light:
    """One of very many clients: no deadline and no transcript of its own."""

    def __init__(self, t, number):
        self.number, self.seen, self.payloads, self.is_closed = number, [], [], False
        self.sock = connect_to(t.address)
        self.decoder = wire.Decoder(t.version)
        t.peers.append(self)

    def close(self):
        self.sock.close()

    def read(self):
        chunk = self.sock.recv(65536)
        self.is_closed = not chunk
        self.decoder.feed(chunk)
        while True:
            got = self.decoder.next()
            if got is None:
                return
            self.seen.append(got.kind)
            if got.kind == 'PUBLISH':
                self.payloads.append(got.payload)


def await_all(selector, clients, is_done):
    """Until IS_DONE for all of them."""
    deadline = time.monotonic() + PATIENCE
    missing = {c for c in clients if not is_done(c)}
    while missing:
        ready = selector.select(deadline - time.monotonic())
        assert ready, f'{len(missing)} of {len(clients)} clients wait, the first has seen {next(iter(missing)).seen}'
        for key, _ in ready:
            key.data.read()
            if key.data.is_closed:
                selector.unregister(key.fileobj)
            if is_done(key.data):
                missing.discard(key.data)


@scenario(is_long=True)
def a_silent_client_is_closed_and_its_will_sent(t):
    """R14: keep-alive 2 s and nothing sent: the connection ends and the will is published. A client that pings lives."""
    sub, pings = t.connected('sub', keep_alive=0), t.connected('pings', keep_alive=4)
    sub.subscribe((t.topic('will'), 1))
    pings.is_quiet = True           # how often it pings depends on how soon the silent one is found out
    start = time.monotonic()
    c = t.connected('silent', keep_alive=2, will=Will(t.topic('will'), b'fell silent', 1))
    pings.fence()
    while not wait_readable(sub.sock, 0.9):
        pings.fence()
    sub.receive(t.topic('will'), 'fell silent')
    pings.fence()
    elapsed = time.monotonic() - start
    assert elapsed > 2.9, f'closed after {elapsed:.1f} s already'
    c.expect_end([0x8D])


def wait_readable(sock, timeout):
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(timeout))


@scenario()
def pings_are_answered_in_order(t):
    """PINGREQ passes end to end: its answer never overtakes a message that came before."""
    c = t.connected('c')
    c.subscribe((t.topic('a'), 0))
    for i in range(50):
        c.send(wire.publish(t.version, t.topic('a'), b'%d' % i), wire.pingreq())
        c.receive(t.topic('a'), b'%d' % i)
        c.expect('PINGRESP')
