"""Long runs under disorder, for `tests/run --all`."""

import random
import threading
import time

from lib import wire
from lib.case import chain_test
from lib.peer import CLOSED, PATIENCE
from lib.persistent import check, start_pairs, wait_for_progress
from lib.programs import SUPPORT
from lib.wire import V311, V5

DISORDER_S = 60
PAIRS = 6


@chain_test(V311, V5, only_all=True, is_long=True, relay=True)
def nothing_is_lost_or_doubled_while_everything_breaks(t):
    """A minute of killed proxies, cut links and drains: every QoS 1 message arrives, every QoS 2 message exactly once, in
    order. The seed is in the log's first line."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    link = t.relay(s_proxy.address)
    r_proxy = t.r_proxy(f'127.0.0.1:{link.port}')
    target, listen = s_proxy.target, 'mqtt://{}:{}'.format(*r_proxy.address)
    stop = threading.Event()
    pairs, threads = start_pairs(t, PAIRS, stop)
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
