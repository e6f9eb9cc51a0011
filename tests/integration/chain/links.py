"""What the link between the proxies does to trunks: it goes silent, it is slow, large packets are on it."""

import random
import signal
import threading
import time

from lib import wire
from lib.case import chain_test
from lib.peer import Client, connect_to
from lib.wire import V5, Will

DEAD_AFTER_S = 3.0      # --trunk-dead-after unless told otherwise
SLACK_S = 3.0           # for a busy machine and sanitizers
TOLD = 0x8B
SLOW = 125_000          # bytes per second: 1 Mbit/s
FAST = 16_000_000
MB = 1 << 20


def linked(t, pace=None, options=()):
    """Broker, s-proxy, a relay before it, r-proxy."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *options)
    link = t.relay(s_proxy.address, pace=pace)
    r_proxy = t.r_proxy(f'127.0.0.1:{link.port}', *options)
    return broker, s_proxy, link, r_proxy


def expect_told(clients):
    """All of them, in the time in which a silent trunk must be given up."""
    start = time.monotonic()
    for c in clients:
        c.expect('DISCONNECT', code=TOLD)
        c.expect_closed()
    elapsed = time.monotonic() - start
    assert elapsed < DEAD_AFTER_S + SLACK_S, f'told after {elapsed:.1f} s'


def expect_refused(t):
    """A new client hears at last that there is no way, and why."""
    start = time.monotonic()
    c = t.client('new')
    got = c.connect(code=0x88)
    c.expect_closed()
    elapsed = time.monotonic() - start
    assert got.prop('reason_string') and elapsed < DEAD_AFTER_S + SLACK_S, (got, elapsed)


def check_silence(t, broker, r_proxy, silence, end_silence):
    """Ten clients, then SILENCE(): they are told, a new one is refused; after END_SILENCE() all is as it was."""
    watcher = t.connected('watcher', address=broker.address)
    watcher.subscribe((t.topic('#'), 0))
    clients = [t.served(f'c{i}', will=Will(t.topic(f'{i}'), b'lost')) for i in range(10)]
    silence()
    expect_told(clients)
    expect_refused(t)
    end_silence()
    assert len({watcher.receive().topic for _ in clients}) == 10, 'a will is missing'
    c = t.served('again')
    c.publish(t.topic('again'), b'', 1)
    watcher.receive(t.topic('again'))
    assert r_proxy.metric('rproxy_trunks_dead_total') > 0


@chain_test()
def a_silent_link_is_noticed(t):
    """Bytes vanish and nobody closes: clients hear 0x8B and new ones 0x88 within the 3 s of --trunk-dead-after, wills fire."""
    broker, _, link, r_proxy = linked(t)
    check_silence(t, broker, r_proxy, lambda: link.tell('stall'), lambda: link.tell('resume'))


@chain_test()
def a_stopped_s_proxy_is_noticed(t):
    """SIGSTOP: its kernel takes everything, it does nothing. After SIGCONT it serves again and ends well."""
    broker, s_proxy, r_proxy = t.chain()
    check_silence(t, broker, r_proxy, lambda: s_proxy.signal(signal.SIGSTOP), lambda: s_proxy.signal(signal.SIGCONT))


def own_client(t, name, address):
    """For a thread of its own."""
    c = Client(name, connect_to(address), V5, [], f'{t.base}-{name}')
    c.is_quiet = True
    t.peers.append(c)
    c.connect(properties=[('receive_maximum', 65535)])
    return c


class Flood:
    """COUNT numbered messages of QoS 0 from PUB to SUB, each in a thread of its own."""

    def __init__(self, pub, sub, topic, count, payload):
        self.pub, self.sub, self.topic, self.count, self.payload = pub, sub, topic, count, payload
        self.received = []
        self.threads = [threading.Thread(target=self.send), threading.Thread(target=self.receive)]
        sub.subscribe((topic, 0))

    def start(self):
        for thread in self.threads:
            thread.start()

    def send(self):
        for number in range(self.count):
            self.pub.send(wire.publish(V5, self.topic, b'%08d' % number + self.payload))

    def receive(self):
        for _ in range(self.count):
            self.received.append(int(self.sub.expect('PUBLISH').payload[:8]))

    def is_running(self):
        return any(thread.is_alive() for thread in self.threads)

    def check(self):
        for thread in self.threads:
            thread.join()
        assert self.received == list(range(self.count)), f'{self.pub.name}: lost or out of order'


def worst_exchange_s(c, topic, goes_on):
    """The longest time that C waited for an acknowledgement while GOES_ON()."""
    waits = []
    while goes_on():
        start = time.monotonic()
        c.publish(topic, b'', 1)
        waits.append(time.monotonic() - start)
    return max(waits)


@chain_test(release=True, is_long=True)
def a_saturated_slow_link_is_not_dead(t):
    """1 Mbit/s, four publishers up and four down at once as fast as it goes, 1 MB each way: no trunk is given up, nothing is
    lost, and another client's publish is acknowledged within 3 s all the while: two crossings of a second each."""
    broker, s_proxy, _, r_proxy = linked(t, SLOW, ('--workers', '1'))
    payload = random.Random(1).randbytes(500)
    small = t.served('small')
    small.is_quiet = True
    ways = {'up': (t.address, broker.address), 'down': (broker.address, t.address)}
    floods = [Flood(own_client(t, f'{name} pub', source), own_client(t, f'{name} sub', sink), t.topic(name), 500, payload)
              for way, (source, sink) in ways.items() for name in (f'{way}{i}' for i in range(4))]
    for flood in floods:
        flood.start()
    worst = worst_exchange_s(small, t.topic('small'), lambda: any(flood.is_running() for flood in floods))
    for flood in floods:
        flood.check()
    assert r_proxy.metric('rproxy_trunks_dead_total') == s_proxy.metric('sproxy_trunks_dead_total') == 0
    assert worst < 3.0, f'{worst:.1f} s for an acknowledgement'


@chain_test(release=True, relay=True)
def small_packets_do_not_wait_behind_large_ones(t):
    """1 MB and 30 MB up and down over 16 MB/s on one trunk: before the large one has arrived, another client has had several
    exchanges, and a hundred."""
    linked(t, FAST, ('--workers', '1'))
    t.served('first').disconnect()
    for size, least in ((MB, 5), (30 * MB, 100)):
        large, sub, small = (own_client(t, f'{name}{size}', t.address) for name in ('large', 'sub', 'small'))
        sub.subscribe((t.topic(f'{size}'), 1))
        payload = random.Random(size).randbytes(size)
        done = []

        def send():
            done.append(large.publish(t.topic(f'{size}'), payload, 1))

        def receive():
            done.append(sub.receive(t.topic(f'{size}'), payload))

        threads = [threading.Thread(target=send), threading.Thread(target=receive)]
        for thread in threads:
            thread.start()
        exchanges = 0
        while any(thread.is_alive() for thread in threads):
            small.publish(t.topic('small'), b'', 1)
            exchanges += 1
        assert len(done) == 2, 'the large one has not arrived or is not acknowledged'
        assert exchanges >= least, f'{exchanges} exchanges beside {size} bytes'
