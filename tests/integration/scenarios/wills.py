"""Wills: fired by a loss, silenced by DISCONNECT, delayed, complete."""

from lib import wire
from lib.case import scenario
from lib.wire import V5, Will


@scenario()
def an_abrupt_loss_fires_the_will(t):
    """FIN without DISCONNECT and a TCP reset, at every QoS of the will; once each."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 2))
    for end in ('close', 'reset'):
        for qos in (0, 1, 2):
            topic = t.topic(f'{end}{qos}')
            c = t.connected('c', will=Will(topic, b'lost', qos))
            getattr(c, end)()
            sub.receive(topic, 'lost', qos=qos, retain=0)
    sub.fence()


@scenario()
def disconnect_silences_the_will(t):
    """The broker has heard DISCONNECT before the connection ends, also when both come in one segment or the client
    closes at once behind it."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    c = t.connected('c', will=Will(t.topic('will'), b'must not be seen', 1))
    c.disconnect()
    c = t.connected('c', will=Will(t.topic('will'), b'must not be seen', 1))
    c.send(wire.publish(t.version, t.topic('last'), b'words', 1, 1), wire.disconnect(t.version))
    c.sock.shutdown(1)
    sub.receive(t.topic('last'), 'words')
    c.expect('PUBACK')
    c.expect_closed()
    sub.fence()


@scenario()
def a_retained_will_stays(t):
    """It greets later subscribers."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('status'), 1))
    c = t.connected('c', will=Will(t.topic('status'), b'offline', 1, retain=True))
    c.publish(t.topic('status'), b'online', 1, retain=True)
    sub.receive(t.topic('status'), 'online')
    c.close()
    sub.receive(t.topic('status'), 'offline', retain=0)
    late = t.connected('late')
    late.subscribe((t.topic('status'), 1))
    late.receive(t.topic('status'), 'offline', retain=1)
    late.disconnect()
    sub.unsubscribe(t.topic('status'))
    sub.publish(t.topic('status'), b'', 1, retain=True)


@scenario()
def wills_may_be_empty_or_large(t):
    """An empty payload, all byte values, 60,000 bytes."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('will'), 1))
    for payload in (b'', bytes(range(256)), b'w' * 60000):
        c = t.connected('c', will=Will(t.topic('will'), payload, 1))
        c.close()
        sub.receive(t.topic('will'), payload)


@scenario()
def a_take_over_fires_the_will_of_the_old(t):
    """The second client with the same id takes the session; the first one's will is sent."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    old = t.connected('old', client_id=t.topic('same'), will=Will(t.topic('will'), b'taken over', 1))
    new = t.connected('new', client_id=t.topic('same'))
    sub.receive(t.topic('will'), 'taken over')
    old.expect_closed_by_broker(t.farewell(0x8E))
    new.disconnect()
    sub.fence()


@scenario()
def a_protocol_error_fires_the_will(t):
    """QoS 3 (M16) ends the connection, and not as a DISCONNECT would."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    c = t.connected('c', will=Will(t.topic('will'), b'broke the rules', 1))
    c.send(wire.publish(t.version, t.topic('a'), b'', 3, 1))
    sub.receive(t.topic('will'), 'broke the rules')
    c.expect_end([0x81, 0x82])


@scenario(V5)
def disconnect_with_will_fires_it(t):
    """M42: reason 0x04 publishes the will, 0x00 does not, and the connection is closed either way."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    for code in (0x00, 0x04):
        c = t.connected('c', will=Will(t.topic(f'{code}'), b'wanted', 1))
        c.disconnect(code)
    sub.receive(t.topic('4'), 'wanted')
    sub.fence()


@scenario(V5)
def a_will_carries_its_properties(t):
    """User properties in order, content type, response topic, correlation data, format and expiry."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('will'), 1))
    given = [('payload_format', 1), ('message_expiry', 1000), ('content_type', 'text/plain'),
             ('response_topic', t.topic('answer')), ('correlation_data', b'\0\1\2'), ('user_property', ('b', '1')),
             ('user_property', ('a', '2')), ('user_property', ('b', '1')), ('user_property', ('', ''))]
    c = t.connected('c', will=Will(t.topic('will'), 'grüße', 1, properties=given))
    c.close()
    got = sub.receive(t.topic('will'))
    assert got.prop('user_property') == [value for name, value in given if name == 'user_property']
    assert got.prop('correlation_data') == b'\0\1\2' and got.prop('content_type') == 'text/plain'


@scenario(V5, mosquitto=True)   # which forgets one of them
def a_delayed_will_waits_for_the_client_to_come_back(t):
    """Back within the delay: silent. Session end before the delay: fired then. The delay over: fired."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    c = t.connected('c', will=Will(t.topic('first'), b'', 1, properties=[('will_delay', 60)]),
                    properties=[('session_expiry', 120)])
    c.close()
    c = t.connected('c', clean=False, present=True, properties=[('session_expiry', 120)],
                    will=Will(t.topic('second'), b'session ended', 1, properties=[('will_delay', 60)]))
    c.close()
    c = t.connected('c', clean=True, present=False, properties=[('session_expiry', 120)],
                    will=Will(t.topic('third'), b'delay over', 1, properties=[('will_delay', 1)]))
    c.close()
    c.is_quiet = True
    # mosquitto 2.0 forgets the second will on Clean Start; only what it does send must be the same in all ways
    sub.receive_many(last=b'delay over')
    sub.fence()


@scenario(V5)
def a_refused_client_leaves_no_will(t):
    """An unknown authentication method is refused; nobody hears of its will."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id, will=Will(t.topic('will'), b'must not be seen', 1),
                        properties=[('auth_method', 'unheard-of')]))
    c.expect('CONNACK', code=0x8C)
    c.expect_closed()
    sub.fence()
