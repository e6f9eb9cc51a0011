"""A client at the door: nobody behind it, a broker that says no, one that says nothing, and a client that says nothing."""

import socket
import time

from lib import wire
from lib.case import chain_test
from lib.programs import free_port
from lib.wire import V31, V311, V5

EVERY_VERSION = (V31, V311, V5)


def expect_unavailable(t, name='c', **options):
    """CONNACK 3 or 0x88 with a reason for people, then the end."""
    c = t.client(name)
    got = c.connect(code=0x88 if t.version == V5 else 3, **options)
    if t.version == V5:
        assert got.prop('reason_string'), got
    c.expect_closed()


@chain_test(*EVERY_VERSION, relay=True)
def without_a_broker_the_client_hears_so(t):
    """Nobody listens there: s-proxy makes the CONNACK. Once somebody does, clients are served."""
    port = free_port()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{port}'])
    t.r_proxy(s_proxy.target)
    for i in range(3):
        expect_unavailable(t, f'c{i}')
    t.mosquitto(port=port)
    t.served('served').fence()


@chain_test(*EVERY_VERSION, relay=True)
def without_an_s_proxy_the_client_hears_so(t):
    """Nobody listens there: r-proxy makes the CONNACK. Once somebody does, clients are served."""
    port = free_port()
    t.r_proxy(f'127.0.0.1:{port}')
    for i in range(3):
        expect_unavailable(t, f'c{i}')
    broker = t.mosquitto()
    t.s_proxy([broker.url], listen=f'127.0.0.1:{port}')
    t.served('served').fence()


@chain_test(V311, V5)
def a_name_that_does_not_resolve_is_unavailable(t):
    """An upstream host that does not exist."""
    s_proxy = t.s_proxy(['mqtt://no-such-host.invalid:1883'])
    t.r_proxy(s_proxy.target)
    expect_unavailable(t)


@chain_test(V311, V5, relay=True)
def a_broker_that_hangs_up_on_connect_hangs_up_on_the_client(t):
    """It reads CONNECT and closes without a word, as some refuse a client: the client sees the same."""
    broker = t.scripted()
    t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    up = t.accept(broker)
    up.expect('CONNECT')
    up.close()
    c.expect_closed()


@chain_test(V311, V5)
def a_broker_that_does_not_answer_the_connection_is_unavailable(t):
    """Its queue is full, SYN gets no answer: --upstream-connect-timeout ends the wait."""
    deaf = socket.create_server(('127.0.0.1', 0), backlog=0)
    port = deaf.getsockname()[1]
    fillers = []
    try:
        while True:
            filler = socket.socket()
            fillers.append(filler)
            filler.settimeout(0.2)
            filler.connect(('127.0.0.1', port))
    except TimeoutError:
        pass
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{port}'], '--upstream-connect-timeout', '300ms')
    t.r_proxy(s_proxy.target)
    expect_unavailable(t)
    for filler in fillers + [deaf]:
        filler.close()


@chain_test(V311, V5, relay=True)
def a_client_that_gives_up_waiting_is_forgotten(t):
    """It leaves before the broker's CONNACK: the broker's connection ends too, and its late CONNACK harms nobody."""
    broker = t.scripted()
    t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    up = t.accept(broker)
    up.expect('CONNECT')
    c.close()
    up.expect_closed()
    c = t.client('next')
    c.send(wire.connect(t.version, c.client_id))
    up = t.accept(broker)
    up.expect('CONNECT')
    up.send(wire.connack(t.version))
    c.expect('CONNACK', code=0)


@chain_test(V311, V5, relay=True)
def nothing_behind_a_refused_connect_is_processed(t):
    """M45: the broker refuses; what the client had pipelined never reaches it."""
    broker = t.scripted()
    t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id), wire.publish(t.version, 't', b'must not be seen', 1, 1))
    up = t.accept(broker)
    up.expect('CONNECT')
    up.send(wire.connack(t.version, 0x87 if t.version == V5 else 5))
    c.expect('CONNACK', code=0x87 if t.version == V5 else 5)
    c.expect_closed()
    up.expect_closed()


@chain_test()
def a_connection_without_connect_is_closed(t):
    """R01, R02: nothing, half a CONNECT, and one byte at a time end after --connect-timeout; others are served meanwhile."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    t.r_proxy(s_proxy.target, '--connect-timeout', '700ms')
    start = time.monotonic()
    silent, half, slow = (t.client(name) for name in ('silent', 'half', 'slow'))
    connect = wire.connect(V5, 'x' * 1000)
    half.send(connect[:100])
    others = 0
    while not slow.poll_closed():
        slow.send_quietly(connect[others % len(connect):others % len(connect) + 1])
        t.connected('other', client_id=f'other{others}').disconnect()
        others += 1
    for c in (silent, half):
        c.expect_closed()
    elapsed = time.monotonic() - start
    assert 0.6 < elapsed < 30 and others > 0, (elapsed, others)


@chain_test(V5)
def claims_of_large_packets_cost_no_memory(t):
    """R03: 200 connections claim a CONNECT of 256 MB and a PUBLISH of 256 MB; r-proxy does not allocate for a claim."""
    _, _, r_proxy = t.chain()
    before = r_proxy.resident_bytes()
    for number in range(200):
        c = t.client(f'{number}')
        c.send(bytes([0x10 if number % 2 else 0x30]) + wire.varint(268435455) + b'\0\4MQTT\5')
    t.connected('other').fence()
    grown = r_proxy.resident_bytes() - before
    assert grown < 64 << 20, f'{grown >> 20} MB for nothing'


@chain_test(V311, V5, relay=True)
def a_wrong_service_at_the_gRPC_address_is_unavailable(t):
    """What answers there is no gRPC: an MQTT broker, or somebody who only accepts."""
    broker = t.mosquitto()
    t.r_proxy(f'127.0.0.1:{broker.port}')
    expect_unavailable(t)


@chain_test()
def a_full_upstream_address_list_is_tried_before_saying_no(t):
    """Two addresses, both closed: one CONNACK, and both were tried."""
    ports = (free_port(), free_port())
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{port}' for port in ports])
    t.r_proxy(s_proxy.target)
    since = s_proxy.mark()
    expect_unavailable(t)
    for port in ports:
        s_proxy.wait_log(f'127.0.0.1:{port}.*(refused|REFUSED)', since)

