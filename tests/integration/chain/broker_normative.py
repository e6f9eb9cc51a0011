"""That every statement of the standards which binds a server has a test at mqtt-broker, or a reason why it has none."""

from lib.case import chain_test
from lib.statements import TESTED, ids
from lib.wire import V5, V311

# Who is bound: the server, both sides, or whoever sends or receives the packet. What binds a client alone is not here.
SERVER_5 = ids(
    '1.5.4-1..3 1.5.5-1 1.5.7-1 2.1.3-1 2.2.1-2 2.2.1-4..6 2.2.2-1 3.1.0-2 3.1.2-1..8 3.1.2-10 3.1.2-14..15 3.1.2-22..29 3.1.3-2 3.1.3-5..10 '
    '3.1.4-1..6 3.2.0-1..2 3.2.2-1..3 3.2.2-6..10 3.2.2-12..13 3.2.2-16 3.2.2-19..20 3.2.2-22 3.3.1-1..13 3.3.2-1..8 3.3.2-11..20 3.3.4-1..5 '
    '3.3.4-9..10 3.4.2-1..3 3.5.2-1..3 3.6.1-1 3.6.2-1..3 3.7.2-1..3 3.8.1-1 3.8.3-3 3.8.3-5 3.8.4-1..8 3.9.2-1..2 3.9.3-1..2 3.10.1-1 3.10.4-1..6 '
    '3.11.2-1..2 3.11.3-1..2 3.12.4-1 3.14.0-1 3.14.1-1 3.14.2-1..4 3.14.4-1..3 3.15.1-1 3.15.2-1..3 4.1.0-1..2 4.2-1 4.3.1-1 4.3.2-1..5 '
    '4.3.3-1..13 4.4.0-1..2 4.5.0-1 4.6.0-5..6 4.7.0-1 4.7.1-1..2 4.7.2-1 4.7.3-1..4 4.8.2-1..6 4.9.0-1..3 4.12.0-1..2 4.12.0-4..6 4.12.1-2 '
    '4.13.1-1 4.13.2-1 6.0.0-1..2 6.0.0-4')
# What the text calls an error without giving it a number, by its section.
ERRORS_5 = ids(
    '2.1.2 2.2.1:zero 2.2.1 2.2.2:foreign 2.2.2:twice 3.1.2.11:twice 3.1.2.11:zero 3.1.2.11:flag 3.1.2.11.10 3.1.3.2:twice 3.1.3.2.3 3.1.4 '
    '3.2.2.3.6 3.3.2.1 3.3.2.3.2:value 3.3.2.3.2 3.3.2.3.4 3.3.2.3.5 3.3.2.3.6 3.3.2.3.9 3.3.4 3.8.2.1.2 3.8.3.1 3.8.3:filter 3.14.2.2.2 3.14.4 '
    '3.15.2.2.2 4.3.3 4.12.1')
SERVER_311 = ids(
    '1.5.3-1..3 2.2.2-1..2 2.3.1-1 2.3.1-3..7 3.1.0-1..2 3.1.2-1..8 3.1.2-10 3.1.2-12 3.1.2-16..17 3.1.2-24 3.1.3-2 3.1.3-5..9 3.1.4-1..5 3.2.0-1 '
    '3.2.2-1..6 3.3.1-1..12 3.3.2-1..3 3.3.4-1 3.3.5-1..2 3.6.1-1 3.8.1-1 3.8.3-2 3.8.3-4 3.8.4-1..6 3.9.3-1..2 3.10.1-1 3.10.4-1..6 3.12.4-1 '
    '3.14.1-1 3.14.4-3 4.1.0-1..2 4.2.0-1 4.3.1-1 4.3.2-1..2 4.3.3-1..2 4.4.0-1 4.5.0-1 4.6.0-5..6 4.7.1-1..3 4.7.2-1 4.7.3-1..4 4.8.0-1..2 '
    '6.0.0-1..2 6.0.0-4')
NOT_SEEN_5 = {'MQTT-3.1.3-8': 'no client id is refused that is UTF-8'}


@chain_test()
def every_statement_has_a_test(t):
    """Or a reason why no client can see it; and none has both."""
    for version, wanted, reasons in ((V5, SERVER_5 + ERRORS_5, NOT_SEEN_5), (V311, SERVER_311, {})):
        missing = [number for number in wanted if number not in TESTED[version] and number not in reasons]
        assert not missing, f'no test: {" ".join(missing)}'
        assert not TESTED[version] & set(reasons), f'a test and a reason: {TESTED[version] & set(reasons)}'
