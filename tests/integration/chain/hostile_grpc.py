"""Hostile bytes at the gRPC port (HOSTILE G01..G20): what s-proxy and libgrpc 1.51 make of them.

In clear text s-proxy must live, hold a bounded amount for most of them, and serve again; that others are served at once
meanwhile is not in its hands (README, "What strangers can do to the gRPC port"): libgrpc works off tens of thousands of
streams, or a header without end, before anything else. With certificates required none of it reaches HTTP/2, and others notice
nothing.
"""

import os
import socket
import ssl
import struct
import time

from lib import http2
from lib.case import chain_test
from lib.certs import Certs
from lib.http2 import (ACK, CONTINUATION, DATA, END_HEADERS, GOAWAY, HEADERS, MAX_CONCURRENT_STREAMS, MAX_HEADER_LIST_SIZE, PING,
                       RST_STREAM, SETTINGS, WINDOW_UPDATE, Http2, frame)
from lib.peer import PATIENCE, connect_to
from lib.wire import V311, V5

OK, RESOURCE_EXHAUSTED, UNIMPLEMENTED = 0, 8, 12
CANCEL = struct.pack('>I', 8)
MIB = 1 << 20


def chain(t, *options):
    """A chain and a client of it; .address of s-proxy is where the attack goes."""
    s_proxy = t.s_proxy([t.mosquitto().url], *options)
    t.r_proxy(s_proxy.target, '--workers', '1')
    return s_proxy, t.served('bystander')


def assert_serves(t, s_proxy):
    """It lives, and whoever comes is served."""
    assert s_proxy.is_running(), s_proxy.tail()
    c = t.served('afterwards')
    c.fence()
    c.disconnect()


def end_of(h, patience=PATIENCE):
    """What is heard until the server closes: {kind of frame: how many}; the code of a GOAWAY as 'goaway'."""
    h.sock.settimeout(patience)
    seen = {}
    while (got := h.next()) is not None:
        seen[got[0]] = seen.get(got[0], 0) + 1
        if got[0] == GOAWAY:
            seen['goaway'] = struct.unpack('>I', got[3][4:8])[0]
    return seen


@chain_test()
def what_is_no_grpc_is_answered_and_its_connection_closed(t):
    """G08..G11, G14: headers that lie, a header block that cannot be, a frame above the maximum, an HTTP/1 request."""
    s_proxy, bystander = chain(t)
    block = http2.request()
    lies = block + b'\0' + http2.integer(1, 7) + b'x' + http2.integer((1 << 31) - 1, 7) + bytes(100)
    attacks = {
        'G08': frame(HEADERS, END_HEADERS, 1, b'\xff' + b'\x80' * 1000 + b'\x01'),
        'G09': frame(HEADERS, END_HEADERS, 1, lies),
        'G14': frame(HEADERS, END_HEADERS, 1, block) + frame(DATA, 0, 1, bytes(100), length=(1 << 24) - 1),
    }
    for name, raw in attacks.items():
        h = Http2(s_proxy.address)
        h.send(raw)
        assert end_of(h) is not None, name
        bystander.fence()
    with connect_to(s_proxy.address) as sock:
        sock.sendall(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
        while sock.recv(4096):
            pass
    bystander.fence()


@chain_test()
def metadata_is_limited(t):
    """G10: 9,000 bytes in one line or in many: RESOURCE_EXHAUSTED for that stream, and the connection goes on."""
    s_proxy, bystander = chain(t)
    for extra in ([('x-long', 'y' * 9000)], [(f'x-{i}', 'y' * 450) for i in range(20)]):
        h = Http2(s_proxy.address)
        assert h.status(h.call(extra=extra)) == RESOURCE_EXHAUSTED
        h.call(extra=[('x-short', 'y' * 4000)])
        assert h.wait(HEADERS)[3].find(b'grpc-status') < 0, 'a good stream on the same connection is refused'
        h.close()
    bystander.fence()


@chain_test()
def an_unknown_method_is_unimplemented(t):
    """And the settings that s-proxy announces are its limits."""
    s_proxy, bystander = chain(t, '--max-streams-per-connection', '1234')
    h = Http2(s_proxy.address)
    payload = h.wait(SETTINGS)[3]
    settings = dict(struct.unpack('>HI', payload[i:i + 6]) for i in range(0, len(payload), 6))
    assert settings[MAX_CONCURRENT_STREAMS] == 1234 and settings[MAX_HEADER_LIST_SIZE] == 8192, settings
    assert h.status(h.call('/grpc.health.v1.Health/Watch')) == UNIMPLEMENTED
    h.close()
    bystander.fence()


@chain_test(release=True)
def a_message_that_claims_4_gb_is_not_held(t):
    """G16: with --max-buffered-bytes 64M libgrpc holds 256 MB of what nobody has read at most, then the stream ends."""
    s_proxy, _ = chain(t, '--max-buffered-bytes', '64M')
    h = Http2(s_proxy.address)
    stream = h.call()
    h.send(frame(DATA, 0, stream, b'\0' + b'\xff' * 4))
    room, sent = {0: 65530, stream: 65530}, 0
    while sent < 1 << 30:
        n = min(room[0], room[stream], 16384)
        if n > 0:
            if not h.send(frame(DATA, 0, stream, bytes(n))):
                break
            sent, room = sent + n, {key: value - n for key, value in room.items()}
            continue
        got = h.next()
        if got is None or got[0] in (RST_STREAM, GOAWAY) or got[0] == HEADERS and b'grpc-status' in got[3]:
            break
        if got[0] == WINDOW_UPDATE:
            room[got[2]] += struct.unpack('>I', got[3])[0]
        elif got[0] == PING and not got[1] & ACK:
            h.send(frame(PING, ACK, 0, got[3]))
        elif got[0] == SETTINGS and not got[1] & ACK:
            h.send(frame(SETTINGS, ACK))
            sizes = [struct.unpack('>HI', got[3][i:i + 6]) for i in range(0, len(got[3]), 6)]
            room[stream] += sum(value - 65535 for key, value in sizes if key == 4)
    h.close()
    assert sent < 400 * MIB, sent
    assert s_proxy.resident_bytes('VmHWM') < 400 * MIB, s_proxy.resident_bytes('VmHWM')
    assert_serves(t, s_proxy)


@chain_test(release=True)
def floods_of_small_frames_are_survived(t):
    """G04..G06: empty CONTINUATIONs, SETTINGS, PINGs. PINGs end the connection (GOAWAY 11); memory stays bounded."""
    s_proxy, _ = chain(t)
    before = s_proxy.resident_bytes()
    for opening, raw in ((frame(HEADERS, 0, 1, http2.request()), frame(CONTINUATION, 0, 1)), (b'', frame(SETTINGS)),
                         (b'', frame(PING, 0, 0, bytes(8)))):
        h = Http2(s_proxy.address)
        h.send(opening)
        h.sock.setblocking(False)
        sent, end = 0, time.monotonic() + 1     # the length of the attack
        while time.monotonic() < end:
            try:
                sent += h.sock.send(raw * 500)
                h.sock.recv(1 << 20)
            except BlockingIOError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                break
        assert sent > 10000, sent
        h.close()
    grown = s_proxy.resident_bytes('VmHWM') - before
    assert grown < 200 * MIB, grown
    assert_serves(t, s_proxy)


@chain_test(release=True)
def streams_opened_and_reset_are_worked_off(t):
    """G01, G19: 5,000 streams opened and reset, three times, and 5,000 left open: s-proxy lives, serves again, and no session or trunk
    is left of them. A second and third time takes no more memory."""
    s_proxy, _ = chain(t)
    peaks = []
    for reset in (True, True, True, False):
        h = Http2(s_proxy.address)
        for i in range(1, 10000, 2):
            h.send(frame(HEADERS, END_HEADERS, i, http2.request()) + (frame(RST_STREAM, 0, i, CANCEL) if reset else b''))
        assert h.send(frame(PING, 0, 0, bytes(8)))
        h.close()
        assert_serves(t, s_proxy)
        while s_proxy.metric('sproxy_sessions_open') > 1:      # the bystander's, if it is still there
            pass
        peaks.append(s_proxy.resident_bytes('VmHWM'))
    assert peaks[2] < peaks[0] + 150 * MIB, peaks
    lines = [line for line in s_proxy.log().split('\n') if 'lost before CONNECT' in line]
    assert len(lines) <= 20, len(lines)


@chain_test(only_all=True)
def whoever_says_nothing_is_closed(t):
    """G15: a connection without a preface ends after ten seconds; half a TLS record where TLS is asked for, too, and a stream that
    never comes to CONNECT; one that never says what trunk it is after --trunk-dead-after."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker = t.mosquitto()
    plain = t.s_proxy([broker.url])
    secure = t.s_proxy([broker.url], '--trunk-tls-cert', certs['server.pem'], '--trunk-tls-key', certs['server-key.pem'])
    socks = [connect_to(plain.address), connect_to(secure.address)]
    socks[1].sendall(b'\x16\x03\x01\x02')
    h = Http2(plain.address)
    mute_trunk, mute_relay = h.call(http2.TRUNK_PATH), h.call(http2.RELAY_PATH)
    for stream in (mute_trunk, mute_relay):
        while b'grpc-message' not in h.wait(HEADERS, stream)[3]:
            pass
    plain.wait_metric('sproxy_sessions_open', 0)
    for sock in socks:
        while sock.recv(4096):
            pass
        sock.close()


@chain_test(V311, V5)
def with_certificates_required_strangers_do_not_reach_http2(t):
    """The configuration for the Internet: a client without certificate, and bytes that are no TLS, get nowhere, and others are served
    as if nothing had happened."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    s_proxy = t.s_proxy([t.mosquitto().url], '--trunk-tls-cert', certs['server.pem'], '--trunk-tls-key', certs['server-key.pem'],
                        '--trunk-tls-client-ca', certs['ca.pem'])
    t.r_proxy(f'localhost:{s_proxy.address[1]}', '--trunk-tls-ca', certs['ca.pem'], '--trunk-tls-cert', certs['r-proxy.pem'],
              '--trunk-tls-key', certs['r-proxy-key.pem'])
    bystander = t.served('bystander')
    context = ssl.create_default_context(cafile=certs['ca.pem'])
    context.set_alpn_protocols(['h2'])
    streams = b''.join(frame(HEADERS, END_HEADERS, i, http2.request()) + frame(RST_STREAM, 0, i, CANCEL) for i in range(1, 2000, 2))
    for _ in range(5):
        with connect_to(s_proxy.address) as sock:
            sock.sendall(http2.PREFACE + frame(SETTINGS) + streams)
            assert_closed(sock)
        with connect_to(s_proxy.address) as sock:
            try:
                with context.wrap_socket(sock, server_hostname='localhost') as tls:
                    tls.sendall(http2.PREFACE + frame(SETTINGS) + streams)
                    assert_closed(tls)
            except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
                pass        # refused within the handshake, or just behind it (TLS 1.3)
        bystander.fence()
    assert s_proxy.metric('sproxy_sessions_opened_total') == 1
    s_proxy.wait_log('a connection is refused: ')


def assert_closed(sock):
    try:
        while sock.recv(4096):
            pass
    except (ConnectionResetError, ssl.SSLError):
        pass
    except socket.timeout:
        raise AssertionError('not closed') from None
