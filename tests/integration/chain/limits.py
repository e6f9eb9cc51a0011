"""Limits of r-proxy: who is one too many hears why, is counted, and hurts nobody."""

import re
import socket
import time

from lib import wire
from lib.case import chain_test
from lib.peer import PATIENCE
from lib.wire import V31, V311, V5


def started(t, *options):
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    return t.r_proxy(s_proxy.target, *options)


def refused(t, name, code):
    """A client that hears CONNACK with CODE (3.x: 3, server unavailable) and nothing else."""
    c = t.client(name)
    c.send(wire.connect(c.version, c.client_id))
    c.expect('CONNACK', code=code if t.version == V5 else 3)
    c.expect_closed()


@chain_test(V31, V311, V5)
def one_connection_too_many_is_told_so(t):
    """--max-connections 2: the third hears 0x89; a place that is left is free again."""
    r_proxy = started(t, '--max-connections', '2')
    first, second = t.connected('first'), t.connected('second')
    refused(t, 'third', 0x89)
    assert r_proxy.metric('rproxy_connections_over_limit_total') == 1
    r_proxy.wait_log('connection from 127.0.0.1:.* refused: .*max-connections')
    first.disconnect()
    r_proxy.wait_metric('rproxy_connections_open', 1)
    t.connected('fourth').fence()
    second.fence()


@chain_test(V311, V5)
def an_address_has_only_so_many_connections(t):
    """--max-connections-per-address 1: a second one from there hears 0x97, one from elsewhere is served."""
    r_proxy = started(t, '--max-connections-per-address', '1')
    first = t.connected('first')
    refused(t, 'second', 0x97)
    assert r_proxy.metric('rproxy_connections_over_address_limit_total') == 1
    other = t.client('other')
    other.sock.close()
    r_proxy.wait_metric('rproxy_connections_open', 1)
    other.sock = socket.create_connection(r_proxy.address, PATIENCE, source_address=('127.0.0.9', 0))
    other.connect()
    other.fence()
    first.fence()


@chain_test(V311, V5)
def connections_that_come_too_fast_are_told_so(t):
    """--connect-rate 3: of ten at once some are served and the others hear 0x9F; later all are served again."""
    r_proxy = started(t, '--connect-rate', '3')
    clients = [t.client(f'c{i}') for i in range(10)]
    codes = []
    for c in clients:
        c.send(wire.connect(c.version, c.client_id))
        codes.append(c.expect('CONNACK').code)
    assert codes[:3] == [0, 0, 0], codes
    assert (0x9F if t.version == V5 else 3) in codes, codes
    assert r_proxy.metric('rproxy_connections_over_rate_total') == sum(code != 0 for code in codes)
    while True:
        c = t.client('later')
        c.send(wire.connect(c.version, c.client_id))
        if c.expect('CONNACK').code == 0:
            return


@chain_test(V5)
def a_refused_connection_that_says_nothing_is_closed_in_time(t):
    """It does not stay for longer than --connect-timeout, and the log has not more than a few lines."""
    r_proxy = started(t, '--max-connections', '1', '--connect-timeout', '200ms')
    first = t.connected('first')
    for silent in [t.client(f'silent{i}') for i in range(20)]:
        silent.expect_closed()
    assert r_proxy.metric('rproxy_connections_over_limit_total') == 20
    assert len(re.findall('connection from .* refused', r_proxy.log())) == 5, r_proxy.log()
    first.fence()


def flood(t, r_proxy, count, payload):
    """A client sends COUNT messages as fast as it can, another has subscribed; returns how long it took until all had come."""
    receiver = t.connected('receiver')
    receiver.subscribe((t.topic('t'), 0))
    sender = t.connected('sender')
    sender.is_quiet = receiver.is_quiet = True
    began = time.monotonic()
    sender.send(*(wire.publish(t.version, t.topic('t'), payload) for _ in range(count)))
    for _ in range(count):
        receiver.expect('PUBLISH')
    sender.fence()
    receiver.disconnect()
    return time.monotonic() - began


@chain_test(V311, V5)
def a_client_that_publishes_too_fast_is_held_back(t):
    """--max-message-rate 50: of 100 messages 50 pass at once and 50 within a second; all arrive and nobody is disconnected."""
    r_proxy = started(t, '--max-message-rate', '50')
    took_s = flood(t, r_proxy, 100, b'x')
    assert took_s > 0.9, took_s
    assert r_proxy.metric('rproxy_clients_paced_total') >= 1
    r_proxy.wait_log('not read for .* max-message-rate')
    assert r_proxy.metric('rproxy_clients_lost_total') == 0


@chain_test(V311, V5)
def a_client_that_sends_too_many_bytes_is_held_back(t):
    """--max-byte-rate 20k: 40 messages of 1,000 bytes take about a second."""
    r_proxy = started(t, '--max-byte-rate', '20k')
    took_s = flood(t, r_proxy, 40, b'x' * 1000)
    assert took_s > 0.9, took_s
    r_proxy.wait_log('not read for .* max-byte-rate')
    assert r_proxy.metric('rproxy_clients_lost_total') == 0


@chain_test(V5)
def keep_alive_does_not_run_while_a_client_is_held_back(t):
    """A packet that is worth three seconds of --max-byte-rate, from a client with a keep-alive time of one."""
    r_proxy = started(t, '--max-byte-rate', '2k')
    c = t.connected('c', keep_alive=1)
    c.send(wire.publish(V5, t.topic('t'), b'x' * 8000))
    r_proxy.wait_log('not read for [23]')
    c.fence()
    assert r_proxy.metric('rproxy_clients_timed_out_total') == 0


@chain_test(V5)
def topic_aliases_are_lowered_and_held_to(t):
    """Mosquitto offers 10: --topic-alias-maximum 3 says 3 in CONNACK, alias 3 passes and alias 4 ends the client with 0x94. 20 does
    not raise it."""
    r_proxy = started(t, '--topic-alias-maximum', '3')
    c = t.client('c')
    c.send(wire.connect(V5, c.client_id))
    c.expect('CONNACK', topic_alias_maximum=3)
    c.subscribe((t.topic('#'), 0))
    c.send(wire.publish(V5, t.topic('a'), b'x', properties=[('topic_alias', 3)]))
    c.expect('PUBLISH')
    c.send(wire.publish(V5, t.topic('a'), b'x', properties=[('topic_alias', 4)]))
    c.expect('DISCONNECT', code=0x94)
    c.expect_closed()
    assert r_proxy.metric('rproxy_protocol_errors_total') == 1
    r_proxy.wait_log('client=.* closed: .*[Aa]lias')
    started(t, '--topic-alias-maximum', '20')
    c = t.client('d')
    c.send(wire.connect(V5, c.client_id))
    c.expect('CONNACK', topic_alias_maximum=10)
