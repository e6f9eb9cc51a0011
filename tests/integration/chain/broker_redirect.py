"""mqtt-broker that ends sends its clients to another broker (--server-reference)."""

import signal

from lib import wire
from lib.case import chain_test
from lib.wire import V31, V311, V5, Will

OTHER = 'other.example:1883'


@chain_test(V31, V311, V5)
def clients_are_sent_elsewhere(t):
    """Who is connected hears DISCONNECT 0x9C with the reference, whoever sends CONNECT now CONNACK 0x9C; 3.x: closed, or code 3.
    Sessions stay as they are, and Wills are sent as at any end that is not the client's."""
    broker = t.broker('--server-reference', OTHER, '--workers', '2')
    t.address = broker.address
    clients = [t.connected(f'c{i}', will=Will(t.topic('will'), b'') if i == 0 else None) for i in range(4)]
    late = [t.client(f'late{i}') for i in range(4)]
    broker.wait_metric('broker_connections_open', len(clients) + len(late))
    broker.signal(signal.SIGTERM)
    for c in clients:
        if t.version == V5:
            got = c.expect('DISCONNECT', code=0x9C, server_reference=OTHER)
            assert got.prop('reason_string') is None, got
        c.expect_closed()
    for c in late:
        c.send(wire.connect(t.version, c.client_id), wire.publish(t.version, t.topic('x'), b''))
        got = c.expect('CONNACK', code=0x9C if t.version == V5 else 3)
        assert t.version != V5 or got.prop('server_reference') == OTHER, got
        c.expect_closed()
    assert broker.wait_exit() == 0


@chain_test(V5)
def without_a_reference_the_broker_just_ends(t):
    """DISCONNECT 0x8B; a connection without CONNECT is closed."""
    broker = t.broker()
    t.address = broker.address
    c, late = t.connected('c'), t.client('late')
    broker.wait_metric('broker_connections_open', 2)
    broker.signal(signal.SIGTERM)
    c.expect('DISCONNECT', code=0x8B, server_reference=None)
    c.expect_closed()
    late.expect_closed()
    assert broker.wait_exit() == 0


@chain_test()
def a_reference_is_a_host_and_a_port(t):
    """Anything else is a mistake that is named."""
    for text in ('other.example', ':1883', 'other.example:0x', 'mqtt://other.example:1883', 'other.example:1883/path'):
        broker = t.broker('--server-reference', text, ready=False)
        assert broker.wait_exit() == 1 and 'server-reference' in broker.log(), broker.log()
