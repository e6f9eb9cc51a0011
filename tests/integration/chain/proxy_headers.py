"""The PROXY protocol with a real haproxy: in front of r-proxy and our broker, and between s-proxy and the broker."""

import os
import re
import socket

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.peer import PATIENCE
from lib.programs import Haproxy, WsFront, parse_url
from lib.websocket import WebSocket
from lib.wire import V311, V5

CLIENT_HOST = '127.0.0.5'       # nobody else's, so that a log line that names it is about the client
TRUSTING = ('--proxy-protocol', 'on', '--trusted-proxies', '127.0.0.1')


def haproxy(t, target, bind_options='', server_options=''):
    """A haproxy that passes connections to TARGET. Logs clients as "from ADDRESS:PORT"."""
    return t.add(Haproxy(t.folder,
                         'defaults\n  mode tcp\n  log global\n  log-format "from %ci:%cp"\n  option logasap\n'
                         '  timeout connect 10s\n  timeout client 60s\n  timeout server 60s\n'
                         f'listen front\n  bind 127.0.0.1:{{port}} {bind_options}\n'
                         f'  server back {target[0]}:{target[1]} source 127.0.0.1 {server_options}\n'))


def client_from(t, name, address):
    """A client whose address is CLIENT_HOST; returns it and its port."""
    c = t.client(name, address=address)
    c.sock.close()
    c.sock = socket.create_connection(address, PATIENCE, source_address=(CLIENT_HOST, 0))
    return c, c.sock.getsockname()[1]


def raw(t, address):
    c = t.client('raw', address=address)
    return c.sock


class HeaderServer:
    """In the place of a broker: what stands in front of CONNECT, then a CONNACK that accepts."""

    def __init__(self, t):
        self.t = t
        self.server = socket.create_server(('127.0.0.1', 0))
        self.url = f'mqtt://127.0.0.1:{self.server.getsockname()[1]}'

    def accept(self):
        self.server.settimeout(PATIENCE)
        self.sock, _ = self.server.accept()
        self.sock.settimeout(PATIENCE)
        self.server.close()
        return self

    def take(self, n):
        got = b''
        while len(got) < n:
            chunk = self.sock.recv(n - len(got))
            assert chunk, f'closed after {got!r}'
            got += chunk
        return got

    def take_line(self):
        line = b''
        while not line.endswith(b'\r\n'):
            line += self.take(1)
        return line.decode('ascii')

    def close(self):
        self.sock.close()


def values(raw_values):
    """TLVs: {type: value}."""
    found = {}
    while raw_values:
        length = int.from_bytes(raw_values[1:3], 'big')
        found[raw_values[0]] = raw_values[3:3 + length]
        raw_values = raw_values[3 + length:]
    return found


@chain_test(V311, V5)
def the_client_behind_a_proxy_is_known_by_its_address(t):
    """haproxy with send-proxy and with send-proxy-v2: the log of r-proxy names client and proxy, and s-proxy's names the client."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    r_proxy = t.r_proxy(s_proxy.target, *TRUSTING)
    for option in ('send-proxy', 'send-proxy-v2', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'):
        front = haproxy(t, r_proxy.address, server_options=option)
        c, port = client_from(t, option.split()[-1].replace(',', '-'), front.address)
        c.connect()
        r_proxy.wait_log(rf'peer={CLIENT_HOST}:{port} via=127\.0\.0\.1:\d+ .*connected')
        s_proxy.wait_log(rf"peer='{CLIENT_HOST}:{port}' .*live")
        c.fence()
        c.disconnect()


@chain_test(V5, front=True)
def a_connection_of_a_trusted_proxy_without_header_is_refused(t):
    """Bytes that are no header, a header that is cut off, a wrong checksum: closed, counted, one line each in the log."""
    front = t.front(*TRUSTING, '--connect-timeout', '60s', alone=True)
    signature = b'\r\n\r\n\0\r\nQUIT\n'
    bads = (wire.connect(V5, 'c'), b'GET / HTTP/1.1\r\n\r\n', b'PROXY TCP4 1.2.3.4 5.6.7.8 70000 1\r\n', b'PROXY ' + b'x' * 200,
            signature + b'\x31\x11\0\x0c' + bytes(12), signature + b'\x21\x11\xff\xff',
            signature + b'\x21\x11\0\x13' + bytes(12) + b'\x03\0\x04\0\0\0\0')
    for number, bad in enumerate(bads):
        sock = raw(t, front.address)
        sock.sendall(bad)
        try:
            assert sock.recv(1) == b''
        except ConnectionResetError:
            pass
        assert front.count('proxy_headers_refused_total') == number + 1
    assert len(re.findall('refused, no PROXY header', front.log())) == 5      # of 7: the line is rate-limited


@chain_test(V5, front=True)
def a_header_must_come_within_the_connect_timeout(t):
    """A trusted proxy that sends half of it and waits is closed."""
    front = t.front(*TRUSTING, '--connect-timeout', '100ms', alone=True)
    sock = raw(t, front.address)
    sock.sendall(b'PROXY TCP4 192.0')
    assert sock.recv(1) == b''
    front.wait_log('no PROXY header in time')


@chain_test(V5, front=True)
def a_header_from_anywhere_else_is_not_believed(t):
    """It is what it looks like to an MQTT server: no CONNECT. A client without header is served under its own address."""
    front = t.front('--proxy-protocol', 'on', '--trusted-proxies', '10.0.0.0/8,192.168.0.0/16')
    c, port = client_from(t, 'c', front.address)
    c.connect()
    front.wait_log(rf'peer={CLIENT_HOST}:{port} id=.*connected')
    sock = raw(t, front.address)
    sock.sendall(b'PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n' + wire.connect(V5, 'liar'))
    try:
        assert sock.recv(1) == b''
    except ConnectionResetError:
        pass
    assert '192.0.2.1' not in front.log()


@chain_test(V5, front=True)
def a_listener_may_trust_proxies_that_another_does_not(t):
    """Two listeners of one file: the one with the option wants a header, the other does not."""
    path = os.path.join(t.folder, 'front.yaml')
    with open(path, 'w', encoding='ascii') as config:
        config.write('listeners:\n'
                     '  - {url: "mqtt://127.0.0.1:0", proxy-protocol: "on", trusted-proxies: [127.0.0.0/8, "::1"]}\n'
                     '  - {url: "mqtt://127.0.0.1:0"}\n')
    front = t.front('-c', path, listens=())
    t.connected('plain', address=front.listens[1]).fence()
    c = t.client('proxied', address=front.listens[0])
    c.send(b'PROXY TCP6 2001:db8::7 2001:db8::1 4711 1883\r\n')
    c.connect()
    front.wait_log(r'peer=\[2001:db8::7\]:4711 via=127.0.0.1:\d+')
    c.fence()


@chain_test(V5, front=True)
def trust_without_a_list_is_a_mistake_in_the_options(t):
    """--proxy-protocol on needs --trusted-proxies, and a list that can be read."""
    for options, word in ((('--proxy-protocol', 'on'), 'trusted-proxies'),
                          (('--proxy-protocol', 'on', '--trusted-proxies', '10.0.0.8/8'), '10.0.0.8/8'),
                          (('--proxy-protocol', 'yes'), 'none of off, on')):
        front = t.front(*options, ready=False, alone=True)
        assert front.wait_exit() == 1
        assert word in front.log(), front.log()


@chain_test(V311, V5)
def the_broker_hears_the_clients_address(t):
    """--upstream-proxy-protocol v1 and v2 to a haproxy with accept-proxy in front of mosquitto: its log names the client, and it
    passes what follows the header."""
    broker = t.mosquitto()
    for version in ('v1', 'v2'):
        behind = haproxy(t, broker.address, bind_options='accept-proxy')
        s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{behind.port}'], '--upstream-proxy-protocol', version)
        r_proxy = t.r_proxy(s_proxy.target)
        c, port = client_from(t, version, r_proxy.address)
        c.connect()
        behind.wait_log(rf'from {CLIENT_HOST}:{port}\b')
        c.fence()
        c.disconnect()


@chain_test(V5)
def the_address_passes_from_proxy_to_proxy(t):
    """haproxy, r-proxy, s-proxy, haproxy, mosquitto: the last one knows the client."""
    broker = t.mosquitto()
    behind = haproxy(t, broker.address, bind_options='accept-proxy')
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{behind.port}'], '--upstream-proxy-protocol', 'v2')
    r_proxy = t.r_proxy(s_proxy.target, *TRUSTING)
    front = haproxy(t, r_proxy.address, server_options='send-proxy-v2')
    c, port = client_from(t, 'c', front.address)
    c.connect()
    behind.wait_log(rf'from {CLIENT_HOST}:{port}\b')
    c.fence()


@chain_test(V5)
def v2_tells_the_broker_what_is_known_of_the_certificate(t):
    """What a trusted proxy said of TLS and of the certificate arrives in the header, and the client id as value 0xE0."""
    broker = HeaderServer(t)
    s_proxy = t.s_proxy([broker.url], '--upstream-proxy-protocol', 'v2')
    r_proxy = t.r_proxy(s_proxy.target, *TRUSTING)
    c = t.client('c', client_id='pump-3', address=r_proxy.address)
    facts = b'\x07\0\0\0\0' + b'\x21\0\x07TLSv1.3' + b'\x22\0\x05alice' + b'\x23\0\x06CIPHER'
    body = bytes((192, 0, 2, 7, 192, 0, 2, 8)) + b'\x04\xd2\x07\x5b' + b'\x20' + len(facts).to_bytes(2, 'big') + facts
    c.send(b'\r\n\r\n\0\r\nQUIT\n\x21\x11' + len(body).to_bytes(2, 'big') + body, wire.connect(V5, 'pump-3'))
    broker.accept()
    head = broker.take(16)
    assert head[:14] == b'\r\n\r\n\0\r\nQUIT\n\x21\x11', head
    rest = broker.take(int.from_bytes(head[14:], 'big'))
    assert rest[:4] == bytes((192, 0, 2, 7)) and rest[8:10] == b'\x04\xd2', rest
    said = values(rest[12:])
    assert said[0xE0] == b'pump-3', said
    assert said[0x20][:5] == b'\x07\0\0\0\0', said
    assert values(said[0x20][5:]) == {0x21: b'TLSv1.3', 0x22: b'alice', 0x23: b'CIPHER'}, said
    assert broker.take(1) == b'\x10'        # CONNECT follows
    broker.close()


@chain_test(V5)
def over_the_relay_service_the_client_has_no_address(t):
    """The header says UNKNOWN: the relay service carries no address."""
    broker = HeaderServer(t)
    s_proxy = t.s_proxy([broker.url], '--upstream-proxy-protocol', 'v1')
    t.r_proxy(s_proxy.target, '--trunk-service', 'relay')
    c = t.client('c')
    c.send(wire.connect(V5, 'c'))
    assert broker.accept().take_line() == 'PROXY UNKNOWN\r\n'
    assert broker.take(1) == b'\x10'
    broker.close()


@chain_test(V5)
def a_header_stands_in_front_of_tls(t):
    """haproxy passes TLS through with send-proxy-v2: r-proxy reads the header, then TLS, and the broker hears the address, the
    certificate and the client id of that client."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker = HeaderServer(t)
    s_proxy = t.s_proxy([broker.url], '--upstream-proxy-protocol', 'v2')
    r_proxy = t.r_proxy(s_proxy.target, *TRUSTING, *certs.mutual_door(), listens=('mqtts://127.0.0.1:0',))
    front = haproxy(t, r_proxy.address, server_options='send-proxy-v2')
    plain = socket.create_connection(front.address, PATIENCE, source_address=(CLIENT_HOST, 0))
    port = plain.getsockname()[1]
    with certs.context().wrap_socket(plain, server_hostname='localhost') as sock:
        sock.sendall(wire.connect(V5, 'pump-3'))
        broker.accept()
        head = broker.take(16)
        rest = broker.take(int.from_bytes(head[14:], 'big'))
    assert rest[:4] == socket.inet_aton(CLIENT_HOST) and int.from_bytes(rest[8:10], 'big') == port, rest
    said = values(rest[12:])
    facts = values(said[0x20][5:])
    assert said[0xE0] == b'pump-3' and said[0x20][:5] == b'\x07\0\0\0\0' and facts[0x21].startswith(b'TLSv1.'), said
    assert facts[0x22], facts
    broker.close()


@chain_test(V5, front=True)
def a_header_stands_in_front_of_tls_and_websocket(t):
    """mqtts://, ws:// and wss:// behind send-proxy and send-proxy-v2: the log names client and proxy, and the client is served."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    schemes = ('mqtts', 'ws', 'wss')
    front = t.front(*TRUSTING, *certs.mutual_door(), listens=[f'{scheme}://127.0.0.1:0' for scheme in schemes])
    for scheme, address in zip(schemes, front.listens):
        for option in ('send-proxy', 'send-proxy-v2'):
            balancer = haproxy(t, address, server_options=option)
            c, port = client_from(t, f'{scheme}-{option}', balancer.address)
            if scheme != 'ws':
                c.sock = certs.context().wrap_socket(c.sock, server_hostname='localhost')
            if scheme != 'mqtts':
                c.sock = WebSocket(c.sock)
            c.connect()
            front.wait_log(rf'peer={CLIENT_HOST}:{port} via=127\.0\.0\.1:\d+ .*connected')
            c.fence()


@chain_test(V5)
def the_header_stands_in_front_of_tls_to_a_broker(t):
    """haproxy with accept-proxy in front of mosquitto with TLS, and in front of a broker behind wss://: it knows the client, and
    what follows the header is TLS with the broker itself."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    broker, url = t.tls_mosquitto(certs)
    front = t.add(WsFront(broker, certs['server.pem'], certs['server-key.pem']))
    for scheme, target in (('mqtts', parse_url(url)), ('wss', front.address)):
        behind = haproxy(t, target, bind_options='accept-proxy')
        for version in ('v1', 'v2'):
            s_proxy = t.s_proxy([f'{scheme}://localhost:{behind.port}'], *certs.upstream('--upstream-proxy-protocol', version))
            r_proxy = t.r_proxy(s_proxy.target)
            c, port = client_from(t, f'{scheme}-{version}', r_proxy.address)
            c.connect()
            behind.wait_log(rf'from {CLIENT_HOST}:{port}\b')
            c.publish(t.topic('x'), b'x' * 100_000, 1)
