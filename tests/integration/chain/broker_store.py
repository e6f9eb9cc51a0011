"""What mqtt-broker keeps through its own end: sessions, messages, retained messages, wills."""

import os
import random
import threading
import time

from lib import wire
from lib.case import chain_test
from lib.peer import PATIENCE
from lib.programs import free_port
from lib.persistent import check, start_pairs, wait_for_progress
from lib.wire import V31, V311, V5

PAIRS = 6


def start(t, *options, listen='mqtt://127.0.0.1:0'):
    """Our broker with a store of its own that outlives it."""
    broker = t.broker('--store', 'lmdb:' + os.path.join(t.folder, 'store'), '--workers', '2', *options, listen=listen)
    t.address = broker.address
    return broker


def again(t, broker, *options):
    return start(t, *options, listen='mqtt://{}:{}'.format(*broker.address))


def kill_again_and_again(t, kills, *options):
    broker = start(t, *options)
    stop = threading.Event()
    pairs, threads = start_pairs(t, PAIRS, stop)
    seed = time.time_ns()
    source = random.Random(seed)
    for _ in range(kills):
        wait_for_progress(pairs)
        threading.Event().wait(source.random() * 0.02)      # anywhere in an exchange
        broker.kill()
        broker = again(t, broker, *options)
    stop.set()
    for thread in threads:
        thread.join(4 * PATIENCE)
        assert not thread.is_alive(), f'seed {seed}: a client never got to its end'
    for publisher, subscriber in pairs:
        check(publisher.count, subscriber.received, f'seed {seed}, {kills} kills, {publisher.name}')


@chain_test(V311, V5)
def what_was_acknowledged_survives_kills(t):
    """kill -9 at any moment, again and again: every QoS 1 message arrives, every QoS 2 message exactly once, in order."""
    kill_again_and_again(t, 8)


@chain_test(V5, only_all=True, is_long=True)
def what_was_acknowledged_survives_two_hundred_kills(t):
    """The same, 200 times."""
    kill_again_and_again(t, 200)


@chain_test(V5)
def what_the_kernel_has_survives_kills(t):
    """--durability async: the program may be killed as well, only a loss of power may cost something."""
    kill_again_and_again(t, 4, '--durability', 'async')


@chain_test(V31, V311, V5)
def absent_clients_find_everything_after_a_kill(t):
    """Subscriptions, queued messages with their properties, retained messages."""
    broker = start(t)
    expiry = [('session_expiry', 1000)] if t.version == V5 else []
    sub = t.connected('sub', clean=False, properties=expiry)
    sub.subscribe((t.topic('#'), 2))
    sub.disconnect()
    pub = t.connected('pub')
    properties = [('content_type', 'text'), ('user_property', ('k', 'v'))] if t.version == V5 else []
    for qos in (1, 2):
        pub.publish(t.topic(f'{qos}'), b'queued %d' % qos, qos, properties=properties)
    pub.publish(t.topic('kept'), b'retained', 1, retain=True)
    pub.publish(t.topic('gone'), b'for a while', 1, retain=True)
    pub.publish(t.topic('gone'), b'', 1, retain=True)
    broker.kill()
    again(t, broker)
    sub = t.client('sub')
    sub.connect(present=t.version != V31 or None, clean=False, properties=expiry)
    got = sub.receive_many(count=5)
    assert [(m.topic, m.payload) for m in got] == [(t.topic(topic), payload) for topic, payload in (
        ('1', b'queued 1'), ('2', b'queued 2'), ('kept', b'retained'), ('gone', b'for a while'), ('gone', b''))], got
    assert t.version != V5 or got[1].prop('content_type') == 'text', got
    late = t.connected('late')
    late.subscribe((t.topic('#'), 0))
    late.receive(t.topic('kept'), b'retained', retain=True)
    late.fence()


@chain_test(V5)
def a_session_that_expired_while_nobody_ran_is_gone(t):
    """Expiry goes on while the broker does not run; a session without expiry stays."""
    broker = start(t)
    for name, expiry in (('short', 1), ('long', 0xFFFFFFFF)):
        c = t.connected(name, clean=False, properties=[('session_expiry', expiry)])
        c.disconnect()
    broker.kill()
    deadline = time.monotonic() + 1.1
    while time.monotonic() < deadline:
        threading.Event().wait(0.05)        # the time itself is what the session ends by
    again(t, broker)
    t.client('short').connect(present=False, clean=False)
    t.client('long').connect(present=True, clean=False)


@chain_test(V5)
def the_will_of_a_client_that_was_there_is_sent_after_a_kill(t):
    """Its connection ended with the broker: the Will is published by the next one, after its delay."""
    broker = start(t)
    sub = t.connected('sub', clean=False, properties=[('session_expiry', 1000)])
    sub.subscribe((t.topic('will'), 1))
    will = wire.Will(t.topic('will'), b'lost', 1, properties=[('will_delay', 1)])
    t.connected('c', clean=False, will=will, properties=[('session_expiry', 1000)])
    broker.kill()
    again(t, broker)
    sub = t.client('sub')
    sub.connect(clean=False, properties=[('session_expiry', 1000)])
    sub.receive(t.topic('will'), b'lost')


@chain_test()
def a_second_broker_is_kept_out(t):
    """Two programs on one store would destroy it."""
    start(t)
    second = t.broker('--store', 'lmdb:' + os.path.join(t.folder, 'store'), ready=False)
    assert second.wait_exit() == 1
    assert 'store lmdb:' in second.log(), second.log()
    t.programs.remove(second)


@chain_test(V5)
def the_store_has_a_place_of_its_own(t):
    """Without --store: below the state folder of systemd or of the user, by port; port 0 keeps nothing."""
    home = os.path.join(t.folder, 'home')
    os.mkdir(home)
    environment = {'HOME': home, 'XDG_STATE_HOME': home, 'STATE_DIRECTORY': ''}
    given = os.path.join(home, 'given')
    t.broker(listen='mqtt://127.0.0.1:0', env={**environment, 'STATE_DIRECTORY': given}).wait_log(f'store lmdb:{given}$')
    t.broker(listen='mqtt://127.0.0.1:0', env=environment).wait_log('store memory$')
    port = free_port()
    t.broker(listen=f'mqtt://127.0.0.1:{port}', env=environment).wait_log(f'store lmdb:{home}/mqtt-broker/{port}$')
