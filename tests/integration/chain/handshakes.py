"""Many TLS handshakes at once, and hundreds of bad ones among good clients (HOSTILE T01..T06)."""

import asyncio
import os
import random
import socket
import ssl
import struct
import subprocess

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.load import Loads
from lib.peer import PATIENCE, connect_to
from lib.tls_peer import TlsPeer, context
from lib.wire import V5

MANY = 1000
HOSTILE = 300
RECORD = 16384           # bytes: the largest of TLS


def tls_front(t, *options):
    """What clients connect to listens for TLS with certificates on both sides, and in the clear (t.plain)."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    front = t.front(*certs.mutual_door(*options), listens=('mqtts://127.0.0.1:0', 'mqtt://127.0.0.1:0'))
    t.plain = front.listens[1]
    t.tls = certs.context()
    return certs, front


# ---- a thousand at once


class AsyncClient:
    def __init__(self, number):
        self.number, self.decoder = number, wire.Decoder(V5)

    async def connect(self, address, tls):
        self.reader, self.writer = await asyncio.open_connection(*address, ssl=tls, server_hostname='localhost',
                                                                 ssl_handshake_timeout=PATIENCE)
        self.writer.write(wire.connect(V5, f'many-{self.number}', keep_alive=600))
        got = await self.next()
        assert got.kind == 'CONNACK' and got.code == 0, got

    async def next(self):
        while (got := self.decoder.next()) is None:
            chunk = await asyncio.wait_for(self.reader.read(1 << 16), PATIENCE)
            assert chunk, f'client {self.number} was closed'
            self.decoder.feed(chunk)
        return got

    async def fence(self):
        self.writer.write(wire.pingreq())
        got = await self.next()
        assert got.kind == 'PINGRESP', got

    async def disconnect(self):
        self.writer.write(wire.disconnect(V5))
        assert await asyncio.wait_for(self.reader.read(1), PATIENCE) == b''
        self.writer.close()


@chain_test()
def a_thousand_clients_shake_hands_at_once(t):
    """Certificates on both sides: all of them are connected, then all are served, then all go; nobody fails."""
    _, r_proxy = tls_front(t, '--connect-timeout', '60s')

    async def everybody():
        clients = [AsyncClient(number) for number in range(MANY)]
        await asyncio.gather(*(c.connect(r_proxy.address, t.tls) for c in clients))
        r_proxy.assert_metrics(rproxy_connections_open=MANY)
        await asyncio.gather(*(c.fence() for c in clients))
        await asyncio.gather(*(c.disconnect() for c in clients))

    asyncio.run(everybody())
    r_proxy.wait_metric('rproxy_connections_open', 0)
    r_proxy.assert_metrics(rproxy_clients_connected_total=MANY, rproxy_clients_disconnected_total=MANY)
    r_proxy.assert_metrics(rproxy_handshakes_failed_total=0, rproxy_connect_timeouts_total=0)


# ---- hundreds of bad ones


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
    sock.close()


def expect_close(sock):
    """Whatever it says before, an alert or nothing."""
    try:
        while sock.recv(1 << 16):
            pass
    except ConnectionResetError:
        pass
    sock.close()


class Attacks:
    """Each method is one connection to ADDRESS, where certificates are asked for, and its name says what it does. PLAIN: a port
    without TLS. ALPN: that of a trunk port, where libgrpc closes without alerts."""

    def __init__(self, certs, address, plain, alpn=None):
        self.address, self.plain, self.certs, self.alpn = address, plain, certs, alpn
        self.good = context(False, cert=certs['client.pem'], key=certs['client-key.pem'], alpn=alpn)
        self.old, self.bare = context(False, newest=ssl.TLSVersion.TLSv1_1), context(False, alpn=alpn)
        self.hello = TlsPeer(socket.socket(), self.good, name='localhost').first_flight()

    def say(self, data, address=None):
        sock = connect_to(address or self.address)
        sock.sendall(data)
        return sock

    def refused(self, data):
        sock = connect_to(self.address)
        try:
            sock.sendall(data)
        except (ConnectionResetError, BrokenPipeError):
            pass                            # it was closed while we went on sending
        expect_close(sock)

    def expect_alert(self, peer, alert):
        verdict = peer.verdict()
        assert verdict == ('closed' if self.alpn else alert), verdict

    def peer(self):
        return TlsPeer(connect_to(self.address), self.good, name='localhost').handshake()

    # ---- handshakes that have begun and come to nothing: counted

    def garbage(self):
        self.refused(b'\x17' + os.urandom(1000))

    def plain_mqtt(self):
        self.refused(wire.connect(V5, 'c'))

    def http(self):
        self.refused(b'GET / HTTP/1.1\r\nHost: x\r\n\r\n')

    def an_old_version(self):
        self.expect_alert(TlsPeer(connect_to(self.address), self.old), 'TLSV1_ALERT_PROTOCOL_VERSION')

    def an_sslv2_hello(self):
        self.refused(b'\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x07\x00\xc0\x05\x00\x80\x03\x00\x80\x01\x00\x80\x08\x00\x80'
                     b'\x06\x00\x40\x04\x00\x80\x02\x00\x80' + os.urandom(16))

    def a_hello_of_16_megabytes(self):
        record, head = b'\x16\x03\x01' + struct.pack('>H', RECORD), b'\x01\xff\xff\xff\x03\x03'
        self.refused(record + head + bytes(RECORD - len(head)) + (record + bytes(RECORD)) * 10)

    def a_record_above_the_limit(self):
        self.refused(b'\x16\x03\x01\xff\xff' + bytes(0xffff))

    def warnings_without_end(self):
        self.refused(b'\x15\x03\x01\x00\x02\x01\x5a' * 200)

    def half_a_hello_and_a_fin(self):
        sock = self.say(self.hello[:len(self.hello) // 2])
        sock.shutdown(socket.SHUT_WR)
        expect_close(sock)

    def half_a_hello_and_a_reset(self):
        reset(self.say(self.hello[:len(self.hello) // 2]))

    def a_hello_and_a_reset(self):
        reset(self.say(self.hello))

    def no_certificate(self):
        self.expect_alert(TlsPeer(connect_to(self.address), self.bare), 'TLSV13_ALERT_CERTIFICATE_REQUIRED')

    COUNTED = (garbage, plain_mqtt, http, an_old_version, an_sslv2_hello, a_hello_of_16_megabytes, a_record_above_the_limit,
               warnings_without_end, half_a_hello_and_a_fin, half_a_hello_and_a_reset, a_hello_and_a_reset, no_certificate)

    # ---- others

    def a_connection_and_a_reset(self):
        reset(connect_to(self.address))

    def a_reset_in_the_middle_of_a_record(self):
        peer = self.peer()
        peer.change = lambda flight: flight[:len(flight) // 2]
        peer.sendall(wire.connect(V5, 'half'))
        reset(peer.sock)

    def a_record_that_was_changed(self):
        peer = self.peer()
        peer.change = lambda flight: flight[:-1] + bytes([flight[-1] ^ 1])
        peer.sendall(wire.connect(V5, 'changed'))
        self.expect_alert(peer, 'SSLV3_ALERT_BAD_RECORD_MAC')

    def renegotiation(self):
        argv = ['openssl', 's_client', '-connect', '%s:%d' % self.address, '-tls1_2', '-alpn', 'mqtt',
                '-cert', self.certs['client.pem'], '-key', self.certs['client-key.pem']]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as talk:
            talk.stdin.write(b'R\n')        # asks for it; its standard input stays open
            talk.stdin.flush()
            said = talk.stdout.read()
        assert b'RENEGOTIATING' in said and b'no renegotiation' in said, said

    def tls_to_the_plain_port(self):
        expect_close(self.say(self.hello, self.plain))

    OTHERS = (a_connection_and_a_reset, a_reset_in_the_middle_of_a_record, a_record_that_was_changed, tls_to_the_plain_port)

    def run(self, count):
        """COUNT connections in any order, each kind about as often as any other; how many of them count as handshakes."""
        kinds = self.COUNTED + self.OTHERS + (() if self.alpn else (Attacks.renegotiation,))     # libgrpc takes 10 s to close it
        order = [kinds[number % len(kinds)] for number in range(count)]
        random.shuffle(order)
        for kind in order:
            kind(self)
        return sum(kind in self.COUNTED for kind in order)


@chain_test(front=True)
def bad_handshakes_hurt_nobody(t):
    """300 of 17 kinds among 10 clients that publish all the while: each is closed and counted, no client waits or is closed, no
    descriptor stays open."""
    certs, front = tls_front(t)
    loads = Loads(t, 10)
    before = front.descriptors()
    counted = Attacks(certs, front.address, t.plain).run(HOSTILE)
    loads.stop()
    front.wait_count('connections_open', 10)
    assert front.count('handshakes_failed_total') == counted
    assert front.count('clients_lost_total') == 0
    front.wait_descriptors(before)


@chain_test()
def bad_handshakes_on_the_trunk_port_hurt_nobody(t):
    """100 of them at s-proxy: the trunk and its clients go on."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url], *certs.server_side())
    r_proxy = t.r_proxy(s_proxy.target, *certs.client_side('--workers', '1'))
    loads = Loads(t, 10)
    before = s_proxy.descriptors()
    Attacks(certs, s_proxy.address, r_proxy.address, 'h2').run(100)
    loads.stop()
    r_proxy.assert_metrics(rproxy_trunks_opened_total=1)
    assert s_proxy.metric('sproxy_handshakes_refused_total') > 0
    assert s_proxy.descriptors() < before + 20      # libgrpc takes up to 10 s to close some
