"""MQTT over WebSocket: clients at r-proxy and our broker, brokers behind s-proxy, and what hostile clients send (HOSTILE W01..
W12)."""

import base64
import os
import queue
import signal
import socket
import struct

import paho.mqtt.client as paho

from lib import websocket, wire
from lib.case import chain_test
from lib.certs import Certs
from lib.peer import PATIENCE, connect_to
from lib.programs import WsFront
from lib.websocket import BINARY, CONTINUATION, PING, WebSocket, frame
from lib.wire import V31, V311, V5, Will

KEY = base64.b64encode(b'0123456789abcdef').decode()
LISTENS = ('ws://127.0.0.1:0', 'mqtt://127.0.0.1:0')


def ws_front(t, *options, listens=LISTENS):
    """What clients connect to listens for WebSocket, and in the clear for bystanders (t.plain)."""
    front = t.front(*options, listens=listens)
    t.plain = front.listens[-1]
    return front


def over_ws(t, name, path='/mqtt', extra=(), protocol='mqtt', **options):
    """A raw client over WebSocket that has not sent CONNECT yet; .ws is its WebSocket."""
    c = t.client(name, **options)
    c.ws = c.sock = WebSocket(c.sock, path, extra, protocol)
    return c


def connected(t, name, **options):
    c = over_ws(t, name)
    c.connect(**options)
    return c


class PahoClient:
    """Paho for Python over WebSocket; messages arrive in a queue."""

    def __init__(self, t, name, address, path='/mqtt', ca=None):
        self.messages, self.events = queue.Queue(), queue.Queue()
        protocol = paho.MQTTv5 if t.version == V5 else paho.MQTTv311
        self.client = paho.Client(client_id=t.topic(name).replace('/', '-'), transport='websockets', protocol=protocol)
        self.client.ws_set_options(path=path)
        if ca:
            self.client.tls_set(ca)
        self.client.on_connect = lambda *args: self.events.put(('connect', int(getattr(args[3], 'value', args[3]))))
        self.client.on_subscribe = lambda *args: self.events.put(('subscribe', None))
        self.client.on_publish = lambda *args: self.events.put(('publish', None))
        self.client.on_message = lambda client, data, message: self.messages.put((message.topic, message.qos, message.payload))
        self.client.connect(*address)
        self.client.loop_start()
        assert self.wait('connect') == 0

    def wait(self, kind):
        got, value = self.events.get(timeout=PATIENCE)
        assert got == kind, (got, kind)
        return value

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@chain_test(V311, V5, front=True)
def paho_over_websocket_is_served(t):
    """Every QoS, and 300 kB, from one Paho client to another."""
    front = ws_front(t)
    sub, pub = PahoClient(t, 'sub', front.address), PahoClient(t, 'pub', front.address)
    sub.client.subscribe(t.topic('#'), 2)
    sub.wait('subscribe')
    for qos in (0, 1, 2):
        for payload in (b'', b'small', bytes(range(256)) * 1200):
            pub.client.publish(t.topic('a'), payload, qos)
            pub.wait('publish')
            assert sub.messages.get(timeout=PATIENCE) == (t.topic('a'), qos, payload)
    sub.close()
    pub.close()


@chain_test(V31, V311, V5, front=True)
def packets_and_frames_need_not_agree(t):
    """W02, W03: a packet over several frames, several packets in one, a packet as fragments with a ping between, bytes one by
    one."""
    ws_front(t)
    c = connected(t, 'c')
    c.subscribe((t.topic('a'), 0))
    packets = [wire.publish(t.version, t.topic('a'), b'%d' % i + b'x' * i) for i in range(300)]
    c.ws.sock.sendall(frame(b''.join(packets[:100])))
    for packet in packets[100:200]:
        at = len(packet) // 2
        c.ws.sock.sendall(frame(packet[:at]) + frame(b'') + frame(packet[at:]))
    for packet in packets[200:290]:
        c.ws.sock.sendall(frame(packet[:3], first=BINARY) + frame(b'between', PING) + frame(packet[3:9], first=CONTINUATION)
                          + frame(packet[9:], CONTINUATION))
    for byte in b''.join(packets[290:]):
        c.ws.sock.sendall(frame(bytes([byte])))
    for i in range(300):
        c.receive(t.topic('a'), b'%d' % i + b'x' * i)
    assert c.ws.pongs and set(c.ws.pongs) == {b'between'}, c.ws.pongs


@chain_test(V311, V5, front=True)
def a_large_packet_passes_both_ways(t):
    """2 MB in one frame, and in frames of 1,000 bytes."""
    ws_front(t)
    c = connected(t, 'c')
    c.subscribe((t.topic('a'), 1))
    payload = bytes(range(256)) * 8000
    packet = wire.publish(t.version, t.topic('a'), payload, 1, 7)
    c.send(packet)
    got = [c.next(), c.next()]
    assert sorted(one.kind for one in got) == ['PUBACK', 'PUBLISH'], got
    assert [one.payload for one in got if one.kind == 'PUBLISH'] == [payload]
    c.send(wire.ack(t.version, 'PUBACK', next(one for one in got if one.kind == 'PUBLISH').packet_id))
    c.ws.sock.sendall(b''.join(frame(packet[at:at + 1000]) for at in range(0, len(packet), 1000)))
    got = [c.next(), c.next()]
    assert [one.payload for one in got if one.kind == 'PUBLISH'] == [payload]


@chain_test(V311, front=True)
def the_path_and_the_subprotocols_are_those_of_the_listener(t):
    """A path of one's own, with a query behind it; mqttv3.1 where a client wants only that."""
    ws_front(t, listens=('ws://127.0.0.1:0/my/path', 'mqtt://127.0.0.1:0'))
    over_ws(t, 'a', path='/my/path?token=1').connect()
    c = over_ws(t, 'b', path='/my/path', protocol='chat, mqttv3.1')
    assert c.ws.protocol == 'mqttv3.1'
    c.connect()


@chain_test(V5, front=True)
def both_sides_close_with_a_handshake(t):
    """DISCONNECT is followed by close frame 1000; a client's close frame is answered with its own code."""
    ws_front(t)
    c = connected(t, 'c')
    c.send(wire.disconnect(t.version))
    assert c.ws.wait_close() == 1000
    c = connected(t, 'd')
    c.ws.sock.sendall(frame(struct.pack('>H', 1001) + b'leaving', websocket.CLOSE))
    assert c.ws.wait_close() == 1001


@chain_test(V5, front=True)
def a_server_that_goes_away_says_so(t):
    """It is told to end: DISCONNECT 0x8B and close frame 1001."""
    front = ws_front(t)
    c = connected(t, 'c')
    front.signal(signal.SIGTERM)
    c.expect('DISCONNECT', code=0x8B)
    assert c.ws.wait_close() == 1001
    c.close()
    assert front.wait_exit() == 0


# ---- the upgrade

def upgrade_refused(name, status, build, *options, text=''):
    """BUILD() are bytes instead of a good request: they are answered with STATUS, logged and counted."""
    def attack(t):
        front = ws_front(t, '--log', 'debug', *options)
        bystander = t.connected('bystander', address=t.plain)
        sock = connect_to(t.address)
        since = front.mark()
        sock.sendall(build())
        got, fields, _ = websocket.read_head(sock)
        assert got == status, got
        assert status != 426 or fields['sec-websocket-version'] == '13', fields
        while sock.recv(4096):
            pass
        front.wait_log(f'WebSocket refused with {status}.*{text}', since)
        front.wait_count('websockets_refused_total', 1)
        bystander.fence()
        sock.close()

    attack.__name__ = name
    attack.__doc__ = f'{status}, a line in the log and a counter.'
    chain_test(front=True)(attack)


upgrade_refused('a_request_that_is_no_http_is_refused', 400, lambda: wire.connect(V311, 'c'))
upgrade_refused('a_request_without_key_is_refused', 400, lambda: websocket.request(KEY, without=('Sec-WebSocket-Key',)), text='Key')
upgrade_refused('a_request_without_subprotocol_is_refused', 400, lambda: websocket.request(KEY, protocol='chat'), text='mqtt')
upgrade_refused('another_origin_is_refused', 403,
                lambda: websocket.request(KEY, extra=[('Origin', 'https://evil.example')]),
                '--websocket-origins', 'https://one.example,https://two.example', text='evil.example')
upgrade_refused('another_path_is_refused', 404, lambda: websocket.request(KEY, path='/other'), text='/other')
upgrade_refused('another_method_is_refused', 405, lambda: websocket.request(KEY, method='POST'), text='GET')
upgrade_refused('no_upgrade_is_refused', 426, lambda: websocket.request(KEY, without=('Upgrade', 'Connection')))
upgrade_refused('another_version_is_refused', 426,
                lambda: websocket.request(KEY, without=('Sec-WebSocket-Version',), extra=[('Sec-WebSocket-Version', '8')]))
upgrade_refused('a_giant_header_is_refused', 431, lambda: websocket.request(KEY, extra=[('Cookie', 'x' * 9000)]), text='too long')


@chain_test(V5, front=True)
def an_allowed_origin_is_served(t):
    """--websocket-origins: those of the list, and clients that are no browsers."""
    ws_front(t, '--websocket-origins', 'https://one.example,https://two.example')
    over_ws(t, 'a', extra=[('Origin', 'https://two.example')]).connect()
    over_ws(t, 'b').connect()


@chain_test(V5, front=True)
def half_a_handshake_is_closed_in_time(t):
    """W11: a request that never ends, one that never begins, and an upgrade without CONNECT are closed after --connect-timeout,
    and counted; so is a header that never ends, at its limit."""
    front = ws_front(t, '--connect-timeout', '500ms')
    bystander = t.connected('bystander', address=t.plain)
    silent, slow = connect_to(t.address), connect_to(t.address)
    slow.sendall(websocket.request(KEY)[:60])
    upgraded = over_ws(t, 'upgraded')
    for sock in (silent, slow, upgraded.ws):
        while sock.recv(4096):
            pass
        sock.close()
    front.wait_count('connect_timeouts_total', 3)
    bystander.fence()


# ---- frames

def bad_frame(name, code, *frames):
    """FRAMES, sent within a session: the connection ends with CODE, the Will fires, others are served."""
    def attack(t):
        front = ws_front(t)
        watcher = t.connected('watcher', address=t.plain)
        watcher.subscribe((t.topic('will'), 1))
        bystander = t.connected('bystander', address=t.plain)
        c = connected(t, 'c', will=Will(t.topic('will'), b'hostile', 1))
        try:
            for one in frames:
                c.ws.sock.sendall(one)
            assert c.ws.wait_close() == code, c.ws.close_code
        except (BrokenPipeError, ConnectionResetError):
            pass                        # it was closed while we went on sending
        watcher.receive(t.topic('will'), 'hostile')
        front.wait_log(f'WebSocket closed with {code}')
        front.wait_count('websockets_broken_total', 1)
        bystander.fence()

    attack.__name__ = name
    attack.__doc__ = f'Close frame {code}, the Will, a line in the log and a counter.'
    chain_test(V5, front=True)(attack)


PINGREQ = wire.pingreq()
bad_frame('w01_mqtt_in_a_text_frame', 1003, frame(PINGREQ, websocket.TEXT))
bad_frame('w05_a_frame_without_mask', 1002, frame(PINGREQ, mask=b''))
bad_frame('w06_a_reserved_bit', 1002, frame(PINGREQ, first=0xc2))
bad_frame('w06_a_reserved_opcode', 1002, frame(PINGREQ, opcode=3))
bad_frame('w07_a_large_control_frame', 1002, frame(b'x' * 126, PING))
bad_frame('w07_a_fragmented_control_frame', 1002, frame(b'x', first=PING))
bad_frame('w08_a_frame_of_two_to_the_63', 1009, frame(b'', length=1 << 63))
bad_frame('w08_a_frame_of_a_gigabyte', 1009, frame(b'', length=1 << 30))
bad_frame('w10_a_message_of_empty_fragments', 1009, frame(b'\xc0', first=BINARY), frame(b'', first=CONTINUATION) * 200_000)


@chain_test(V5, front=True)
def w08_claims_cost_no_memory(t):
    """50 clients that claim 200 MB each and send the beginning: the server does not grow by it."""
    front = ws_front(t, '--max-packet-size', '1M')
    clients = [connected(t, f'c{i}') for i in range(50)]
    before = front.resident_bytes()
    for c in clients:
        c.ws.sock.sendall(frame(b'', length=200 << 20))
    for c in clients:
        c.ws.sock.sendall(b'\x30\xff\xff')
    t.connected('bystander', address=t.plain).fence()
    assert front.resident_bytes() - before < 20 << 20, front.resident_bytes() - before


@chain_test(V5, front=True)
def w09_a_packet_longer_than_its_frame_waits(t):
    """CVE-2026-25627: nothing is read past a frame, the rest of the packet comes in another."""
    ws_front(t)
    c = connected(t, 'c')
    c.subscribe((t.topic('a'), 0))
    packet = wire.publish(t.version, t.topic('a'), b'x' * 1000)
    c.ws.sock.sendall(frame(packet[:20]))
    t.connected('bystander', address=t.plain).fence()
    c.ws.sock.sendall(frame(packet[20:]))
    c.receive(t.topic('a'), b'x' * 1000)


@chain_test(V5, front=True)
def w12_pings_without_reading_the_pongs(t):
    """200,000 pings: the server keeps at most the last, and goes on serving."""
    front = ws_front(t)
    c = connected(t, 'c')
    before = front.resident_bytes()
    ping = frame(b'p' * 100, PING, mask=b'\0\0\0\0')
    for _ in range(200):
        c.ws.sock.sendall(ping * 1000)
    t.connected('bystander', address=t.plain).fence()
    assert front.resident_bytes() - before < 20 << 20, front.resident_bytes() - before
    c.ws.sock.sendall(frame(b'last', PING))
    while c.ws.wait_pong() != b'last':
        pass
    c.fence()


# ---- proxies in front

@chain_test(V5, front=True)
def only_a_trusted_proxy_says_who_its_client_is(t):
    """X-Forwarded-For in the log, from --trusted-proxies only."""
    for trusted, expected in (('127.0.0.0/8', '203.0.113.7'), ('10.0.0.0/8', '127.0.0.1')):
        front = ws_front(t, '--log', 'debug', '--trusted-proxies', trusted)
        over_ws(t, 'c', extra=[('X-Forwarded-For', '198.51.100.1, 203.0.113.7, 127.0.0.9')]).connect()
        front.wait_log(rf'peer={expected}\b.*connected')


# ---- brokers over WebSocket

@chain_test(V31, V311, V5)
def a_broker_over_websocket_is_served(t):
    """s-proxy --upstream ws://: every QoS and 1 MB; the broker's side sees close frames."""
    front = t.add(WsFront(t.mosquitto()))
    s_proxy = t.s_proxy([front.url])
    t.r_proxy(s_proxy.target)
    sub, pub = t.connected('sub'), t.connected('pub')
    for qos in (0, 1, 2):
        sub.subscribe((t.topic(f'{qos}'), qos))
        for payload in (b'', b'small', b'x' * 1_000_000):
            pub.publish(t.topic(f'{qos}'), payload, qos)
            sub.receive(t.topic(f'{qos}'), payload, qos=qos)
    c = t.connected('c', will=Will(t.topic('2'), b'lost', 1))
    c.reset()
    sub.receive(t.topic('2'), 'lost')
    sub.disconnect()
    front.wait_log('^closed 1000')


@chain_test(V5)
def a_broker_that_refuses_the_upgrade_is_named(t):
    """CONNACK 0x88 for the client, and what the server answered in the log."""
    listener = socket.create_server(('127.0.0.1', 0))
    listener.settimeout(PATIENCE)
    s_proxy = t.s_proxy([f'ws://127.0.0.1:{listener.getsockname()[1]}/somewhere'])
    t.r_proxy(s_proxy.target)
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    broker, _ = listener.accept()
    got = b''
    while b'\r\n\r\n' not in got:
        got += broker.recv(4096)
    assert got.startswith(b'GET /somewhere HTTP/1.1\r\n') and b'\r\nSec-WebSocket-Protocol: mqtt' in got, got
    broker.sendall(b'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    c.expect('CONNACK', code=0x88)
    s_proxy.wait_log('WebSocket: the server answered 404 Not Found')
    broker.close()
    listener.close()


@chain_test(V311, V5)
def websocket_over_tls_on_both_sides(t):
    """wss:// at r-proxy and at the broker: certificates are checked below WebSocket, Paho and a raw client are served."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    front = t.add(WsFront(t.mosquitto(), certs['server.pem'], certs['server-key.pem']))
    s_proxy = t.s_proxy([front.url], *certs.upstream())
    proxy = t.r_proxy(s_proxy.target, *certs.door(), listens=('wss://127.0.0.1:0',))
    sub = PahoClient(t, 'sub', proxy.address, ca=certs['ca.pem'])
    sub.client.subscribe(t.topic('#'), 2)
    sub.wait('subscribe')
    c = t.client('c')
    c.sock = c.ws = WebSocket(certs.context(None).wrap_socket(c.sock, server_hostname='127.0.0.1'))
    c.connect()
    for size in (0, 100, 300_000):
        c.publish(t.topic('a'), b'x' * size, 2)
        assert sub.messages.get(timeout=PATIENCE) == (t.topic('a'), 2, b'x' * size)
    c.send(wire.disconnect(t.version))
    assert c.ws.wait_close() == 1000
    sub.close()


@chain_test(V5)
def websocket_on_both_sides(t):
    """Client, r-proxy, s-proxy, broker: ws:// at either end."""
    s_proxy = t.s_proxy([t.add(WsFront(t.mosquitto())).url])
    t.r_proxy(s_proxy.target, listens=LISTENS)
    c = connected(t, 'c')
    c.subscribe((t.topic('a'), 2))
    pub = connected(t, 'pub')
    pub.publish(t.topic('a'), b'x' * 70_000, 2)
    c.receive(t.topic('a'), b'x' * 70_000)
