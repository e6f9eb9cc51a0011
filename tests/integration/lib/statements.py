"""The numbered statements of the MQTT standards that bind a server, and tests that are named by them.

A test says which statements of 5.0 and which of 3.1.1 it shows; it runs once for each version. Where 3.1.1 has the same words
under another number, both are one test. All tests share one broker of the worker's; some need one with tight limits.
"""

from . import wire
from .case import BROKER, CHAIN, DECLARED, Declared
from .peer import CLOSED
from .wire import V31, V311, V5

TESTED = {V5: set(), V311: set()}       # the statements that have a test
THREES = (V31, V311)
OURS = 'alone'                          # the broker of most tests
LIMITS = {'max_packet': 2000, 'keep_alive': 2, 'session_expiry': 3, 'subscriptions': 3, 'levels': 4}
SCRAM_USER = ('alice', 'secret')


def ids(text):
    """'3.1.2-4 3.1.2-7..9' as a list of full names."""
    found = []
    for word in text.split():
        section, _, numbers = word.partition('-')
        first, _, last = numbers.partition('..')
        found += [f'MQTT-{section}-{number}' for number in range(int(first), int(last or first) + 1)] if numbers else [f'MQTT {section}']
    return found


def statement(five='', three='', versions=THREES, broker=OURS, name=None):
    """Declare the function that follows as the test of these statements; VERSIONS: those of 3.x that have them."""
    def declare(function):
        for standard, numbers, runs in ((V5, five, (V5,)), (V311, three, versions)):
            if not numbers:
                continue
            TESTED[standard].update(ids(numbers))
            for version in runs:
                title = f'{name or function.__name__}({" ".join(ids(numbers))})'
                DECLARED.append(Declared(on_shared_broker(function, broker), CHAIN, version, {'title': title}))
        return function
    return declare


def on_shared_broker(function, broker):
    def run(t):
        t.listens = t.use_shared(broker, BROKER).broker.listens
        function(t)
    run.__doc__, run.__name__, run.__wrapped__ = function.__doc__, function.__name__, function
    return run


# ---- what the tests have in common


def kept(t, seconds=1000, **options):
    """Options of a CONNECT whose session lasts."""
    if t.version == V5:
        options['properties'] = [('session_expiry', seconds), *options.get('properties', ())]
    return {'clean': False, **options}


def present(t, value):
    """What CONNACK's Session Present must be; 3.1 has none."""
    return None if t.version == V31 else value


def nothing_came(publisher, *subscribers):
    """Nothing that PUBLISHER has sent so far is on its way to any of them: what it sends now comes next."""
    for subscriber in subscribers:
        topic = f'nothing/{subscriber.client_id}'
        subscriber.subscribe((topic, 0))
        publisher.send(wire.publish(publisher.version, topic, b'nothing before this'))
        subscriber.expect('PUBLISH', topic=topic)


def take_retained_away(t, rest):
    t.connected('cleaner').publish(t.topic(rest), b'', 1, retain=True)


def ended(client, *codes):
    """The broker ends the connection: in 5.0 it says one of CODES (None among them: it may say nothing), in 3.x nothing."""
    got = client.next()
    client.note(str(got))
    if client.version != V5:
        assert got == CLOSED, f'{client.name}: close expected, got {got!r}'
        return
    if got == CLOSED:
        assert None in codes, f'{client.name}: closed without a word'
        return
    assert got.kind == 'DISCONNECT' and got.code in codes, f'{client.name}: DISCONNECT {codes} expected, got {got!r}'
    assert got.prop('session_expiry') is None, got          # MQTT-3.14.2-2
    client.expect_closed()


def refused(client, *codes):
    """The broker refuses CONNECT with one of CODES (None: without a word), and closes."""
    got = client.next()
    client.note(str(got))
    if got == CLOSED:
        assert None in codes, f'{client.name}: closed without a word'
        return
    assert got.kind == 'CONNACK' and got.code in codes and got.session_present == 0, f'{client.name}: {codes} expected, got {got!r}'
    client.expect_closed()
