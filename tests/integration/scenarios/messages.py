"""PUBLISH in both directions: every QoS, every shape of topic and payload, order, repeats."""

from lib import wire
from lib.case import scenario
from lib.wire import V5


@scenario(zstd=True)
def every_publish_qos_meets_every_subscription_qos(t):
    """A message arrives with the lower of the two QoS, and each side sees its own exchange to the end."""
    sub, pub = t.connected('sub'), t.connected('pub')
    for granted in (0, 1, 2):
        sub.subscribe((t.topic(f'{granted}/#'), granted))
    for granted in (0, 1, 2):
        for sent in (0, 1, 2):
            topic, payload = t.topic(f'{granted}/{sent}'), f'{sent} to {granted}'
            pub.publish(topic, payload, sent)
            sub.receive(topic, payload, qos=min(sent, granted), retain=0, dup=0)
    sub.fence()
    sub.disconnect()
    pub.disconnect()


@scenario()
def packet_ids_of_the_client_come_back_unchanged(t):
    """1, 65535 and anything between; two exchanges of one id after another; SUBSCRIBE shares the number space."""
    c = t.connected('c')
    for packet_id in (1, 65535, 256, 255, 32768):
        c.send(wire.publish(t.version, t.topic('a'), b'1', 1, packet_id))
        c.expect('PUBACK', packet_id=packet_id)
        c.send(wire.publish(t.version, t.topic('a'), b'2', 2, packet_id))
        c.expect('PUBREC', packet_id=packet_id)
        c.send(wire.ack(t.version, 'PUBREL', packet_id))
        c.expect('PUBCOMP', packet_id=packet_id)
        c.send(wire.subscribe(t.version, packet_id, [(t.topic('b'), 0)]))
        c.expect('SUBACK', packet_id=packet_id)
        c.send(wire.unsubscribe(t.version, packet_id, [t.topic('b')]))
        c.expect('UNSUBACK', packet_id=packet_id)
    c.disconnect()


@scenario(zstd=True)
def payloads_of_every_shape_arrive_whole(t):
    """Empty, all byte values, and every length around the borders of the remaining length field."""
    sub, pub = t.connected('sub'), t.connected('pub')
    topic = t.topic('p')
    sub.subscribe((topic, 1))
    fixed = len(wire.publish(t.version, topic, b'', 1, 1)) - 2
    payloads = [b'', b'\0', bytes(range(256)), b'\xff\xfe\xc0\x00']
    for border in (127, 128, 16383, 16384):
        payloads += [bytes([length & 255]) * (length - fixed) for length in range(border - 2, border + 3)
                     if length > fixed]
    for payload in payloads:
        pub.publish(topic, payload, 1)
        sub.receive(topic, payload)
    sub.fence()


@scenario(zstd=True)
def one_megabyte_both_ways(t):
    """A payload of 1 MB at each QoS, up through the chain and down again."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.subscribe((t.topic('#'), 2))
    payload = bytes(range(256)) * 4096
    for qos in (0, 1, 2):
        pub.publish(t.topic(f'{qos}'), payload, qos)
        sub.receive(t.topic(f'{qos}'), payload, qos=qos)
    sub.disconnect()
    pub.disconnect()


@scenario(zstd=True)
def a_thousand_messages_of_each_qos_stay_in_order(t):
    """1,000 messages sent without waiting arrive complete and in order (M52)."""
    sub, pub = t.connected('sub'), t.connected('pub')
    sub.is_quiet = pub.is_quiet = True
    for qos in (0, 1, 2):
        topic = t.topic(f'{qos}')
        sub.subscribe((topic, qos))
        # QoS 2 in groups of the broker's receive maximum, 20; the rest all at once
        for first in range(1, 1001, 20 if qos == 2 else 1000):
            publish_group(pub, topic, qos, range(first, first + (20 if qos == 2 else 1000)))
        got = [int(message.payload) for message in sub.receive_many(1000)]
        assert got == list(range(1, 1001)), f'QoS {qos}: out of order near {first_gap(got)}'
    t.note('sub', 'all in order')


def publish_group(pub, topic, qos, numbers):
    """Messages whose payload and packet id are NUMBERS, sent in one go; their answers in order."""
    pub.send(*[wire.publish(pub.version, topic, b'%d' % i, qos, i if qos else None) for i in numbers])
    if qos == 2:
        assert [pub.expect('PUBREC').packet_id for _ in numbers] == list(numbers), 'PUBREC out of order'
        pub.send(*[wire.ack(pub.version, 'PUBREL', i) for i in numbers])
    if qos:
        kind = 'PUBCOMP' if qos == 2 else 'PUBACK'
        assert [pub.expect(kind).packet_id for _ in numbers] == list(numbers), f'{kind} out of order'


def first_gap(numbers):
    return next((pair for pair in zip(numbers, numbers[1:]) if pair[1] != pair[0] + 1), numbers[:3])


@scenario()
def everything_in_one_segment_is_processed(t):
    """CONNECT with all that follows behind it in one write: nothing is lost, answers come in order."""
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id), wire.subscribe(t.version, 1, [(t.topic('#'), 2)]),
           wire.publish(t.version, t.topic('a'), b'zero'), wire.publish(t.version, t.topic('b'), b'one', 1, 2),
           wire.publish(t.version, t.topic('c'), b'two', 2, 3), wire.ack(t.version, 'PUBREL', 3), wire.pingreq())
    c.expect('CONNACK', code=0)
    c.expect('SUBACK', codes=[2])
    # what the broker answers to the rest it may interleave with the messages themselves; each order is counted apart
    answers, messages = [], []
    while len(answers) < 4 or len(messages) < 3:
        got = c.next()
        assert got != 'closed', 'closed in the middle'
        (messages if got.kind == 'PUBLISH' else answers).append(got)
    assert [got.kind for got in answers] == ['PUBACK', 'PUBREC', 'PUBCOMP', 'PINGRESP'], answers
    for got in answers + messages:
        c.note(repr(got))
    assert [got.payload for got in messages] == [b'zero', b'one', b'two']


@scenario(zstd=True)
def connect_publish_disconnect_in_one_segment(t):
    """The shortest life of a client: its message is delivered, its DISCONNECT is heard, its will stays silent."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id, will=wire.Will(t.topic('will'), b'must not be seen')),
           wire.publish(t.version, t.topic('a'), b'hello', 1, 1), wire.disconnect(t.version))
    c.expect('CONNACK', code=0)
    c.expect('PUBACK', packet_id=1)
    c.expect_closed()
    sub.receive(t.topic('a'), 'hello')
    sub.fence()


@scenario(tenant=False)
def topics_of_every_shape_arrive_as_they_were(t):
    """Non-ASCII, U+FEFF (M13), spaces, empty levels, a leading dollar, 65,535 bytes."""
    sub, pub = t.connected('sub'), t.connected('pub')
    shapes = ['grüße/日本/😀', '\ufeffbom', 'with space', 'x//y', '/', 'x/', ' ', '$notsys/x']
    for shape in shapes:
        topic = t.topic(shape)
        sub.subscribe((topic, 1))
        pub.publish(topic, shape, 1)
        sub.receive(topic, shape)
    long = t.topic()
    long += 'x' * (65535 - len(long))
    sub.subscribe((long, 1))
    pub.publish(long, b'long', 1)
    sub.receive(long, 'long')
    dollar = '$' + t.topic('d')
    sub.subscribe((dollar, 1), ('+/' + t.topic('d').split('/', 1)[1], 1))
    pub.publish(dollar, b'only by name', 1)
    sub.receive(dollar, 'only by name')
    sub.fence()


@scenario()
def a_repeated_qos_2_message_is_one_until_its_pubrel(t):
    """M47, M48: DUP that was never seen is a message; repeats before PUBREL are none; after PUBCOMP the id is free."""
    sub, pub = t.connected('sub'), t.connected('pub')
    topic = t.topic('q')
    sub.subscribe((topic, 2))
    pub.send(wire.publish(t.version, topic, b'first', 2, 7, dup=True))
    pub.expect('PUBREC', packet_id=7)
    pub.send(wire.publish(t.version, topic, b'first', 2, 7, dup=True))
    pub.expect('PUBREC', packet_id=7)
    pub.send(wire.ack(t.version, 'PUBREL', 7))
    pub.expect('PUBCOMP', packet_id=7)
    sub.receive(topic, 'first')
    pub.send(wire.publish(t.version, topic, b'second', 2, 7))
    pub.expect('PUBREC', packet_id=7)
    pub.send(wire.ack(t.version, 'PUBREL', 7))
    pub.expect('PUBCOMP', packet_id=7)
    sub.receive(topic, 'second')
    sub.fence()


@scenario()
def a_repeated_qos_1_message_is_acknowledged_again(t):
    """DUP passes; each copy has its PUBACK."""
    sub, pub = t.connected('sub'), t.connected('pub')
    topic = t.topic('q')
    sub.subscribe((topic, 1))
    for dup in (False, True):
        pub.send(wire.publish(t.version, topic, b'same', 1, 9, dup=dup))
        pub.expect('PUBACK', packet_id=9)
        sub.receive(topic, 'same', dup=0)


@scenario()
def releases_and_acknowledgements_for_nothing_do_no_harm(t):
    """M39, M40: PUBREL for an unknown id is answered; PUBACK and PUBCOMP for nothing are not."""
    c = t.connected('c')
    c.send(wire.ack(t.version, 'PUBREL', 77))
    c.expect('PUBCOMP', packet_id=77)
    c.fence()


@scenario()
def a_message_cut_in_the_middle_is_not_delivered(t):
    """M50: the publisher dies within a PUBLISH; nobody sees any of it."""
    sub = t.connected('sub')
    sub.subscribe((t.topic('#'), 1))
    pub = t.connected('pub', will=wire.Will(t.topic('will'), b'gone', qos=1))
    whole = wire.publish(t.version, t.topic('a'), b'x' * 500, 1, 1)
    pub.send(whole[:-1])
    pub.close()
    sub.receive(t.topic('will'), 'gone')
    sub.fence()


@scenario()
def subscriptions_come_and_go(t):
    """Several filters in one SUBSCRIBE, again with another QoS, UNSUBSCRIBE of known and unknown ones."""
    c, pub = t.connected('c'), t.connected('pub')
    c.subscribe((t.topic('a'), 0), (t.topic('b/+'), 1), (t.topic('c/#'), 2))
    for rest in ('a', 'b/1', 'c/1/2'):
        pub.publish(t.topic(rest), rest, 2)
        c.receive(t.topic(rest), rest)
    c.subscribe((t.topic('a'), 2))
    pub.publish(t.topic('a'), b'now 2', 2)
    c.receive(t.topic('a'), 'now 2', qos=2)
    c.unsubscribe(t.topic('a'), t.topic('never'), t.topic('b/+'))
    pub.publish(t.topic('a'), b'unseen', 2)
    pub.publish(t.topic('b/1'), b'unseen', 2)
    c.fence()
    pub.publish(t.topic('c/3'), b'seen', 2)
    c.receive(t.topic('c/3'), 'seen')


@scenario()
def a_hundred_filters_in_one_subscribe(t):
    """Every filter has its code, in order."""
    c = t.connected('c')
    c.subscribe(*[(t.topic(f'{i}/+/x'), i % 3) for i in range(100)])
    c.unsubscribe(*[t.topic(f'{i}/+/x') for i in range(100)])
    c.fence()


@scenario(mosquitto=True)       # which merges their QoS by an order of its own
def overlapping_subscriptions_of_one_client(t):
    """However often the broker delivers: the same in all ways."""
    c, pub = t.connected('c'), t.connected('pub')
    c.subscribe((t.topic('#'), 1))
    c.subscribe((t.topic('a/+'), 2))
    c.subscribe((t.topic('a/b'), 0))
    pub.publish(t.topic('a/b'), b'how often', 2)
    pub.publish(t.topic('end'), b'end', 1)
    c.receive_many(last=b'end')


@scenario(V5)
def acknowledgements_carry_their_reason_both_ways(t):
    """No matching subscribers (0x10) is told to the publisher; a subscriber's reasons and properties do no harm."""
    c = t.connected('c')
    c.send(wire.publish(V5, t.topic('nobody'), b'', 1, 1))
    c.expect('PUBACK')
    c.send(wire.publish(V5, t.topic('nobody'), b'', 2, 2))
    c.expect('PUBREC')
    c.send(wire.ack(V5, 'PUBREL', 2, 0x92, [('reason_string', 'as if lost'), ('user_property', ('a', 'b'))]))
    c.expect('PUBCOMP')
    c.subscribe((t.topic('s'), 2))
    c.send(wire.publish(V5, t.topic('s'), b'x', 1, 3))
    kinds = {c.next().kind, c.next().kind}
    assert kinds == {'PUBACK', 'PUBLISH'}, kinds
    c.send(wire.ack(V5, 'PUBACK', 1, 0x80, [('reason_string', 'no room'), ('user_property', ('k', 'v'))]))
    c.fence()
