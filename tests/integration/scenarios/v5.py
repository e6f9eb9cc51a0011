"""What MQTT 5 added, seen from a client."""

from lib import wire
from lib.case import scenario
from lib.wire import V5


@scenario(V5)
def user_properties_keep_their_order(t):
    """Names repeat, mix, are empty, are long: the subscriber sees the list that the publisher sent."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('a'), 2))
    pairs = [('b', '1'), ('a', '2'), ('b', '1'), ('', ''), ('ключ', 'значение'), ('long', 'v' * 60000), ('\ufeff', ' ')]
    pairs += [(f'k{i % 3}', str(i)) for i in range(50)]
    for qos in (0, 1, 2):
        pub.publish(t.topic('a'), b'x', qos, properties=[('user_property', pair) for pair in pairs])
        assert sub.receive(t.topic('a')).prop('user_property') == pairs


@scenario(V5)
def request_and_response_find_each_other(t):
    """Response topic and correlation data pass; the answer comes back with the data."""
    asks, answers = t.connected('asks', properties=[('request_response_info', 1)]), t.connected('answers')
    answers.subscribe((t.topic('request'), 1))
    asks.subscribe((t.topic('reply/1'), 1))
    for correlation in (b'', b'\0', bytes(range(256)), b'c' * 65535):
        asks.publish(t.topic('request'), b'?', 1,
                     properties=[('response_topic', t.topic('reply/1')), ('correlation_data', correlation)])
        got = answers.receive(t.topic('request'), response_topic=t.topic('reply/1'), correlation_data=correlation)
        answers.publish(got.prop('response_topic'), b'!', 1,
                        properties=[('correlation_data', got.prop('correlation_data'))])
        asks.receive(t.topic('reply/1'), '!', correlation_data=correlation)


@scenario(V5)
def formats_and_types_pass(t):
    """Payload format 0 and 1, absent told from 0; content type, also empty."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('a'), 1))
    for properties in ([], [('payload_format', 0)], [('payload_format', 1)], [('content_type', '')],
                       [('content_type', 'application/json'), ('payload_format', 1)]):
        pub.publish(t.topic('a'), b'{}', 1, properties=properties)
        got = sub.receive(t.topic('a'))
        assert got.prop('content_type') == dict(properties).get('content_type')
        # mosquitto leaves out a format of 0, which means the same as none
        assert (got.prop('payload_format') or 0) == dict(properties).get('payload_format', 0)


@scenario(V5)
def message_expiry_counts_down(t):
    """What waits loses its time in the broker and says how much is left; what has expired never comes."""
    pub, sub = t.connected('pub'), t.connected('sub', clean=False, properties=[('session_expiry', 100)])
    sub.subscribe((t.topic('#'), 1))
    pub.publish(t.topic('now'), b'', 1, properties=[('message_expiry', 4294967295)])
    sub.receive(t.topic('now'), message_expiry=4294967295)
    sub.disconnect()
    pub.publish(t.topic('short'), b'', 1, properties=[('message_expiry', 1)])
    pub.publish(t.topic('long'), b'', 1, properties=[('message_expiry', 1000)])
    # one second has passed in the broker when a will with a delay of one second has been sent
    clock, waits = t.connected('clock'), t.connected('waits')
    waits.subscribe((t.topic('tick'), 1))
    clock.send(wire.disconnect(V5, 0))
    clock.expect_closed()
    clock = t.connected('clock', properties=[('session_expiry', 100)],
                        will=wire.Will(t.topic('tick'), b'', 1, properties=[('will_delay', 2)]))
    clock.close()
    waits.receive(t.topic('tick'))
    sub = t.client('sub')
    sub.connect(clean=False, properties=[('session_expiry', 100)], present=True)
    sub.is_quiet = True
    got = sub.receive_many(last=b'')
    assert [message.topic for message in got] == [t.topic('long')], got
    left = got[0].prop('message_expiry')
    assert 990 <= left <= 999, f'{left} s are left of 1000'


@scenario(V5)
def topic_aliases_of_the_client_are_resolved(t):
    """Set, used without a name, set anew; up to the maximum that CONNACK names; each connection has its own."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('#'), 2))
    maximum = 10            # mosquitto's, as its CONNACK says
    for alias in (1, maximum):
        pub.publish(t.topic(f'{alias}'), b'set', 1, properties=[('topic_alias', alias)])
        sub.receive(t.topic(f'{alias}'), 'set', topic_alias=None)
        for qos in (0, 1, 2):
            pub.publish('', b'used', qos, properties=[('topic_alias', alias)])
            sub.receive(t.topic(f'{alias}'), 'used', qos=qos)
    pub.publish(t.topic('anew'), b'', 1, properties=[('topic_alias', 1)])
    sub.receive(t.topic('anew'))
    pub.publish('', b'', 1, properties=[('topic_alias', 1)])
    sub.receive(t.topic('anew'))
    other = t.connected('other')
    other.publish(t.topic('other'), b'', 1, properties=[('topic_alias', 1)])
    sub.receive(t.topic('other'))
    pub.publish('', b'', 1, properties=[('topic_alias', 1)])
    sub.receive(t.topic('anew'))


@scenario(V5)
def subscription_identifiers_come_with_each_message(t):
    """The smallest, the largest, each of its own subscription."""
    c, pub = t.connected('c'), t.connected('pub')
    for identifier in (1, 127, 128, 16384, 268435455):
        c.subscribe((t.topic(f'{identifier}'), 1), properties=[('subscription_id', identifier)])
        pub.publish(t.topic(f'{identifier}'), b'', 1)
        c.receive(t.topic(f'{identifier}'), subscription_id=[identifier])
    c.subscribe((t.topic('+'), 1), properties=[('subscription_id', 7), ('user_property', ('a', 'b'))])
    pub.publish(t.topic('1'), b'', 1)
    pub.publish(t.topic('end'), b'end', 1)
    c.is_quiet = True           # one message with both, or two with one each
    found = [identifier for got in c.receive_many(last=b'end') for identifier in got.prop('subscription_id')]
    assert sorted(found) == [1, 7, 7], found


@scenario()
def a_shared_subscription_divides_messages(t):
    """Each message goes to exactly one of the group, all of them arrive; ordinary subscribers get every one."""
    members = [t.connected(f'member{i}') for i in range(3)]
    everything, pub = t.connected('everything'), t.connected('pub')
    for member in members:
        member.subscribe((f'$share/group/{t.topic("#")}', 1))
    everything.subscribe((t.topic('+'), 1))
    for i in range(30):
        pub.publish(t.topic(f'{i}'), b'%d' % i, 1)
    assert [int(message.payload) for message in everything.receive_many(30)] == list(range(30))
    shares = []
    for member in members:
        member.send(wire.pingreq())
        while True:
            got = member.next()
            member.note(got.kind)       # who gets which is the broker's business
            if got.kind == 'PINGRESP':
                break
            member.acknowledge(got)
            shares.append(int(got.payload))
    assert sorted(shares) == list(range(30)), sorted(shares)
    for member in members:
        member.unsubscribe(f'$share/group/{t.topic("#")}')


@scenario(V5)
def refused_filters_have_their_codes(t):
    """M25, M26: what is no filter is never granted, and the good ones beside a bad one are not taken for it."""
    for bad in ('a#', '#/a', 'a+', '+a', '$share/g', '$share//t', '$share/+/t', '$share/g/'):
        c = t.client('c')
        c.is_quiet = True               # mosquitto closes for some, and grants what it should not for others
        c.connect()
        c.send(wire.subscribe(V5, 1, [(bad, 1)]))
        got = c.next()
        if got != 'closed' and got.kind == 'SUBACK':
            # $share/g and $share//t mean what they say to mosquitto 2.0: names of ordinary topics
            assert got.codes[0] >= 0x80 or not t.is_chain and bad.startswith('$share'), (bad, got)
        c.close()


@scenario(V5, tenant=False)
def the_broker_assigns_client_ids(t):
    """An empty id is answered with an assigned one, which then is a client id as any other."""
    c = t.client('c', client_id='')
    c.is_quiet = True
    got = c.connect()
    assigned = got.prop('assigned_client_id')
    assert assigned, got
    t.note('c', repr(sorted(name for name, _ in got.properties)))
    c.publish(t.topic('a'), b'', 1)
    other = t.connected('other', client_id=assigned)
    c.is_quiet = False
    c.expect_closed_by_broker(t.farewell(0x8E))
    other.fence()


@scenario(V5, broker='strict')
def limits_of_the_broker_are_announced(t):
    """CONNACK: maximum packet size, QoS, receive maximum, aliases, retain and server keep alive, as the broker said."""
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id, keep_alive=3600))
    got = c.expect('CONNACK', code=0, maximum_qos=1, retain_available=0, server_keep_alive=600, receive_maximum=2,
                   topic_alias_maximum=3)
    assert got.prop('maximum_packet_size') == 20000
    c.fence()


@scenario(V5, broker='strict')
def what_exceeds_the_brokers_limits_ends_with_its_code(t):
    """QoS 2 above Maximum QoS, too large a packet (R19), an alias above the maximum (M32)."""
    for sent, codes in ((lambda: wire.publish(V5, t.topic('a'), b'', 2, 1), [0x9B]),
                        (lambda: wire.publish(V5, t.topic('a'), b'x' * 20000, 1, 1), [0x95]),
                        (lambda: wire.publish(V5, t.topic('a'), b'', 1, 1, properties=[('topic_alias', 4)]), [0x94])):
        c = t.connected('c')
        c.send(sent())
        c.expect_end(codes)


@scenario(V5, broker='strict')
def an_empty_client_id_may_be_refused(t):
    """The broker's code reaches the client, and nothing behind the CONNECT is processed (M45)."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    c = t.client('c', client_id='')
    c.send(wire.connect(V5, ''), wire.publish(V5, t.topic('a'), b'must not be seen', 1, 1))
    c.expect('CONNACK', code=0x80)      # 0x85 would be better; it is mosquitto's to say
    c.expect_closed()
    sub.fence()
