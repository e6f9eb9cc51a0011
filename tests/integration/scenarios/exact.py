"""A scripted broker at the far end sees, and sends, what no real one does: every packet, field and property, both ways."""

from lib import wire
from lib.case import scenario
from lib.wire import V31, V311, V5, Will

EVERY_PUBLISH_PROPERTY = [
    ('payload_format', 1), ('message_expiry', 77), ('content_type', 'a/b'), ('response_topic', 're/ply'),
    ('correlation_data', bytes(range(256))), ('user_property', ('z', '1')), ('user_property', ('a', '2')),
    ('user_property', ('z', '1')), ('user_property', ('', ''))]


@scenario(broker='scripted')
def every_connect_arrives_as_it_was_sent(t):
    """User name, password and will payload: absent, empty, present, in every combination; flags; keep-alive; bridge bit."""
    texts, blobs = (None, '', 'user'), (None, b'', b'\0\xff')
    wills = (None, Will('w', b''), Will('w/ü', b'\0\xff', 1), Will('w', b'x', 2, retain=True))
    variants = [{'username': user, 'password': password, 'will': will} for user in texts for password in blobs
                for will in wills if user is not None or password is None or t.version == V5]
    variants += [{'keep_alive': seconds} for seconds in (0, 1, 65535)]
    variants += [{'clean': False}, {'username': 'ü' * 1000, 'password': b'p' * 60000, 'will': Will('w', b'x' * 65535)}]
    if t.version != V5:
        variants += [{'bridge': True}, {'bridge': True, 'clean': False}]
    for number, variant in enumerate(variants):
        # each as a client of its own, so that no variant profits from the one before
        sent = wire.connect(t.version, f'c{number}', **variant)
        c = t.client('c')
        c.send(sent)
        up = t.serve()
        assert repr(up.connect) == repr(decoded(sent)), f'{up.connect!r}\nis not\n{decoded(sent)!r}'
        c.expect('CONNACK', code=0)
        c.close()
        up.expect_closed()


@scenario(V5, broker='scripted')
def every_connect_property_arrives(t):
    """All properties of CONNECT and of its will, with their limits, in the order sent."""
    will = Will('w', b'x', 1, properties=[
        ('will_delay', 4294967295), ('payload_format', 1), ('message_expiry', 1), ('content_type', ''),
        ('response_topic', 'r'), ('correlation_data', b''), ('user_property', ('b', '')), ('user_property', ('a', 'x'))])
    for properties in (
            [('session_expiry', 4294967295), ('receive_maximum', 65535), ('maximum_packet_size', 268435455),
             ('topic_alias_maximum', 65535), ('request_response_info', 1), ('request_problem_info', 0),
             ('user_property', ('z', '1')), ('user_property', ('a', '2')), ('user_property', ('z', '1'))],
            [('session_expiry', 0), ('receive_maximum', 1), ('topic_alias_maximum', 0), ('request_response_info', 0),
             ('request_problem_info', 1)],
            [('auth_method', 'm'), ('auth_data', b'\0\xff')],
            [('auth_method', '')],
            []):
        sent = wire.connect(V5, 'c', will=will, properties=properties)
        c = t.client('c')
        c.send(sent)
        up = t.serve()
        assert sorted(map(repr, up.connect.properties)) == sorted(map(repr, properties)), up.connect
        assert up.connect.will == decoded(sent).will, up.connect
        c.close()
        up.expect_closed()


def decoded(raw):
    decoder = wire.Decoder()
    decoder.feed(raw)
    return decoder.next()


@scenario(broker='scripted')
def every_packet_passes_both_ways(t):
    """Each packet of a session, up and down, with the ids, flags and codes it had."""
    c, up = t.pair()
    c.send(wire.subscribe(t.version, 65535, [('a/+/#', 0), ('b', 1), ('$share/g/ü', 2)]))
    up.expect('SUBSCRIBE', packet_id=65535, filters=[('a/+/#', 0), ('b', 1), ('$share/g/ü', 2)])
    up.send(wire.suback(t.version, 65535, [0, 1, 0x80]))
    c.expect('SUBACK', packet_id=65535, codes=[0, 1, 0x80])
    for here, there in ((c, up), (up, c)):
        for qos, dup, retain in ((0, False, True), (1, False, False), (1, True, True), (2, False, True), (2, True, False)):
            here.send(wire.publish(t.version, 't/ü', b'\0\xff', qos, 3 if qos else None, retain, dup))
            there.expect('PUBLISH', topic='t/ü', payload=b'\0\xff', qos=qos, retain=int(retain), dup=int(dup),
                         packet_id=3 if qos else None)
            for answers, kind in exchange(qos, here, there):
                answers.send(wire.ack(t.version, kind, 3))
                (here if answers is there else there).expect(kind, packet_id=3, code=0)
    c.send(wire.unsubscribe(t.version, 1, ['a/+/#', 'b']))
    up.expect('UNSUBSCRIBE', packet_id=1, filters=['a/+/#', 'b'])
    up.send(wire.unsuback(t.version, 1, [0, 0x11]))
    c.expect('UNSUBACK', packet_id=1)
    c.send(wire.pingreq())
    up.expect('PINGREQ')
    up.send(wire.pingresp())
    c.expect('PINGRESP')
    c.send(wire.disconnect(t.version))
    up.expect('DISCONNECT', code=0)
    c.close()
    up.expect_closed()


def exchange(qos, here, there):
    """Who says what after HERE has sent PUBLISH to THERE."""
    return ([], [(there, 'PUBACK')], [(there, 'PUBREC'), (here, 'PUBREL'), (there, 'PUBCOMP')])[qos]


@scenario(V5, broker='scripted')
def every_code_and_property_of_an_acknowledgement_passes(t):
    """All reason codes that each acknowledgement may have, a reason string and user properties in order, both ways."""
    c, up = t.pair()
    extra = [('reason_string', 'ü because'), ('user_property', ('b', '1')), ('user_property', ('a', '2'))]
    codes = {'PUBACK': (0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99),
             'PUBREC': (0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)}
    for here, there in ((c, up), (up, c)):
        for kind, qos in (('PUBACK', 1), ('PUBREC', 2)):
            for packet_id, code in enumerate(codes[kind], 1):
                for properties in (None, [], extra):
                    here.send(wire.publish(V5, 't', b'', qos, packet_id))
                    there.expect('PUBLISH', packet_id=packet_id)
                    there.send(wire.ack(V5, kind, packet_id, code, properties))
                    got = here.expect(kind, packet_id=packet_id, code=code)
                    assert got.properties == (properties or []), got
        # a successful exchange whose PUBREL and PUBCOMP carry properties too
        here.send(wire.publish(V5, 't', b'', 2, 9))
        there.expect('PUBLISH')
        for answers, kind, code in ((there, 'PUBREC', 0x10), (here, 'PUBREL', 0), (there, 'PUBCOMP', 0)):
            answers.send(wire.ack(V5, kind, 9, code, extra))
            got = (here if answers is there else there).expect(kind, packet_id=9, code=code)
            assert got.properties == extra, got


@scenario(V5, broker='scripted')
def every_publish_property_passes_both_ways(t):
    """With values at their limits, in the order sent; several subscription identifiers on the way down."""
    c, up = t.pair(connack=[('topic_alias_maximum', 65535)], properties=[('topic_alias_maximum', 65535)])
    lists = [EVERY_PUBLISH_PROPERTY, EVERY_PUBLISH_PROPERTY[::-1], [('payload_format', 0)],
             [('message_expiry', 0)], [('message_expiry', 4294967295)], [('content_type', '')],
             [('correlation_data', b'')], [('topic_alias', 65535)]]
    for here, there in ((c, up), (up, c)):
        for properties in lists + ([[('subscription_id', 268435455), ('subscription_id', 1), ('subscription_id', 1)]]
                                   if here is up else []):
            here.send(wire.publish(V5, 't', b'x', 0, properties=properties))
            got = there.expect('PUBLISH', topic='t')
            assert by_name(got.properties) == by_name(properties), got


def by_name(properties):
    """Order counts among properties of one name only: no other order means anything in MQTT."""
    names = {}
    for name, value in properties:
        names.setdefault(name, []).append(value)
    return names


@scenario(V5, broker='scripted')
def topic_aliases_pass_both_ways(t):
    """C8: an alias set on one leg works on the other, each direction with numbers of its own."""
    c, up = t.pair(connack=[('topic_alias_maximum', 3)], properties=[('topic_alias_maximum', 5)])
    for here, there, maximum in ((c, up, 3), (up, c, 5)):
        names = {}
        for alias in (1, maximum):
            here.send(wire.publish(V5, f'name/{alias}', b'set', 0, properties=[('topic_alias', alias)]))
            learn(there.expect('PUBLISH', payload=b'set'), names, f'name/{alias}')
        for alias in (maximum, 1):
            here.send(wire.publish(V5, '', b'use', 1, alias, properties=[('topic_alias', alias)]))
            learn(there.expect('PUBLISH', payload=b'use'), names, f'name/{alias}')
            there.send(wire.ack(V5, 'PUBACK', alias))
            here.expect('PUBACK')
        here.send(wire.publish(V5, 'other', b'new', 0, properties=[('topic_alias', 1)]))
        learn(there.expect('PUBLISH'), names, 'other')
        here.send(wire.publish(V5, '', b'use', 0, properties=[('topic_alias', 1)]))
        learn(there.expect('PUBLISH'), names, 'other')


def learn(got, names, wanted):
    """A receiver's view of aliases: what the message is about must be WANTED."""
    alias = got.prop('topic_alias')
    if got.topic:
        names[alias] = got.topic
    assert (got.topic or names[alias]) == wanted, got


@scenario(broker='scripted')
def every_refusal_passes(t):
    """Each CONNACK code of the version reaches the client as it was, and then the connection ends."""
    codes = [1, 2, 3, 4, 5] if t.version != V5 else [
        0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C,
        0x9D, 0x9F]
    for code in codes:
        properties = [] if t.version != V5 else [('reason_string', f'because {code}'), ('user_property', ('a', 'b'))]
        if code in (0x9C, 0x9D):
            properties.append(('server_reference', 'elsewhere:1883'))
        c = t.client('c')
        c.send(wire.connect(t.version, 'c'))
        up = t.serve(code=code, properties=properties)
        up.close()
        got = c.expect('CONNACK', code=code)
        assert got.properties == properties, got
        c.expect_closed()


@scenario(V5, broker='scripted')
def every_connack_property_passes(t):
    """What the broker grants and limits, as it said it, and session present."""
    properties = [('session_expiry', 4294967294), ('receive_maximum', 7), ('maximum_qos', 1), ('retain_available', 0),
                  ('maximum_packet_size', 123456), ('assigned_client_id', 'given-ü'), ('topic_alias_maximum', 9),
                  ('reason_string', 'welcome'), ('user_property', ('b', '1')), ('user_property', ('a', '2')),
                  ('wildcard_available', 0), ('subscription_ids_available', 0), ('shared_available', 0),
                  ('server_keep_alive', 99), ('response_info', 'answers/here'), ('server_reference', 'other:1')]
    for given, present in ((properties, False), ([], True)):
        c = t.client('c')
        c.send(wire.connect(V5, 'c', clean=False))
        up = t.serve(properties=given, session_present=present)
        got = c.expect('CONNACK', session_present=int(present))
        assert sorted(map(repr, got.properties)) == sorted(map(repr, given)), got
        c.close()
        up.expect_closed()


@scenario(V5, broker='scripted')
def every_disconnect_of_the_broker_passes(t):
    """Each code with its reason and reference; take-over (0x8E) among them."""
    for code in (0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98,
                 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2):
        properties = [('reason_string', f'because {code}'), ('user_property', ('a', 'b'))]
        if code in (0x9C, 0x9D):
            properties.append(('server_reference', 'elsewhere:1883'))
        c, up = t.pair()
        up.send(wire.disconnect(V5, code, properties))
        up.close()
        got = c.expect('DISCONNECT', code=code)
        assert got.properties == properties, got
        c.expect_closed()


@scenario(V5, broker='scripted')
def every_disconnect_of_the_client_passes(t):
    """Each code with its properties; then the broker sees the end of the connection."""
    for code in (0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99):
        properties = [('reason_string', f'because {code}'), ('user_property', ('a', 'b')), ('session_expiry', code)]
        c, up = t.pair(properties=[('session_expiry', 100)])
        c.send(wire.disconnect(V5, code, properties))
        got = up.expect('DISCONNECT', code=code)
        assert got.properties == properties, got
        c.close()
        up.expect_closed()


@scenario(V5, broker='scripted')
def authentication_packets_pass_both_ways(t):
    """AUTH before CONNACK and within the session, messages between its steps, data of every byte, properties in order."""
    method, extra = ('auth_method', 'ü-method'), [('reason_string', 'r'), ('user_property', ('b', '')), ('user_property', ('a', ''))]
    c = t.client('c')
    c.send(wire.connect(V5, 'c', properties=[method, ('auth_data', b'')]))
    up = t.accept()
    up.expect('CONNECT', auth_method='ü-method', auth_data=b'')
    up.version = V5
    for number in range(3):
        data = ('auth_data', bytes(range(256)) * (number + 1))
        up.send(wire.auth(0x18, [method, data] + extra))
        got = c.expect('AUTH', code=0x18)
        assert got.properties == [method, data] + extra, got
        c.send(wire.auth(0x18, [method, data] + extra))
        got = up.expect('AUTH', code=0x18)
        assert got.properties == [method, data] + extra, got
    up.send(wire.connack(V5, 0, properties=[method, ('auth_data', b'done')]))
    c.expect('CONNACK', code=0, auth_method='ü-method', auth_data=b'done')
    c.send(wire.auth(0x19, [method, ('auth_data', b'again')]))
    up.expect('AUTH', code=0x19, auth_data=b'again')
    c.send(wire.publish(V5, 't', b'meanwhile'))
    up.expect('PUBLISH', payload=b'meanwhile')
    up.send(wire.publish(V5, 't', b'down', 1, 5))
    c.expect('PUBLISH', payload=b'down')
    up.send(wire.auth(0, [method]))
    c.expect('AUTH', code=0, auth_method='ü-method')
    c.send(wire.ack(V5, 'PUBACK', 5))
    up.expect('PUBACK', packet_id=5)


@scenario(V31, V311, V5, broker='scripted')
def texts_with_control_characters_pass(t):
    """The standard advises against them and allows them; mosquitto refuses, the proxies do not decide that."""
    c, up = t.pair()
    for here, there in ((c, up), (up, c)):
        for text in ('tab\t', '\x01', '\x7f', '\u0080', '\ufffe', '\U0010ffff', '\ufeff'):
            here.send(wire.publish(t.version, text, b''))
            there.expect('PUBLISH', topic=text)


@scenario(broker='scripted')
def a_broker_that_closes_is_passed_on(t):
    """Close and reset after CONNACK, with a last message before: the client gets the message, then the end."""
    for end in ('close', 'reset'):
        c, up = t.pair()
        up.send(wire.publish(t.version, 'last', b'words', 0))
        c.expect('PUBLISH', payload=b'words')
        getattr(up, end)()
        c.expect_closed_by_broker(t.farewell(None))
    c, up = t.pair()
    up.send(*[wire.publish(t.version, 'last', b'%d' % i) for i in range(100)])
    up.close()
    for i in range(100):
        c.expect('PUBLISH', payload=b'%d' % i)
    c.expect_closed_by_broker(t.farewell(None))


@scenario(broker='scripted')
def a_lost_client_is_a_lost_connection_at_the_broker(t):
    """No DISCONNECT is made up: FIN and reset of the client end the broker's connection and nothing else is sent."""
    for end in ('close', 'reset'):
        c, up = t.pair()
        c.send(wire.publish(t.version, 'last', b'words', 0))
        up.expect('PUBLISH', payload=b'words')
        getattr(c, end)()
        up.expect_closed()


@scenario(broker='scripted')
def no_acknowledgement_is_made_up(t):
    """C1: PUBACK, PUBREC, SUBACK and PINGRESP come when the broker sends them, not before, and in its order."""
    c, up = t.pair()
    c.send(wire.publish(t.version, 't', b'1', 1, 1), wire.publish(t.version, 't', b'2', 2, 2),
           wire.subscribe(t.version, 3, [('a', 0)]), wire.pingreq())
    for kind in ('PUBLISH', 'PUBLISH', 'SUBSCRIBE', 'PINGREQ'):
        up.expect(kind)
    # the first thing that the client hears is what the broker says first
    up.send(wire.publish(t.version, 'first', b''))
    c.expect('PUBLISH', topic='first')
    up.send(wire.pingresp(), wire.suback(t.version, 3, [0]), wire.ack(t.version, 'PUBREC', 2), wire.ack(t.version, 'PUBACK', 1))
    for kind in ('PINGRESP', 'SUBACK', 'PUBREC', 'PUBACK'):
        c.expect(kind)
