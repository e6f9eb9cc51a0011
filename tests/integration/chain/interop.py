"""Together with the existing implementation: its r-proxy before our s-proxy, our r-proxy before its s-proxy.

It is not part of this project. The tests run where its two programs are named by FLOWSDK_R_PROXY and FLOWSDK_S_PROXY, and are
not counted elsewhere. Its known faults are respected: nothing is flooded, and no refusal is expected that it cannot pass.
"""

import os

from lib import wire
from lib.case import chain_test
from lib.programs import Program, free_port
from lib.wire import V311, V5, Will

THEIR_R, THEIR_S = os.environ.get('FLOWSDK_R_PROXY'), os.environ.get('FLOWSDK_S_PROXY')


def interop(*versions):
    """Declare a test for both mixtures, if the other programs are there."""
    def declare(function):
        for name, build in (('their_r_proxy', their_r_proxy), ('their_s_proxy', their_s_proxy)):
            def run(t, build=build):
                build(t)
                function(t)
            run.__name__ = f'{function.__name__}_with_{name}'
            run.__doc__ = function.__doc__
            if THEIR_R and THEIR_S:
                chain_test(*versions)(run)
        return function
    return declare


def their_r_proxy(t):
    t.broker = t.mosquitto()
    s_proxy = t.s_proxy([t.broker.url])
    port = free_port()
    # their log has no line for the moment at which it listens: it says so just before
    program = t.add(Foreign('their r-proxy', [THEIR_R, str(port), f'127.0.0.1:{s_proxy.address[1]}']))
    program.wait_log('Listening on|ready')
    t.address = ('127.0.0.1', port)
    wait_until_listening(t)


def their_s_proxy(t):
    t.broker = t.mosquitto()
    port = free_port()
    t.add(Foreign('their s-proxy', [THEIR_S, str(port), f'127.0.0.1:{t.broker.port}'])).wait_log('broker address|listening')
    t.r_proxy(f'127.0.0.1:{port}')
    t.served('first').disconnect()


def wait_until_listening(t):
    while True:
        try:
            t.client('probe').close()
            return
        except ConnectionRefusedError:
            pass


class Foreign(Program):
    """Ends without a promise about its exit status."""

    def stop(self):
        self.kill()


@interop(V311, V5)
def every_qos_passes(t):
    """Each QoS up and down, and 100 kB."""
    sub, pub = t.connected('sub'), t.connected('pub')
    for qos in (0, 1, 2):
        sub.subscribe((t.topic(f'{qos}'), qos))
        for payload in (b'', b'small', b'x' * 100_000):
            pub.publish(t.topic(f'{qos}'), payload, qos)
            sub.receive(t.topic(f'{qos}'), payload, qos=qos)
    sub.fence()


@interop(V311, V5)
def a_hundred_messages_stay_in_order(t):
    """At a moderate rate: each one acknowledged before the next."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('a'), 1))
    for i in range(100):
        pub.publish(t.topic('a'), b'%d' % i, 1)
    assert [int(got.payload) for got in sub.receive_many(100)] == list(range(100))


@interop(V311, V5)
def retained_and_wills_work(t):
    """A retained message greets; an abrupt loss fires the will."""
    watcher = t.connected('watcher', address=t.broker.address)
    watcher.subscribe((t.topic('will'), 1))
    c = t.connected('c', will=Will(t.topic('will'), b'lost', 1))
    c.publish(t.topic('kept'), b'value', 1, retain=True)
    sub = t.connected('sub')
    sub.subscribe((t.topic('kept'), 1))
    sub.receive(t.topic('kept'), 'value', retain=1)
    c.reset()
    watcher.receive(t.topic('will'), 'lost')


@interop(V311, V5)
def a_session_resumes(t):
    """What was published meanwhile waits."""
    lasting = {'clean': False, **({'properties': [('session_expiry', 100)]} if t.version == V5 else {})}
    pub = t.connected('pub', address=t.broker.address)
    c = t.connected('c', **lasting)
    c.subscribe((t.topic('a'), 1))
    c.send(wire.disconnect(t.version))
    t.broker.wait_log('Client .*-c (disconnected|closed its connection)')
    pub.publish(t.topic('a'), b'waited', 1)
    c = t.client('c')
    c.connect(present=True, **lasting)
    c.receive(t.topic('a'), 'waited')


@interop(V5)
def properties_pass(t):
    """User properties in order, response topic, correlation data, subscription identifier, alias of the client."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('a'), 1), properties=[('subscription_id', 42)])
    pairs = [('z', '1'), ('a', '2'), ('z', '1')]
    pub.publish(t.topic('a'), b'x', 1, properties=[('user_property', pair) for pair in pairs] + [
        ('response_topic', 're'), ('correlation_data', b'\0\1'), ('content_type', 'text'), ('payload_format', 1),
        ('topic_alias', 1)])
    got = sub.receive(t.topic('a'), response_topic='re', correlation_data=b'\0\1', content_type='text', subscription_id=[42])
    assert got.prop('user_property') == pairs, got
    pub.publish('', b'by alias', 1, properties=[('topic_alias', 1)])
    sub.receive(t.topic('a'), 'by alias')


@interop(V311, V5)
def twenty_clients_at_once(t):
    """Client ids that differ, that are long, that are not ASCII; one message for all."""
    ids = [f'plain{i}' for i in range(18)] + ['l' * 200, 'клиент']
    clients = [t.connected(f'{i}', client_id=client_id) for i, client_id in enumerate(ids)]
    for c in clients:
        c.subscribe((t.topic('all'), 0))
    clients[0].send(wire.publish(t.version, t.topic('all'), b'all'))
    for c in clients:
        c.receive(t.topic('all'), 'all')


def only_their(build):
    """Declare a test for one mixture."""
    def declare(function):
        def run(t):
            build(t)
            function(t)
        run.__name__, run.__doc__ = function.__name__, function.__doc__
        return chain_test(V311, V5)(run) if THEIR_R and THEIR_S else function
    return declare


@only_their(their_r_proxy)
def what_cannot_pass_their_r_proxy_is_left_out(t):
    """5 MB for a subscriber behind it (gRPC's limit there is 4 MiB): not delivered, acknowledged to the broker, never sent
    again, and the session goes on with the next message. In MQTT 5 the broker was told the limit and does it itself."""
    sub, pub = t.connected('sub'), t.connected('pub', address=t.broker.address)
    sub.subscribe((t.topic('a'), 1))
    for payload in (b'before', b'x' * 5_000_000, b'after'):
        pub.publish(t.topic('a'), payload, 1)
    assert [got.payload for got in sub.receive_many(2)] == [b'before', b'after']
    sub.fence()


@only_their(their_s_proxy)
def what_cannot_pass_their_s_proxy_is_refused(t):
    """5 MB from a client: MQTT 5 is told the limit in CONNACK and hears 0x95, 3.1.1 is closed; 1 MB passes."""
    sub = t.connected('sub', address=t.broker.address)
    sub.subscribe((t.topic('a'), 1))
    c = t.client('c')
    limit = c.connect().prop('maximum_packet_size')
    assert t.version != V5 or 1_000_000 < limit <= 4 << 20, limit
    c.publish(t.topic('a'), b'x' * 1_000_000, 1)
    sub.receive(t.topic('a'), b'x' * 1_000_000)
    c.send_quietly(wire.publish(t.version, t.topic('a'), b'x' * 5_000_000, 1, 9))
    assert c.expect_end([0x95]) is not None or t.version != V5, 'closed without a word'
    sub.fence()
