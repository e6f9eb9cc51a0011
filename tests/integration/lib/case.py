"""What a test is handed, and how tests are declared.

A *scenario* speaks MQTT as clients do. It runs directly at the broker, through both proxies (over trunks, over the relay
service, some over compressed trunks), and through both proxies with the client's bytes dripping in and out one by one. What
every client received (and what a scripted broker received) is written down; the transcripts must be equal: a client must not
see the difference.

A *chain test* is about the proxies themselves and builds what it needs: over trunks, and over the relay service too where it
says so.
"""

import inspect
import os
import shutil
import tempfile

from . import wire
from .peer import Client, ScriptedBroker, connect_to
from .programs import Broker, Mosquitto, Program, Relay, RProxy, SProxy, free_port, run_command
from .wire import V31, V311, V5

DIRECT, CHAIN, RELAY, DRIP, ZSTD, TENANT = 'direct', 'chain', 'chain-relay', 'chain-drip', 'chain-zstd', 'chain-tenant'
BROKER, BROKER_TENANT = OURS = 'broker', 'broker-tenant'
WAYS = (DIRECT, CHAIN, RELAY, DRIP, ZSTD, TENANT, *OURS)
TENANT_MODULES = ('messages', 'retained', 'sessions', 'v5', 'wills')       # in which topics and client ids matter
MOUNT = ('--mount-point', 'tenants/one', '--client-id-prefix', 'one:')
COMPRESS = ('--trunk-compression', 'zstd:3')
S_OPTIONS = {ZSTD: COMPRESS}
R_OPTIONS = {ZSTD: COMPRESS, RELAY: ('--trunk-service', 'relay'),       # s-proxy offers both services
             TENANT: MOUNT}
VERSION_NAMES = {V31: '3.1', V311: '3.1.1', V5: '5', None: ''}


class Skip(Exception):
    """This test cannot run here; the text says why. It counts neither as passed nor as failed."""


class Declared:
    """A test function with what its decorator said about it. A scenario has all ways, a chain test its WAY."""

    def __init__(self, function, way, version, options):
        self.function, self.way, self.version, self.options = function, way, version, options
        self.is_scenario = way is None
        self.module = os.path.splitext(os.path.basename(inspect.getfile(inspect.unwrap(function))))[0]
        suffix = f'[{VERSION_NAMES[version]}]' if version else ''
        self.name = f'{self.module}.{options.get("title", function.__name__)}{suffix}'
        self.promise = inspect.getdoc(function) or ''

    def runs(self, way):
        """Over compressed trunks run the scenarios that say zstd=True: messages are all that can differ. As tenants those of
        TENANT_MODULES, unless they say tenant=False: a broker with limits sees other lengths. At our broker those that are
        written for any broker as it is."""
        if way == self.way or not self.is_scenario:
            return way == self.way
        if way == ZSTD:
            return self.options.get('zstd', False)
        if way in OURS and (self.options['broker'] != 'plain' or self.options.get('mosquitto', False)):
            return False
        is_tenant = self.module in TENANT_MODULES and self.options['broker'] == 'plain' and self.options.get('tenant', True)
        return way not in (TENANT, BROKER_TENANT) or is_tenant


DECLARED = []


def scenario(*versions, broker='plain', **options):
    """Declare a scenario for VERSIONS (all three unless given) before the BROKER of that name."""
    def declare(function):
        for version in versions or (V31, V311, V5):
            DECLARED.append(Declared(function, None, version, {'broker': broker, **options}))
        return function
    return declare


def chain_test(*versions, **options):
    """Declare a chain test, once per version. With relay=True it runs over the relay service as well. With front=True it is about
    what stands before clients, which our broker has too (ChainCase.front()): it runs at that as well. With release=True it
    runs the release build: it measures memory or moves hundreds of megabytes, both of which a sanitizer distorts. With
    only_all=True it runs in `tests/run --all`."""
    def declare(function):
        for way in (CHAIN, *((RELAY,) if options.get('relay') else ()), *((BROKER,) if options.get('front') else ())):
            for version in versions or (None,):
                DECLARED.append(Declared(function, way, version, options))
        return function
    return declare


class Tools:
    """Where things are on this machine."""

    def __init__(self, build, release):
        self.build, self.release = build, release
        self.folder = tempfile.mkdtemp(prefix='worker-')

    def proxy(self, name, release=False):
        return os.path.join(self.release if release else self.build, name if '/' in name else f'{name}/{name}')

    def built(self, name):
        path = os.path.join(self.build, 'tests', 'integration', name)
        if not os.path.exists(path):
            raise AssertionError(f'{path} is not built')
        return path

    def remove(self):
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- brokers by name

PLAIN_CONFIG = 'max_queued_messages 0\nset_tcp_nodelay true\nsys_interval 0\n'


def start_plain(tools):
    return Mosquitto(tools.folder, PLAIN_CONFIG)


def start_strict(tools):
    """Two messages in flight, small packets only, few aliases, short keep-alive: limits that a client can see."""
    return Mosquitto(tools.folder, PLAIN_CONFIG + 'max_inflight_messages 2\nmax_packet_size 20000\nmax_keepalive 600\n'
                     'max_qos 1\nretain_available false\nmax_topic_alias 3\nallow_zero_length_clientid false\n')


def start_password(tools):
    path = os.path.join(tools.folder, 'passwords')
    users = (('alice', 'secret'), ('zoë', 'pässwörd'), ('spaced name', 'a b c'))
    for user, password in users:
        create = [] if os.path.exists(path) else ['-c']
        code, _, error = run_command(['mosquitto_passwd', '-b', *create, path, user, password])
        assert code == 0, error
    acl = os.path.join(tools.folder, 'acl')
    with open(acl, 'w', encoding='utf-8') as lines:
        lines.write('user alice\ntopic readwrite #\ntopic deny forbidden/#\n')
    return Mosquitto(tools.folder, PLAIN_CONFIG + f'password_file {path}\nacl_file {acl}\n', anonymous=False)


def start_plugin(tools):
    """The broker that really asks: see auth_plugin.c."""
    record = os.path.join(tools.folder, 'plugin-record')
    broker = Mosquitto(tools.folder, PLAIN_CONFIG + f'plugin {tools.built("auth_plugin.so")}\n'
                       f'plugin_opt_record {record}\n', anonymous=False)
    broker.record = record
    return broker


def start_ours(tools, *options, workers=2, **program):
    """Ours, with mosquitto's numbers in CONNACK."""
    return Broker(tools.proxy('broker/mqtt-broker'), '--allow-anonymous', '--receive-maximum', '20',
                  '--topic-alias-maximum', '10', '--workers', str(workers), '--sys-interval', '0', *options, **program).wait_ready()


def start_ours_for_a_tenant(tools):
    """Every client is one."""
    return start_ours(tools, *MOUNT)


def start_ours_alone(tools):
    """The same with one worker: what one client has been told, every other client sees at once. It listens for WebSocket too."""
    return start_ours(tools, workers=1, listens=('mqtt://127.0.0.1:0', 'ws://127.0.0.1:0'))


def start_ours_with_limits(tools):
    """Ours, where everything that has a limit has a low one, and only who proves who it is may come: see lib/statements.py."""
    users = os.path.join(tools.folder, 'scram')
    code, _, error = run_command([tools.proxy('broker/passwd/mqtt-passwd'), '-b', '--hash', 'scram', '--iterations', '4096', users,
                                  'alice', 'secret'])
    assert code == 0, error
    return Broker(tools.proxy('broker/mqtt-broker'), '--allow-anonymous', '--scram-file', users, '--max-packet-size', '2000',
                  '--max-keep-alive', '2s', '--max-session-expiry', '3s', '--max-subscriptions', '3', '--max-topic-levels', '4',
                  '--connect-timeout', '1s', '--workers', '1', '--sys-interval', '0').wait_ready()


def start_scripted(tools):
    return ScriptedBroker()


BROKERS = {'plain': start_plain, 'strict': start_strict, 'password': start_password, 'plugin': start_plugin,
           'scripted': start_scripted}
OUR_BROKERS = {'plain': start_ours, 'alone': start_ours_alone, 'limits': start_ours_with_limits}
BROKERS_OF = {BROKER: OUR_BROKERS, BROKER_TENANT: {'plain': start_ours_for_a_tenant}}


class World:
    """One way to one broker, up and ready; shared by the scenarios of a worker until one of them fails."""

    def __init__(self, way, broker_name, tools, release=False):
        self.way, self.programs = way, []
        self.broker = BROKERS_OF.get(way, BROKERS)[broker_name](tools)
        try:
            port = self.broker.port
            self.address = ('127.0.0.1', port)
            if isinstance(self.broker, Program):
                self.programs.append(self.broker)
            if way not in (DIRECT, *OURS):
                self.s_proxy = self.add(SProxy(tools.proxy('s-proxy', release), [f'mqtt://127.0.0.1:{port}'], *S_OPTIONS.get(way, ())))
                self.s_proxy.wait_ready()
                self.r_proxy = self.add(RProxy(tools.proxy('r-proxy', release), [self.s_proxy.target], *R_OPTIONS.get(way, ())))
                self.address = self.r_proxy.wait_ready().address
            if way == DRIP:
                self.address = self.add(Relay(self.address, 'drip')).address
        except BaseException:
            self.kill()
            raise

    def add(self, program):
        self.programs.append(program)
        return program

    def assert_alive(self):
        for program in self.programs:
            if not program.is_running():
                raise AssertionError(f'{program.name} has ended with {program.wait_exit()}\n{program.tail(120)}')

    def close(self):
        """End it all from the client's side on; each program must end well."""
        try:
            for program in reversed(self.programs):
                program.stop()
        finally:
            self.kill()

    def kill(self):
        for program in self.programs:
            program.kill()
        if not isinstance(self.broker, Program):
            self.broker.close()

    def tails(self):
        return '\n'.join(program.tail() for program in self.programs if program.name != 'relay')


class Case:
    """What both kinds of test can do. Owns the sockets of the test."""

    def __init__(self, declared, tools):
        self.declared, self.tools, self.version = declared, tools, declared.version or V5
        self.transcript = {}
        self.peers = []
        self.rewrites = []
        self.address = None
        self.tls = None         # an ssl.SSLContext: raw clients speak TLS
        self.base = f'{declared.function.__name__}/{VERSION_NAMES[self.version]}'

    def topic(self, rest=''):
        """A topic of this test's own, the same in all ways."""
        return f'{self.base}/{rest}' if rest else self.base

    def client(self, name, version=None, client_id=None, address=None, sock=None):
        """A raw client with an open socket (SOCK, or one to ADDRESS) that has not sent CONNECT yet."""
        lines = self.transcript.setdefault(name, [])
        if lines:
            lines.append('-- again --')
        sock = sock or connect_to(address or self.address)
        if self.tls:
            sock = self.tls.wrap_socket(sock, server_hostname='localhost')
        peer = Client(name, sock, version or self.version, lines,
                      f'{self.base}-{name}'.replace('/', '-') if client_id is None else client_id)
        peer.rewrite = self.rewrite
        self.peers.append(peer)
        return peer

    def connected(self, name, version=None, client_id=None, address=None, **options):
        """A raw client that has its CONNACK."""
        peer = self.client(name, version, client_id, address)
        peer.connect(**options)
        return peer

    def served(self, name, version=None, address=None, **options):
        """A client that is served in the end: gRPC and back-off take their time to try again, and until then it is told that
        nobody is there, which is true."""
        while True:
            peer = self.client(name, version, address=address)
            peer.send(wire.connect(peer.version, peer.client_id, **options))
            got = peer.expect('CONNACK')
            if got.code == 0:
                peer.connack = got
                return peer
            assert got.code == (0x88 if peer.version == V5 else 3), got
            peer.expect_closed()

    def rewrite(self, text):
        for old, new in self.rewrites:
            text = text.replace(old, new)
        return text

    def same(self, value, name):
        """From here on VALUE, which differs from run to run, stands in the transcript as NAME."""
        self.rewrites.append((repr(value)[1:-1] if isinstance(value, str) else repr(value), f'<{name}>'))

    def note(self, name, text):
        self.transcript.setdefault(name, []).append(self.rewrite(text))

    def close_peers(self):
        for peer in self.peers:
            peer.close()


class ScenarioCase(Case):
    def __init__(self, declared, tools, world):
        super().__init__(declared, tools)
        self.world, self.way = world, world.way
        self.is_chain = world.way not in (DIRECT, *OURS)
        self.address = world.address

    def farewell(self, ours):
        """What a client hears where mosquitto closes without a word: from our broker OURS; from the proxies 0x8B, which the
        standard prefers and DESIGN promises."""
        return ours if self.way in OURS else 0x8B if self.is_chain else None

    def serve(self, name='broker', **connack):
        """A scripted broker takes the next connection: CONNECT read, CONNACK sent."""
        peer = self.world.broker.serve(self.transcript.setdefault(name, []), **connack)
        self.peers.append(peer)
        return peer

    def accept(self, name='broker'):
        peer = self.world.broker.accept(self.transcript.setdefault(name, []))
        self.peers.append(peer)
        return peer

    def pair(self, code=0, connack=(), name='client', **options):
        """A client and, behind it, the scripted broker's end of the same connection, both past CONNACK."""
        client = self.client(name)
        client.send(wire.connect(client.version, client.client_id, **options))
        upstream = self.serve(name='broker', properties=connack, code=code)
        client.expect('CONNACK', code=code)
        return client, upstream


class ChainCase(Case):
    def __init__(self, declared, tools, get_world):
        super().__init__(declared, tools)
        self.get_world = get_world
        self.programs, self.brokers = [], []
        self.shared = (declared.way, 'plain')       # the world that it uses, unless it builds its own
        self.release = declared.options.get('release', False)
        self.folder = tempfile.mkdtemp(prefix='case-', dir=tools.folder)
        self.way = declared.way

    def add(self, program):
        self.programs.append(program)
        return program

    def use_shared(self, broker='plain', way=None):
        """The worker's running chain (or, by another WAY, the broker), for tests that leave it as it was."""
        self.shared = (way or self.way, broker)
        world = self.get_world(*self.shared)
        self.address = world.address
        return world

    def mosquitto(self, config='', **options):
        return self.add(Mosquitto(self.folder, PLAIN_CONFIG + config, **options))

    def tls_mosquitto(self, certs, *lines, name='server'):
        """mosquitto with a TLS listener too, which LINES are about; NAME: its certificate. Returns it and that listener's URL."""
        port = free_port()
        config = [f'listener {port} 127.0.0.1', 'allow_anonymous true', f'cafile {certs["ca.pem"]}', f'certfile {certs[name + ".pem"]}',
                  f'keyfile {certs[name + "-key.pem"]}', *lines]
        return self.mosquitto(''.join(line + '\n' for line in config)), f'mqtts://localhost:{port}'

    def scripted(self, **options):
        broker = ScriptedBroker(**options)
        self.brokers.append(broker)
        return broker

    def binary(self, name):
        return self.tools.proxy(name, self.release)

    def s_proxy(self, upstreams, *options, ready=True, **program):
        proxy = self.add(SProxy(self.binary('s-proxy'), upstreams, *options, **program))
        return proxy.wait_ready() if ready else proxy

    def r_proxy(self, s_proxies, *options, ready=True, **program):
        """S_PROXIES: where to, one or a list."""
        targets = [s_proxies] if isinstance(s_proxies, str) else s_proxies
        proxy = self.add(RProxy(self.binary('r-proxy'), targets, *R_OPTIONS.get(self.way, ()), *options, **program))
        if ready:
            self.address = proxy.wait_ready().address
        return proxy

    def broker(self, *options, ready=True, **program):
        """Ours, for anybody."""
        broker = self.add(Broker(self.tools.proxy('broker/mqtt-broker', self.release), '--allow-anonymous', *options, **program))
        return broker.wait_ready() if ready else broker

    def front(self, *options, alone=False, **program):
        """What clients of a test with front=True connect to: r-proxy, with mosquitto behind it unless it stands ALONE, or our
        broker."""
        if self.way == BROKER:
            broker = self.broker(*options, **program)
            self.address = broker.address
            return broker
        return self.r_proxy('127.0.0.1:1' if alone else self.s_proxy([self.mosquitto().url]).target, *options, **program)

    def relay(self, target, **options):
        return self.add(Relay(target, **options))

    def chain(self, broker=None, s_options=(), r_options=()):
        """Broker (mosquitto unless given), s-proxy and r-proxy; clients connect to the last."""
        broker = broker or self.mosquitto()
        s_proxy = self.s_proxy([f'mqtt://127.0.0.1:{broker.port}'], *s_options)
        r_proxy = self.r_proxy(s_proxy.target, *r_options)
        return broker, s_proxy, r_proxy

    def serve(self, broker, **connack):
        peer = broker.serve(self.transcript.setdefault('broker', []), **connack)
        self.peers.append(peer)
        return peer

    def accept(self, broker, name='broker'):
        peer = broker.accept(self.transcript.setdefault(name, []))
        self.peers.append(peer)
        return peer

    def finish(self):
        """The end of a test that passed: what still runs must end well."""
        for program in reversed(self.programs):
            if program.is_running():
                program.stop()
            elif not isinstance(program, Relay):
                program.assert_clean()

    def kill(self):
        for program in self.programs:
            program.kill()
        for broker in self.brokers:
            broker.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def tails(self):
        return '\n'.join(program.tail() for program in self.programs if program.name != 'relay')
