"""Stalled ends, full pipes, huge packets: memory stays bounded, nothing is lost, nobody else waits."""

import selectors
import socket
import threading

from lib import wire
from lib.case import chain_test
from lib.peer import PATIENCE, Client
from lib.wire import V31, V311, V5

MB = 1 << 20
QUIET_S = 2.0       # a socket that takes no byte for so long takes none: what is looked for is a standstill


def small_socket(address):
    """A socket whose kernel buffers hold little, so that a stall reaches r-proxy soon."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    sock.settimeout(PATIENCE)
    sock.connect(address)
    return sock


def small_client(t, name, version):
    c = Client(name, small_socket(t.address), version, t.transcript.setdefault(name, []), f'{t.base}-{name}')
    c.is_quiet = True
    t.peers.append(c)
    return c


class Memory:
    """The peak growth of the proxies from here on."""

    def __init__(self, *programs):
        self.programs = programs
        self.before = [program.resident_bytes() for program in programs]
        for program in programs:
            with open(f'/proc/{program.pid}/clear_refs', 'w', encoding='ascii') as clear:
                clear.write('5')        # forget the peak so far

    def growth(self):
        peaks = [program.resident_bytes('VmHWM') for program in self.programs]
        return sum(peak - before for peak, before in zip(peaks, self.before))

    def assert_below(self, limit):
        growth = self.growth()
        assert growth <= limit, f'the proxies grew by {growth / MB:.1f} MB, {limit / MB:.0f} are allowed'


def send_until_standstill(sock, chunk, limit):
    """Write CHUNK over and over until nothing moves any more; the bytes written. Fails at LIMIT: somebody hoards them."""
    sock.setblocking(False)
    sent, view = 0, memoryview(chunk)
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        while selector.select(QUIET_S):
            sent += sock.send(view[sent % len(chunk):])
            assert sent < limit, f'{limit / MB:.0f} MB vanished into the proxies'
    sock.settimeout(PATIENCE)
    return sent


def warm_up(t, count=20):
    """Live clients through the chain, and with them what programs allocate once."""
    live = [t.connected(f'live{i}', version=V5) for i in range(count)]
    for c in live:
        c.is_quiet = True
        c.subscribe((t.topic(f'live/{c.name}'), 1))
        c.publish(t.topic('nobody'), b'x' * 1000, 1)
    return live


def exchange(t, live):
    """Every live client sends to its neighbour and hears from the other one."""
    for sender, receiver in zip(live, live[1:] + live[:1]):
        sender.publish(t.topic(f'live/{receiver.name}'), b'are you there', 1)
        receiver.receive(t.topic(f'live/{receiver.name}'), 'are you there')


@chain_test(V311, V5, release=True, is_long=True, relay=True)
def a_stalled_subscriber_costs_little_and_loses_nothing(t):
    """200 MB of QoS 1 are due to a client that does not read, 200 MB to a broker that does not: both proxies together grow by
    at most 32 MB, 20 others go on, and when the client reads on it gets every message in order."""
    broker = t.mosquitto('max_inflight_messages 0\n')
    deaf = t.scripted()
    s_proxy = t.s_proxy([broker.url])
    r_proxy = t.r_proxy(s_proxy.target)
    s_deaf = t.s_proxy([f'mqtt://127.0.0.1:{deaf.port}'])
    r_deaf = t.r_proxy(s_deaf.target)
    t.address = r_proxy.address
    live = warm_up(t)
    stalled = small_client(t, 'stalled', t.version)
    stalled.connect(**({'properties': [('receive_maximum', 65535)]} if t.version == V5 else {}))
    stalled.subscribe((t.topic('flood'), 1))
    memory = Memory(r_proxy, s_proxy)
    count, payload = 20000, b'x' * 10_000
    publish_directly(t, broker, count, payload, lambda: exchange(t, live))
    for _ in range(5):
        exchange(t, live)
    memory.assert_below(32 * MB)
    stall_the_uplink(t, deaf, r_deaf, s_deaf)
    memory.assert_below(32 * MB)
    for number in range(count):
        got = stalled.next()
        assert got != 'closed' and got.kind == 'PUBLISH', got
        assert got.payload[:8] == b'%08d' % number, (number, got.payload[:8])
        stalled.send(wire.ack(t.version, 'PUBACK', got.packet_id))
    stalled.fence()
    exchange(t, live)
    memory.assert_below(32 * MB)


def publish_directly(t, broker, count, payload, meanwhile):
    """COUNT numbered messages straight into the broker; MEANWHILE() runs ten times in between."""
    pub = Client('pub', socket.create_connection(broker.address, PATIENCE), V5, [], f'{t.base}-pub')
    pub.is_quiet = True
    t.peers.append(pub)
    pub.connect()
    for first in range(0, count, 20):
        pub.send(*[wire.publish(V5, t.topic('flood'), b'%08d' % number + payload[8:], 1, number % 65535 + 1)
                   for number in range(first, first + 20)])
        for _ in range(20):
            pub.expect('PUBACK')
        if first % (count // 10) == 0:
            meanwhile()


def stall_the_uplink(t, deaf, r_deaf, s_deaf):
    """The client sends to a broker that does not read, until nothing moves; then the broker reads all of it."""
    c = Client('c', socket.create_connection(r_deaf.address, PATIENCE), t.version, [], 'c')
    t.peers.append(c)
    c.send(wire.connect(t.version, 'c'))
    up = t.serve(deaf)
    c.expect('CONNACK')
    memory = Memory(r_deaf, s_deaf)
    message = wire.publish(t.version, 't', b'y' * 100_000)
    sent = send_until_standstill(c.sock, message, 200 * MB)
    memory.assert_below(32 * MB)
    finish = message[sent % len(message):] if sent % len(message) else b''
    writer = threading.Thread(target=c.sock.sendall, args=(finish + wire.pingreq(),))
    writer.start()
    up.is_quiet = True
    for _ in range(-(-sent // len(message))):
        got = up.expect('PUBLISH')
        assert len(got.payload) == 100_000
    up.expect('PINGREQ')
    writer.join(PATIENCE)
    memory.assert_below(32 * MB)


@chain_test(V311, V5, release=True, is_long=True, relay=True)
def both_directions_full_never_deadlock(t):
    """Client and broker write to each other without reading, until nothing moves. Then one side reads, and only its
    direction moves; then the other; in the end every byte has arrived."""
    broker = t.scripted()
    t.chain(broker)
    c = small_client(t, 'c', t.version)
    c.send(wire.connect(t.version, 'c'))
    up = t.serve(broker)
    up.is_quiet = True
    c.expect('CONNACK')
    message = wire.publish(t.version, 't', b'z' * 50_000)
    ends = {c: 0, up: 0}
    for end in ends:
        ends[end] = send_until_standstill(end.sock, message, 200 * MB)
    for reader, writer in ((c, up), (up, c)):
        # while READER reads, WRITER writes on: 20 MB more must pass, though the other direction stands still
        pump(reader, writer, message, ends, 20 * MB)
    for reader, writer in ((c, up), (up, c)):
        finish(reader, writer, message, ends[writer])


def pump(reader, writer, message, ends, more):
    goal = ends[writer] + more
    reader.sock.setblocking(False)
    writer.sock.setblocking(False)
    received = 0
    with selectors.DefaultSelector() as selector:
        selector.register(reader.sock, selectors.EVENT_READ)
        selector.register(writer.sock, selectors.EVENT_WRITE)
        while ends[writer] < goal:
            ready = selector.select(PATIENCE)
            assert ready, f'{writer.name} to {reader.name} stands still, {goal - ends[writer]} bytes short'
            for key, _ in ready:
                if key.fileobj is reader.sock:
                    chunk = reader.sock.recv(1 << 18)
                    assert chunk, 'closed'
                    received += len(chunk)
                    reader.decoder.feed(chunk)
                elif ends[writer] < goal:
                    ends[writer] += writer.sock.send(message[ends[writer] % len(message):])
    reader.sock.settimeout(PATIENCE)
    writer.sock.settimeout(PATIENCE)


def finish(reader, writer, message, sent):
    """Complete the last message and read everything: as many messages as were sent, whole."""
    rest = message[sent % len(message):] if sent % len(message) else b''
    thread = threading.Thread(target=writer.sock.sendall, args=(rest,))
    thread.start()
    for _ in range(-(-sent // len(message))):
        got = reader.expect('PUBLISH')
        assert len(got.payload) == 50_000
    thread.join(PATIENCE)


@chain_test(V31, V311, V5, release=True, relay=True)
def sixty_four_megabytes_are_a_message(t):
    """Up and down through the chain, QoS 1, next to small ones of another client."""
    t.chain()
    sub, pub, other = t.connected('sub'), t.connected('pub'), t.connected('other')
    sub.subscribe((t.topic('large'), 1))
    payload = bytes(range(256)) * (64 * 4096)
    packet = wire.publish(t.version, t.topic('large'), payload, 1, 1)
    writer = threading.Thread(target=pub.send, args=(packet,))
    writer.start()
    for _ in range(20):
        other.fence()
    pub.expect('PUBACK', packet_id=1)
    writer.join(PATIENCE)
    got = sub.receive(t.topic('large'))
    assert got.payload == payload, 'changed on the way'
    sub.fence()


@chain_test(V5, release=True, is_long=True, relay=True)
def the_largest_packet_of_mqtt_passes(t):
    """Remaining length 268,435,455, up and down, with its properties."""
    broker = t.scripted()
    t.chain(broker)
    c = t.client('c')
    c.send(wire.connect(V5, 'c'))
    up = t.serve(broker)
    c.expect('CONNACK')
    properties = [('user_property', ('k', 'v')), ('content_type', 'large')]
    overhead = len(wire.publish(V5, 't', b'x' * (1 << 21), 1, 1, properties=properties)) - (1 << 21) - 5
    payload = b'q' * (268435455 - overhead)
    packet = wire.publish(V5, 't', payload, 1, 1, properties=properties)
    assert packet[1:5] == b'\xff\xff\xff\x7f'
    for here, there in ((c, up), (up, c)):
        writer = threading.Thread(target=here.send, args=(packet,))
        writer.start()
        got = there.expect('PUBLISH', topic='t')
        writer.join(PATIENCE)
        assert got.payload == payload and got.properties == properties, 'changed on the way'
        there.send(wire.ack(V5, 'PUBACK', 1))
        here.expect('PUBACK')


@chain_test(V31, V311, V5)
def the_packet_limit_of_r_proxy_is_told_and_kept(t):
    """--max-packet-size: lowered in a v5 CONNACK, 0x95 or close above it, the will fires, below it all is well."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([broker.url])
    t.r_proxy(s_proxy.target, '--max-packet-size', '10k')
    watcher = t.connected('watcher', version=V5, address=broker.address)
    watcher.subscribe((t.topic('will'), 1))
    c = t.client('c')
    got = c.connect(will=wire.Will(t.topic('will'), b'too large', 1))
    assert t.version != V5 or got.prop('maximum_packet_size') in (10240, 10000), got
    c.publish(t.topic('a'), b'x' * 9000, 1)
    c.send_quietly(wire.publish(t.version, t.topic('a'), b'x' * 11000, 1, 5))
    assert c.expect_end([0x95]) is not None or t.version != V5
    watcher.receive(t.topic('will'), 'too large')


@chain_test(V5)
def the_packet_limit_of_the_broker_is_never_raised(t):
    """The broker's smaller maximum stays in CONNACK; a larger one is lowered."""
    broker = t.scripted()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{broker.port}'])
    t.r_proxy(s_proxy.target, '--max-packet-size', '10k')
    for said, heard in ((5000, 5000), (20_000_000, 10240)):
        c = t.client('c')
        c.send(wire.connect(V5, 'c'))
        up = t.serve(broker, properties=[('maximum_packet_size', said)])
        c.expect('CONNACK', maximum_packet_size=heard)
        c.close()
        up.expect_closed()


@chain_test(V5, release=True, is_long=True, relay=True)
def the_byte_budget_of_the_process_holds(t):
    """--max-buffered-bytes 8M in both, 60 stalled subscribers with 4 MB due each: the proxies stay within it and the windows
    granted before, and a live client is served all the while."""
    broker = t.mosquitto('max_inflight_messages 0\n')
    s_proxy = t.s_proxy([broker.url], '--max-buffered-bytes', '8M')
    r_proxy = t.r_proxy(s_proxy.target, '--max-buffered-bytes', '8M')
    live = warm_up(t, 2)
    for i in range(60):
        stalled = small_client(t, f'stalled{i}', V311)
        stalled.connect()
        stalled.subscribe((t.topic('flood'), 1))
    memory = Memory(r_proxy, s_proxy)
    publish_directly(t, broker, 400, b'x' * 10_000, lambda: exchange(t, live))
    for _ in range(20):
        exchange(t, live)
    # in each: the limit, and what every client had been allowed to send before it was reached (256 kB, LANE_WINDOW_BYTES)
    memory.assert_below(2 * (8 * MB + 60 * 256 * 1024))


@chain_test(V311, V5, release=True, relay=True)
def pings_that_nobody_reads_the_answers_of_are_bounded(t):
    """R18: a client writes 150,000 PINGREQ without reading: back-pressure, no hoard, others go on."""
    _, s_proxy, r_proxy = t.chain()
    live = warm_up(t, 2)
    c = small_client(t, 'c', t.version)
    c.connect()
    memory = Memory(r_proxy, s_proxy)
    c.sock.setblocking(False)
    sent, pings = 0, wire.pingreq() * 1000
    with selectors.DefaultSelector() as selector:
        selector.register(c.sock, selectors.EVENT_WRITE)
        while sent < 300_000 and selector.select(QUIET_S):
            try:
                sent += c.sock.send(pings[sent % 2:])
            except (ConnectionResetError, BrokenPipeError):
                break
    exchange(t, live)
    memory.assert_below(32 * MB)


@chain_test(V5, relay=True)
def three_hundred_large_wills_fire_at_once(t):
    """R08: r-proxy dies with 300 clients, each with a will of 10 kB: all are published, the broker and s-proxy live."""
    broker, s_proxy, r_proxy = t.chain()
    watcher = t.connected('watcher', address=broker.address, properties=[('receive_maximum', 1000)])
    watcher.subscribe((t.topic('#'), 0))
    for i in range(300):
        t.connected('c', client_id=f'c{i}', will=wire.Will(t.topic(f'{i}'), b'w' * 10_000))
    r_proxy.kill()
    got = {message.topic for message in watcher.receive_many(300)}
    assert len(got) == 300, len(got)
    assert s_proxy.is_running()
