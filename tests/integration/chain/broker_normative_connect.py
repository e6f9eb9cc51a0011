"""MQTT 5.0 chapters 3.1, 3.2, 4.1 and their like in 3.1.1, at mqtt-broker: connections, sessions, wills, time."""

import time

from lib import wire
from lib.statements import LIMITS, THREES, ended, kept, nothing_came, present, refused, statement, take_retained_away
from lib.wire import V31, V311, V5, Will

NEVER = 0xFFFFFFFF


def subscriber(t, topic='will', qos=1, name='sub', retain_as_published=False):
    sub = t.connected(name)
    sub.subscribe((t.topic(topic), qos | (8 if retain_as_published else 0)))
    return sub


def will_of(t, payload=b'gone', **options):
    return Will(t.topic('will'), payload, **options)


# ---- the session


@statement('3.1.2-4 3.1.4-4 3.2.2-2', '3.1.2-6 3.1.4-3 3.2.2-1')
def clean_start_drops_the_session(t):
    """What was kept is gone, its messages too; the answer says so."""
    old = t.connected('c', **kept(t))
    old.subscribe((t.topic('x'), 1))
    old.disconnect()
    pub = t.connected('pub')
    pub.publish(t.topic('x'), b'for nobody', 1)
    new = t.client('c')
    assert new.connect(clean=True).session_present == 0
    pub.publish(t.topic('x'), b'for nobody', 1)
    nothing_came(pub, new)


@statement('3.1.2-5 3.2.2-3 4.5.0-1', '3.1.2-4..5 3.2.2-2 4.1.0-1 4.5.0-1')
def a_session_goes_on(t):
    """With its subscriptions and what has been published for it."""
    t.connected('c', **kept(t)).subscribe((t.topic('x'), 2))
    t.peers[-1].disconnect()
    pub = t.connected('pub')
    for qos in (1, 2):
        pub.publish(t.topic('x'), b'%d' % qos, qos)
    again = t.client('c')
    again.connect(present=present(t, True), **kept(t))
    again.receive(t.topic('x'), b'1', qos=1)
    again.receive(t.topic('x'), b'2', qos=2)


@statement('3.1.2-6 3.2.2-3 3.1.4-5', '3.1.2-4 3.2.2-3 3.1.4-4')
def a_session_is_made_where_none_is(t):
    """CONNACK 0 and no session present."""
    c = t.client('c')
    got = c.connect(**kept(t))
    assert got.session_present == 0, got
    c.disconnect()


@statement('3.1.2-23 4.1.0-1', '4.1.0-2')
def a_session_lives_while_its_client_is_there(t):
    """An expiry of zero, or Clean Session, ends it with the connection and not before."""
    c = t.connected('c', clean=True)
    c.subscribe((t.topic('x'), 1))
    pub = t.connected('pub')
    for _ in range(3):
        pub.publish(t.topic('x'), b'here', 1)
        c.receive(t.topic('x'), b'here')
    c.disconnect()
    c = t.client('c')
    assert c.connect(clean=False).session_present == 0


@statement('4.1.0-2 3.1.2-23')
def a_session_ends_when_its_time_is_over(t):
    """Not before, and without a new connection's doing: its Will, whose delay is longer, tells."""
    sub = subscriber(t)
    start = time.monotonic()
    t.connected('c', **kept(t, 1), will=will_of(t, properties=[('will_delay', 100)])).close()
    sub.receive(t.topic('will'), b'gone')
    assert time.monotonic() - start >= 1
    c = t.client('c')
    assert c.connect(**kept(t)).session_present == 0


@statement('3.1.3-2', '3.1.3-2')
def the_client_id_names_the_session(t):
    """Another id is another session."""
    t.connected('one', **kept(t)).disconnect()
    other = t.client('other')
    assert other.connect(**kept(t)).session_present == 0
    t.client('one').connect(present=present(t, True), **kept(t))


@statement('3.1.3-5', '3.1.3-5')
def ids_of_1_to_23_characters(t):
    """All of them are fine, and many others."""
    letters = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
    for client_id in ('0', 'Z', letters[:23], letters[23:46], letters[46:], letters, 'ä/+# ' * 10):
        t.connected('c', client_id=client_id).disconnect()


@statement('3.1.3-6 3.1.3-7 3.2.2-16')
def an_empty_id_gets_one(t):
    """Each another one, which the client is then known by."""
    assigned = set()
    for _ in range(3):
        c = t.connected('c', client_id='', **kept(t))
        assigned.add(c.connack.prop('assigned_client_id'))
        c.disconnect()
    assert len(assigned) == 3 and None not in assigned, assigned
    again = t.client('again', client_id=assigned.pop())
    again.connect(present=True, **kept(t))
    assert again.connack.prop('assigned_client_id') is None


@statement('', '3.1.3-6 3.1.3-7', versions=(V311,))
def an_empty_id_is_many_clients(t):
    """Two of them do not take each other over."""
    first, second = t.connected('first', client_id=''), t.connected('second', client_id='')
    first.fence()
    second.fence()


@statement('', '3.1.3-8 3.1.3-9 3.2.2-5', versions=THREES)
def an_empty_id_without_clean_session_is_refused(t):
    """3.1.1: CONNACK 2; 3.1 has no empty ids at all."""
    c = t.client('c', client_id='')
    c.send(wire.connect(t.version, '', clean=False))
    refused(c, 2)


@statement('3.1.4-3', '3.1.4-2')
def a_client_is_taken_over(t):
    """The older connection is closed (0x8E), the newer has the session."""
    old = t.connected('old', client_id=t.topic('c'), **kept(t))
    new = t.client('new', client_id=t.topic('c'))
    new.connect(present=present(t, True), **kept(t))
    ended(old, 0x8E)
    new.fence()


@statement('3.1.4-6', '3.1.4-5')
def what_follows_a_refused_connect_is_not_processed(t):
    """Neither the subscription nor the message in the same segment."""
    sub = subscriber(t, 'x')
    c = t.client('c', client_id='')
    bad = wire.connect(V311, '', clean=False) if t.version == V311 else wire.connect(t.version, 'c\xff'.encode('latin-1'))
    c.send(bad, wire.publish(t.version, t.topic('x'), b'refused'))
    refused(c, None, 0x81, 2, 0x85)
    nothing_came(t.connected('pub'), sub)


@statement('3.1.4-5 3.2.0-1 3.2.0-2 3.2.2-1', '3.1.4-4 3.2.0-1')
def connack_comes_first_and_once(t):
    """Also where a session's messages wait; only the lowest bit of the flags is used (the decoder of the tests looks)."""
    c = t.connected('c', **kept(t))
    c.subscribe((t.topic('x'), 1))
    c.disconnect()
    t.connected('pub').publish(t.topic('x'), b'waits', 1)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id, **kept(t)), wire.pingreq())
    got = c.expect('CONNACK', code=0)
    assert got.session_present in (0, 1), got
    first, second = c.next(), c.next()
    assert {first.kind, second.kind} == {'PUBLISH', 'PINGRESP'}, (first, second)


@statement('3.2.2-6 3.2.2-7 3.2.2-8 4.13.2-1', '3.2.2-4 3.2.2-5 3.2.2-6')
def a_refusal_says_no_session_and_closes(t):
    """Although there is one."""
    t.connected('c', **kept(t)).disconnect()
    name = t.peers[-1].client_id
    bad = t.client('c', client_id=name)
    if t.version == V5:
        bad.send(wire.connect(t.version, name, properties=[('auth_method', 'none')], clean=False))
        refused(bad, 0x8C)
    else:
        bad.send(wire.connect(t.version, '', clean=False))
        refused(bad, 2)
    t.client('c').connect(present=present(t, True), **kept(t))


# ---- the will


@statement('3.1.2-7 3.1.2-8 3.1.2-14 3.14.4', '3.1.2-8 3.1.2-16')
def the_will_of_a_lost_client(t):
    """It is published when the connection ends without DISCONNECT (5.0: or with any but 0), and not retained."""
    sub = subscriber(t, retain_as_published=t.version == V5)
    t.connected('c', will=will_of(t, qos=1)).close()
    sub.receive(t.topic('will'), b'gone', qos=1, retain=0)
    if t.version == V5:
        t.connected('c', will=will_of(t, b'with')).disconnect(0x04)
        sub.receive(t.topic('will'), b'with')
    nothing_came(t.connected('pub'), sub)
    late = subscriber(t, name='late')
    late.fence()


@statement('3.1.2-8', '3.1.2-8')
def the_will_of_a_client_that_breaks_the_rules(t):
    """Whatever ends the connection but DISCONNECT."""
    sub = subscriber(t)
    bad = t.connected('c', will=will_of(t))
    bad.send(b'\x30\x00')
    ended(bad, 0x81)
    sub.receive(t.topic('will'), b'gone')


@statement('3.1.2-10 3.14.4-3', '3.1.2-10 3.14.4-3')
def disconnect_drops_the_will(t):
    """Of a session that goes on too: nor is it published when that ends."""
    sub = subscriber(t)
    t.connected('c', will=will_of(t)).disconnect()
    t.connected('kept', will=will_of(t), **kept(t)).disconnect()
    t.connected('kept', clean=True).disconnect()
    nothing_came(t.connected('pub'), sub)


@statement('3.1.2-10', '3.1.2-10 3.1.2-12')
def the_will_is_published_once(t):
    """A session that had one and comes back without has none."""
    sub = subscriber(t)
    t.connected('c', will=will_of(t), **kept(t)).close()
    sub.receive(t.topic('will'), b'gone')
    t.connected('c', **kept(t)).close()
    t.client('c').connect(clean=True)
    nothing_came(t.connected('pub'), sub)


@statement('3.1.2-15', '3.1.2-17')
def a_retained_will(t):
    """It is there for who comes later."""
    sub = subscriber(t)
    t.connected('c', will=will_of(t, retain=True)).close()
    sub.receive(t.topic('will'), b'gone')
    late = subscriber(t, name='late')
    late.receive(t.topic('will'), b'gone', retain=1)
    take_retained_away(t, 'will')


@statement('3.1.3-9 3.1.2-8')
def a_delayed_will_is_dropped_by_a_new_connection(t):
    """One of the session, within the delay; once over, it is published."""
    sub = subscriber(t)
    start = time.monotonic()
    will = will_of(t, properties=[('will_delay', 1)])
    t.connected('back', **kept(t), will=will).close()
    t.client('back').connect(present=True, **kept(t))
    t.connected('lost', **kept(t), will=will_of(t, b'lost', properties=[('will_delay', 1)])).close()
    sub.receive(t.topic('will'), b'lost')
    assert time.monotonic() - start >= 1
    nothing_came(t.connected('pub'), sub)


@statement('3.1.2-8')
def a_delayed_will_comes_when_the_session_ends(t):
    """At Clean Start, though its delay is not over."""
    sub = subscriber(t)
    t.connected('c', **kept(t), will=will_of(t, properties=[('will_delay', 1000)])).close()
    t.connected('c', clean=True)
    sub.receive(t.topic('will'), b'gone')


@statement('3.1.3-10 3.3.2-4 3.3.2-15 3.3.2-16 3.3.2-18 3.3.2-20')
def the_properties_of_a_will(t):
    """They arrive, the user properties in their order; the delay does not."""
    sub = subscriber(t)
    sent = [('payload_format', 1), ('content_type', 'text'), ('response_topic', 'r'), ('correlation_data', b'\0\1'), ('user_property', ('b', '1')),
            ('user_property', ('a', '2')), ('user_property', ('b', '1'))]
    t.connected('c', will=will_of(t, properties=[('will_delay', 0), *sent])).close()
    got = sub.receive(t.topic('will'))
    assert sorted(got.properties, key=str) == sorted(sent, key=str), got
    assert got.prop('user_property') == [('b', '1'), ('a', '2'), ('b', '1')], got


@statement('3.2.2-10 3.1.2-9 3.2.2-9 3.2.2-12 3.2.2-13', '3.1.2-9')
def any_will_is_accepted(t):
    """All QoS, retained or not, as CONNACK, which names no limit, says."""
    for qos in (0, 1, 2):
        for retain in (False, True):
            c = t.connected('c', will=will_of(t, qos=qos, retain=retain))
            assert c.connack.prop('maximum_qos') is None and c.connack.prop('retain_available') is None
            c.disconnect()


@statement('', '3.1.2-7')
def retained_messages_are_no_part_of_a_session(t):
    """They outlive it."""
    c = t.connected('c', clean=True)
    c.publish(t.topic('x'), b'stays', 1, retain=True)
    c.disconnect()
    late = subscriber(t, 'x')
    late.receive(t.topic('x'), b'stays', retain=1)
    take_retained_away(t, 'x')


# ---- time


@statement('3.1.2-22 3.2.2-22', '3.1.2-24')
def a_silent_client_is_closed(t):
    """After 1.5 times its keep-alive time, and its Will is sent; whoever sends anything is not."""
    sub = subscriber(t)
    silent = t.connected('silent', keep_alive=1, will=will_of(t))
    busy = t.connected('busy', keep_alive=1)
    start = time.monotonic()
    while not silent.poll_readable(0.5):
        busy.fence()
    assert time.monotonic() - start >= 1.4
    ended(silent, 0x8D)
    busy.fence()
    sub.receive(t.topic('will'), b'gone')


@statement('3.2.2-21 3.1.2-21', broker='limits')
def a_server_keep_alive_holds(t):
    """CONNACK names it where the client wanted more or none, and it is what counts; else it does not."""
    for wanted, told in ((0, LIMITS['keep_alive']), (60, LIMITS['keep_alive']), (1, None)):
        c = t.connected('c', keep_alive=wanted)
        assert c.connack.prop('server_keep_alive') == told, c.connack
        c.disconnect()
    start = time.monotonic()
    c = t.connected('c', keep_alive=1000)
    ended(c, 0x8D)
    assert time.monotonic() - start >= 2.9


@statement('3.1.4', broker='limits')
def no_connect_in_time(t):
    """The connection is closed."""
    t.client('c').expect_closed()


@statement('3.1.2-23', broker='limits')
def a_shorter_session_than_asked_for(t):
    """CONNACK says so where it differs; DISCONNECT cannot prolong it either."""
    for wanted, told in ((NEVER, LIMITS['session_expiry']), (2, None)):
        c = t.connected('c', clean=False, properties=[('session_expiry', wanted)])
        assert c.connack.prop('session_expiry') == told, c.connack
        c.disconnect()
    sub = subscriber(t)
    c = t.connected('c', clean=False, properties=[('session_expiry', 1)], will=will_of(t, properties=[('will_delay', 10)]))
    c.send(wire.disconnect(t.version, 0x04, [('session_expiry', 1000)]))
    c.expect_closed()
    deadline = time.monotonic() + LIMITS['session_expiry'] + 2
    while not sub.poll_readable(0.5):
        assert time.monotonic() < deadline, 'the session lasts as long as the client said'
        sub.fence()


# ---- what CONNACK promises and CONNECT asks for


@statement('3.1.2-24 3.1.2-25 3.3.4-1')
def nothing_larger_than_the_client_takes(t):
    """A message too large for it is as if it had been sent: the next ones come, and its window is not used up."""
    small = t.connected('small', properties=[('maximum_packet_size', 60), ('receive_maximum', 1)])
    topic = t.topic('x')[-20:]
    small.subscribe((topic, 2))
    pub = t.connected('pub')
    for qos in (0, 1, 2):
        pub.publish(topic, b'x' * 100, qos)
        pub.publish(topic, b'small', qos)
        small.receive(topic, b'small', qos=qos)


@statement('3.1.2-26 3.1.2-27 3.3.2-11')
def aliases_only_up_to_the_clients_maximum(t):
    """None without it; with two, only one and two, each set before it is used."""
    pub = t.connected('pub')
    none, two = t.connected('none'), t.connected('two', properties=[('topic_alias_maximum', 2)])
    names = {}
    for c in (none, two):
        c.subscribe((t.topic('+'), 0))
    for i in (1, 2, 3, 1, 2, 3, 3, 1):
        topic = t.topic(str(i))
        pub.publish(topic, b'%d' % i)
        assert none.receive(topic).prop('topic_alias') is None
        got = two.expect('PUBLISH', payload=b'%d' % i)
        alias = got.prop('topic_alias')
        assert alias in (None, 1, 2), got
        if got.topic:
            names[alias] = got.topic
        assert (got.topic or names[alias]) == topic, got


@statement('3.1.2-28')
def no_response_information_unless_asked(t):
    """CONNACK has none."""
    for wanted in ([], [('request_response_info', 0)]):
        assert t.connected('c', properties=wanted).connack.prop('response_info') is None


@statement('3.1.2-29')
def no_reasons_for_who_wants_none(t):
    """Acknowledgements of a client that asked for no problem information have no reason strings; messages keep their user properties."""
    c = t.connected('c', properties=[('request_problem_info', 0)])
    c.subscribe((t.topic('x'), 1))
    c.send(wire.subscribe(V5, 7, [('$SYS/x' * 100, 0)]), wire.publish(V5, '$SYS/forbidden', b'', 1, 8), wire.ack(V5, 'PUBREL', 99),
           wire.unsubscribe(V5, 9, ['nothing']))
    for kind in ('SUBACK', 'PUBACK', 'PUBCOMP', 'UNSUBACK'):
        assert c.expect(kind).properties == []
    c.send(wire.publish(V5, t.topic('x'), b'', properties=[('user_property', ('k', 'v'))]))
    assert c.expect('PUBLISH').prop('user_property') == [('k', 'v')]


@statement('3.2.2-19 3.2.2-20 3.14.2-3 3.14.2-4')
def no_reason_that_does_not_fit(t):
    """A reason string that would make the packet larger than the client takes is left out."""
    c = t.client('c')
    c.send(wire.connect(V5, 'c', properties=[('maximum_packet_size', 20), ('auth_method', 'none')]))
    got = c.expect('CONNACK', code=0x8C)
    assert got.prop('reason_string') is None, got
    c.expect_closed()
    c = t.connected('c', properties=[('maximum_packet_size', 20)])
    c.send(b'\x30\x00')
    got = c.expect('DISCONNECT', code=0x81)
    assert got.prop('reason_string') is None, got
    c.expect_closed()


@statement('3.2.2-15 3.2.2.3.6', '4.8.0-1', broker='limits')
def packets_above_the_brokers_maximum(t):
    """CONNACK names it; a larger packet ends the connection (0x95)."""
    c = t.connected('c', keep_alive=LIMITS['keep_alive'])
    assert t.version != V5 or c.connack.prop('maximum_packet_size') == LIMITS['max_packet']
    c.publish('a', b'x' * (LIMITS['max_packet'] - 20), 1)
    c.send(wire.publish(t.version, 'a', b'x' * LIMITS['max_packet']))
    ended(c, 0x95)


@statement('3.2.2-18 3.2.2-14 3.2.2-11')
def connack_grants_what_there_is(t):
    """Aliases and a window as told; nothing that is missing is denied."""
    got = t.connected('c').connack
    assert got.prop('topic_alias_maximum') == 10 and got.prop('receive_maximum') == 20, got
    for name in ('maximum_qos', 'retain_available', 'wildcard_available', 'subscription_ids_available', 'shared_available'):
        assert got.prop(name) in (None, 1), got


@statement('3.1.2-2', '3.1.2-2', versions=(V31, V311))
def versions_share_a_port(t):
    """Each client is spoken to in its own."""
    for version in (V31, V311, V5):
        c = t.connected('c', version=version)
        c.subscribe((t.topic('x'), 1))
        c.publish_to_itself(t.topic('x'), b'x')
        c.disconnect()
