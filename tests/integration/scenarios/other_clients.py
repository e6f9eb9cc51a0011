"""Clients that people use: mosquitto's commands, Paho for Python, Paho for C in both its forms."""

import queue
import subprocess

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from lib.case import scenario
from lib.peer import PATIENCE
from lib.programs import ENDS_WITH_PARENT, ENVIRONMENT, run_command
from lib.wire import V31, V311, V5

COMMAND_VERSIONS = {V31: 'mqttv31', V311: 'mqttv311', V5: 'mqttv5'}


def command(t, name, *arguments):
    host, port = t.address
    return [name, '-V', COMMAND_VERSIONS[t.version], '-h', host, '-p', str(port), *arguments]


def publish(t, *arguments):
    code, _, error = run_command(command(t, 'mosquitto_pub', *arguments))
    assert code == 0, error


class Subscriber:
    """mosquitto_sub in the background; ready once the broker has answered its SUBSCRIBE."""

    def __init__(self, t, name, *arguments):
        argv = command(t, 'mosquitto_sub', '-d', '-W', f'{PATIENCE:.0f}', '-i', t.topic(name).replace('/', '-'), *arguments)
        self.child = subprocess.Popen([*ENDS_WITH_PARENT, 'stdbuf', '-oL', *argv], env=ENVIRONMENT, text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.early = []         # a retained message may come before SUBACK
        while not (line := self.child.stdout.readline()).startswith('Subscribed '):
            assert line, f'{name}: ended with {self.child.wait(PATIENCE)}'
            self.early.append(line.rstrip('\n'))

    def finish(self):
        """The lines it has printed, without those of -d."""
        out = self.early + self.child.stdout.read().splitlines()
        assert self.child.wait(PATIENCE) == 0, out
        return [line for line in out if not line.startswith('Client ')]


@scenario()
def the_commands_publish_and_subscribe(t):
    """mosquitto_pub and mosquitto_sub at every QoS, retained, with a will and a file."""
    sub = Subscriber(t, 'sub', '-q', '2', '-t', t.topic('#'), '-C', '6', '-F', '%t %q %r %l %p')
    publish(t, '-t', t.topic('a'), '-m', 'zero')
    publish(t, '-t', t.topic('a'), '-m', 'one', '-q', '1', '-i', t.topic('pub'))
    publish(t, '-t', t.topic('r'), '-m', 'kept', '-q', '1', '-r')
    publish(t, '-t', t.topic('empty'), '-n', '-q', '1')
    publish(t, '-t', t.topic('many'), '-m', 'repeated', '-q', '1')
    # the last one: mosquitto_sub prints it when PUBREL has come, which what is behind it may overtake
    publish(t, '-t', t.topic('a'), '-m', 'two', '-q', '2', '--will-topic', t.topic('will'), '--will-payload', 'unseen')
    for line in sub.finish():
        t.note('sub', line)
    retained = Subscriber(t, 'late', '-q', '1', '-t', t.topic('r'), '-C', '1', '-F', '%t %q %r %p').finish()
    assert retained == [f'{t.topic("r")} 1 1 kept'], retained
    publish(t, '-t', t.topic('r'), '-n', '-r', '-q', '1')


@scenario()
def the_commands_resume_a_session(t):
    """mosquitto_sub -c finds on its second run what was published meanwhile."""
    session = ['-c', '-i', t.topic('resumes').replace('/', '-'), '-q', '1', '-t', t.topic('a')]
    if t.version == V5:
        session += ['-x', '300']
    code, _, error = run_command(command(t, 'mosquitto_sub', *session, '-E'))
    assert code == 0, error
    for text in ('first', 'second'):
        publish(t, '-t', t.topic('a'), '-m', text, '-q', '1')
    code, out, error = run_command(command(t, 'mosquitto_sub', *session, '-C', '2'))
    assert code == 0, error
    assert out == b'first\nsecond\n', out


@scenario(V5)
def the_commands_show_properties(t):
    """-D on one side, the %-formats on the other."""
    form = '%t|%P|%D|%R|%A|%C|%F|%E|%S'
    sub = Subscriber(t, 'sub', '-q', '1', '-t', t.topic('a'), '-C', '1', '-F', form, '-D', 'subscribe',
                     'subscription-identifier', '42')
    publish(t, '-t', t.topic('a'), '-m', 'x', '-q', '1', '-D', 'publish', 'user-property', 'b', '1', '-D', 'publish',
            'user-property', 'a', '2', '-D', 'publish', 'content-type', 'text/plain', '-D', 'publish', 'response-topic',
            'answer', '-D', 'publish', 'correlation-data', 'c0ffee', '-D', 'publish', 'payload-format-indicator', '1')
    line, = sub.finish()
    assert 'b:1 a:2' in line and '|answer|' in line and 'text/plain' in line and '42' in line, line
    t.note('sub', line)


@scenario(V311)
def a_refused_command_says_why(t):
    """mosquitto_pub without client id and without clean session ends as it does before the broker."""
    code, _, error = run_command(command(t, 'mosquitto_sub', '-c', '-i', '', '-t', t.topic('a'), '-E'))
    assert code != 0
    t.note('sub', f'{code} {error}')


@scenario()
def paho_for_c_works(t):
    """The synchronous and the asynchronous client see the same messages."""
    host, port = t.address
    for program in ('paho_sync', 'paho_async'):
        code, out, error = run_command([t.tools.built(program), host, str(port), str(t.version), t.topic('a')])
        assert code == 0, error
        assert out.count(b' bytes, sum ') == 4, out
        t.note(program, out.decode())


class PahoClient:
    """Paho for Python with its callbacks turned into a queue of events."""

    def __init__(self, t, name, is_lasting=False):
        self.events, self.is_v5, self.is_lasting = queue.Queue(), t.version == V5, is_lasting
        options = {} if self.is_v5 else {'clean_session': not is_lasting}
        self.client = paho.Client(f'{t.topic()}-{name}', protocol={V31: paho.MQTTv31, V311: paho.MQTTv311,
                                                                   V5: paho.MQTTv5}[t.version], **options)
        self.client.on_connect = lambda c, u, flags, rc, *p: self.put('connect', self.code(rc))
        self.client.on_subscribe = lambda c, u, mid, granted, *p: self.put('subscribe', [self.code(g) for g in granted])
        self.client.on_publish = lambda c, u, mid: self.put('publish', mid)
        self.client.on_message = lambda c, u, message: self.put('message', message)
        self.client.on_disconnect = lambda c, u, rc, *p: self.put('disconnect', self.code(rc))

    @staticmethod
    def code(value):
        return value if isinstance(value, int) else value.value

    def put(self, what, value):
        self.events.put((what, value))

    def expect(self, what):
        got, value = self.events.get(timeout=PATIENCE)
        assert got == what, f'{what} expected, got {got} {value}'
        return value

    def start(self, address):
        options = {}
        if self.is_v5 and self.is_lasting:
            options = {'clean_start': False, 'properties': Properties(PacketTypes.CONNECT)}
            options['properties'].SessionExpiryInterval = 1000
        self.client.connect(*address, **options)
        self.client.loop_start()
        assert self.expect('connect') == 0

    def stop(self):
        self.client.disconnect()
        assert self.expect('disconnect') == 0
        self.client.loop_stop()


@scenario()
def paho_for_python_works(t):
    """Every QoS and 300 kB; in MQTT 5 with properties."""
    sub, pub = PahoClient(t, 'sub'), PahoClient(t, 'pub')
    sub.client.will_set(t.topic('will'), 'unseen')
    sub.start(t.address)
    pub.start(t.address)
    sub.client.subscribe(t.topic('#'), 2)
    assert sub.expect('subscribe') == [2]
    for qos in (0, 1, 2):
        for payload in (b'', b'small', b'x' * 300000):
            properties = None
            if t.version == V5:
                properties = Properties(PacketTypes.PUBLISH)
                properties.UserProperty = [('b', '1'), ('a', '2')]
                properties.CorrelationData = b'\0\1'
            pub.client.publish(t.topic(f'{qos}'), payload, qos, properties=properties)
            pub.expect('publish')
            message = sub.expect('message')
            assert (message.topic, message.payload, message.qos) == (t.topic(f'{qos}'), payload, qos)
            if t.version == V5:
                assert message.properties.UserProperty == [('b', '1'), ('a', '2')]
                assert message.properties.CorrelationData == b'\0\1'
    sub.stop()
    pub.stop()


@scenario()
def paho_for_python_comes_back(t):
    """Its session with what has come meanwhile, its Will when it is cut off, a retained message."""
    sub, keeper, pub = PahoClient(t, 'sub'), PahoClient(t, 'keeper', is_lasting=True), PahoClient(t, 'pub')
    sub.start(t.address)
    sub.client.subscribe(t.topic('will'), 1)
    assert sub.expect('subscribe') == [1]
    pub.start(t.address)
    keeper.client.will_set(t.topic('will'), 'cut off', 1)
    keeper.start(t.address)
    keeper.client.subscribe(t.topic('kept/#'), 2)
    assert keeper.expect('subscribe') == [2]
    keeper.client.loop_stop()
    keeper.client.socket().close()
    assert sub.expect('message').payload == b'cut off'
    for qos in (1, 2):
        pub.client.publish(t.topic('kept/x'), b'%d' % qos, qos)
        pub.expect('publish')
    pub.client.publish(t.topic('kept/last'), b'last', 1, retain=True)
    pub.expect('publish')
    keeper = PahoClient(t, 'keeper', is_lasting=True)
    keeper.start(t.address)
    assert sorted(keeper.expect('message').payload for _ in range(3)) == [b'1', b'2', b'last']     # QoS 2 is told at its PUBREL
    sub.client.subscribe(t.topic('kept/+'), 1)
    assert sub.expect('subscribe') == [1]
    message = sub.expect('message')
    assert (message.payload, message.retain) == (b'last', 1), message
    pub.client.publish(t.topic('kept/last'), b'', 1, retain=True)
    pub.expect('publish')
    for client in (sub, keeper, pub):
        client.client.loop_stop()
        client.client.disconnect()
