"""What carries the sessions: how two proxies agree on it, on all workers, compressed, batched."""

import signal
import time

from lib import wire
from lib.case import COMPRESS, chain_test
from lib.wire import V31, V311, V5

TRUNK, RELAY = ('--trunk-service', 'trunk'), ('--trunk-service', 'relay')
UNKNOWN = 'does not know trunks'
PACE_S = 0.0003             # between what different clients send: more than a turn of a loop, much less than the linger


@chain_test(V31, V311, V5)
def an_s_proxy_without_trunks_is_served_by_the_relay_service(t):
    """s-proxy --trunk-service relay, r-proxy without any configuration: clients are served, the log says how."""
    _, s_proxy, r_proxy = t.chain(s_options=RELAY)
    c = t.served('c')
    r_proxy.wait_log(f'{UNKNOWN}: the relay service is used')
    c.subscribe((t.topic('a'), 1))
    c.publish(t.topic('b'), b'x' * 100_000, 1)
    t.served('other').publish(t.topic('a'), b'relayed', 1)
    c.receive(t.topic('a'), 'relayed')
    assert s_proxy.metric('sproxy_trunks_opened_total') == 0


@chain_test(V31, V311, V5)
def an_r_proxy_that_insists_on_trunks_says_why_it_refuses(t):
    """r-proxy --trunk-service trunk, s-proxy without: CONNACK 0x88 (3.x: 3), the reason in the log and in MQTT 5."""
    _, _, r_proxy = t.chain(s_options=RELAY, r_options=TRUNK)
    for i in range(3):
        c = t.client(f'c{i}')
        got = c.connect(code=0x88 if t.version == V5 else 3)
        assert t.version != V5 or UNKNOWN in got.prop('reason_string'), got
        c.expect_closed()
    r_proxy.wait_log(f'cannot be used.*{UNKNOWN}')


@chain_test(V311, V5)
def an_s_proxy_with_nothing_but_trunks_refuses_the_relay_service(t):
    """The other way round: the client hears that nobody is there, and both proxies live."""
    _, s_proxy, r_proxy = t.chain(s_options=TRUNK, r_options=RELAY)
    for i in range(3):
        c = t.client(f'c{i}')
        c.connect(code=0x88 if t.version == V5 else 3)
        c.expect_closed()
    assert s_proxy.is_running() and r_proxy.is_running()


@chain_test()
def four_workers_each_serve_two_hundred_clients(t):
    """--workers 4 on both sides, 200 clients: each publishes to its neighbour, whichever workers they are on; a trunk for
    each worker, and every worker's metrics are in the sum."""
    workers = ('--workers', '4')
    _, s_proxy, r_proxy = t.chain(s_options=workers, r_options=workers)
    clients = [t.served(f'c{i}') for i in range(200)]
    for c in clients:
        c.subscribe((t.topic(c.name), 1))
    for sender, receiver in zip(clients, clients[1:] + clients[:1]):
        sender.send(wire.publish(V5, t.topic(receiver.name), sender.name))
    for sender, receiver in zip(clients, clients[1:] + clients[:1]):
        receiver.receive(t.topic(receiver.name), sender.name)
    for program, prefix in ((r_proxy, 'rproxy'), (s_proxy, 'sproxy')):
        assert program.metric(f'{prefix}_trunks_open') == 4
        assert program.metric(f'{prefix}_lanes_open') == program.metric(f'{prefix}_sessions_open') == 200
        assert program.metric(f'{prefix}_lanes_failed_total') == 0
    for c in clients:
        c.disconnect()
    s_proxy.wait_metric('sproxy_lanes_open', 0)
    r_proxy.wait_metric('rproxy_lanes_open', 0)


def readings(t, count):
    """What devices send: alike, never the same."""
    return [f'{{"device":"pump-{i % 20}","site":"{t.declared.function.__name__}","pressure":{3 + i % 17 / 10},"seq":{i}}}'.encode()
            for i in range(count)]


@chain_test()
def compressed_trunks_carry_less(t):
    """--trunk-compression zstd:3 on both sides: messages arrive as they were, and bytes_after_zstd is less than half of
    bytes_before_zstd in each direction; with one side only nobody compresses, and nothing else changes."""
    broker = t.mosquitto()
    for s_options, r_options in ((COMPRESS, COMPRESS), ((), COMPRESS), (COMPRESS, ())):
        s_proxy = t.s_proxy([broker.url], *s_options)
        r_proxy = t.r_proxy(s_proxy.target, *r_options)
        sub, pub = t.served('sub'), t.served('pub')
        sub.subscribe((t.topic('a'), 1))
        for payload in readings(t, 300):
            pub.publish(t.topic('a'), payload, 1)
            sub.receive(t.topic('a'), payload)
        for program, prefix in ((r_proxy, 'rproxy'), (s_proxy, 'sproxy')):
            before, after = (program.metric(f'{prefix}_bytes_{when}_zstd_total') for when in ('before', 'after'))
            if s_options and r_options:
                assert 0 < after < before / 2, (prefix, before, after)
        sub.disconnect()
        pub.disconnect()


def frames_per_message(t, clients, r_proxy):
    """Of the trunks of r-proxy, while every client publishes five times, one after the other."""
    before = [r_proxy.metric(f'rproxy_{what}_sent_total') for what in ('frames', 'messages')]
    for _ in range(5):
        for c in clients:
            c.send(wire.publish(V5, t.topic('a'), b'x', 1, c.new_id()))
            time.sleep(PACE_S)
        for c in clients:
            c.expect('PUBACK')
    frames, messages = (r_proxy.metric(f'rproxy_{what}_sent_total') - was for what, was in zip(('frames', 'messages'), before))
    return frames / messages


@chain_test()
def linger_fills_the_batches(t):
    """--trunk-linger 20ms: what 50 clients send one after another travels in fewer messages than without, and all of it is
    answered."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    found = []
    for linger in ((), ('--trunk-linger', '20ms')):
        r_proxy = t.r_proxy(s_proxy.target, '--workers', '1', *linger)
        clients = [t.served(f'c{i}') for i in range(50)]
        found.append(frames_per_message(t, clients, r_proxy))
    assert found[1] > 2 * found[0] and found[1] > 5, found


@chain_test()
def sighup_leaves_every_trunk_alone(t):
    """Both programs: the trunks that are up stay, no other comes, and nobody is dropped."""
    _, s_proxy, r_proxy = t.chain(r_options=('--workers', '2'))
    c = t.connected('c')
    r_proxy.wait_metric('rproxy_trunks_open', 2)
    for program in (r_proxy, s_proxy):
        since = program.mark()
        program.signal(signal.SIGHUP)
        program.wait_log('SIGHUP', since)
    c.fence()
    assert r_proxy.metric('rproxy_trunks_opened_total') == r_proxy.metric('rproxy_trunks_open') == 2
    assert s_proxy.metric('sproxy_trunks_opened_total') == s_proxy.metric('sproxy_trunks_open') == 2
