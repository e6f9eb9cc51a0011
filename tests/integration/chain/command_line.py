"""Options from four sources; what the programs say about themselves, and what never reaches a log."""

import json
import os

from lib import wire
from lib.case import chain_test
from lib.certs import Certs
from lib.programs import Program, run_command
from lib.wire import V311, V5, Will

PROGRAMS = ('r-proxy', 's-proxy')


def run(t, name, *arguments, env=None):
    """Exit code, stdout and stderr as text."""
    code, out, error = run_command([t.binary(name), *arguments], env=env or {})
    return code, out.decode(), error


@chain_test()
def help_names_every_option_with_its_default(t):
    """--help: exit 0, on stdout, every long option with a word about it and the environment variable's form."""
    for name in PROGRAMS:
        code, out, error = run(t, name, '--help')
        assert code == 0 and not error, error
        options = ['--log', '--log-format', '--workers', '--drain-timeout', '--max-buffered-bytes', '--check-config']
        options += ['--listen', '--s-proxy', '--connect-timeout', '--max-packet-size'] if name == 'r-proxy' else [
            '--listen-grpc', '--upstream', '--upstream-connect-timeout']
        for option in options:
            assert option in out, (name, option)
        assert all(len(line) <= 132 for line in out.split('\n')), 'wider than a terminal'


@chain_test()
def version_is_a_line(t):
    """--version: exit 0, one line with name and number."""
    for name in PROGRAMS:
        code, out, error = run(t, name, '--version')
        assert code == 0 and not error, error
        assert out.startswith(name) and out.count('\n') == 1 and any(c.isdigit() for c in out), out


@chain_test()
def mistakes_end_with_1_and_their_name(t):
    """Unknown options, bad values, missing values, bad URLs: exit 1, the option named on stderr, nothing on stdout."""
    mistakes = [(['--no-such-option'], 'no-such-option'), (['--workers', 'many'], 'workers'), (['--workers'], 'workers'),
                (['--drain-timeout', '5 parsecs'], 'drain-timeout'), (['--max-buffered-bytes', '-1'], 'max-buffered-bytes'),
                (['--log', 'loud'], 'log'), (['--log-format', 'xml'], 'log-format'), (['-c', '/no/such/file'], '/no/such/file')]
    own = {'r-proxy': [(['--listen', 'http://x:1'], 'listen'), (['--listen', 'mqtt://127.0.0.1:99999'], 'listen'),
                       (['--connect-timeout', '0'], 'connect-timeout'), (['--upstream', 'mqtt://x:1'], 'upstream'),
                       (['--max-packet-size', '1T'], 'max-packet-size'), (['1', '2', '3'], ''), (['notaport'], 'notaport')],
           's-proxy': [(['--upstream', 'http://x:1'], 'upstream'), (['--listen-grpc', 'nowhere'], 'listen-grpc'),
                       (['--s-proxy', 'x:1'], 's-proxy'), (['1', '2', '3'], '')]}
    for name in PROGRAMS:
        for arguments, word in mistakes + own[name]:
            code, out, error = run(t, name, '--check-config', *arguments)
            assert code == 1, f'{name} {arguments}: exit {code}'
            assert word in error and error.strip() and not out, f'{name} {arguments}: {error!r} {out!r}'


@chain_test()
def check_config_says_file_line_and_key(t):
    """A good file: exit 0, silent on stderr. A bad one: exit 1 with file, line and key."""
    path = os.path.join(t.folder, 'config.yaml')
    good = {'r-proxy': 'listen:\n  - mqtt://127.0.0.1:0\ns-proxy: 127.0.0.1:1\nlog: warn\n',
            's-proxy': 'listen-grpc: 127.0.0.1:0\nupstream: [mqtt://127.0.0.1:1, mqtt://127.0.0.1:2]\n'}
    for name in PROGRAMS:
        write(path, good[name])
        code, _, error = run(t, name, '-c', path, '--check-config')
        assert code == 0 and not error, error
        for bad, line, word in (('workers: lots\n', 1, 'workers'), ('\n\nno-such-key: 1\n', 3, 'no-such-key'),
                                ('log: info\nworkers: [1, 2]\n', 2, 'workers'), ('log: info\n  bad indent: [\n', 2, '')):
            write(path, bad)
            code, _, error = run(t, name, '-c', path, '--check-config')
            assert code == 1 and path in error and f'{line}' in error and word in error, (bad, error)


@chain_test()
def check_config_opens_the_files(t):
    """Certificates, keys, CAs, revocation lists, PSKs, passwords and tokens that are missing or wrong: exit 1, and the error says
    where the option stands, the file and the reason. A start would find the same."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    nothing, empty = certs['nothing.pem'], certs.write('empty.pem', '')
    other_key = certs['client-key.pem']
    pair = {'tls-cert': certs['server.pem'], 'tls-key': certs['server-key.pem']}
    trunk = {'trunk-' + name: value for name, value in pair.items()}
    upstream = {'upstream-' + name: value for name, value in pair.items()}
    listener = {'listen': 'mqtts://127.0.0.1:0', **pair, 'tls-client-ca': certs['ca.pem'], 'tls-crl': certs['crl.pem'],
                'tls-psk-file': certs.write('psk', 'a:0123456789abcdef0123\n')}
    tokens = certs.write('tokens', 'a-token\n')
    client = {**trunk, 'trunk-tls-ca': certs['ca.pem'], 'trunk-token-file': tokens}
    server = {**trunk, 'trunk-tls-client-ca': certs['ca.pem'], 'trunk-tls-crl': certs['crl.pem'], 'trunk-tokens-file': tokens}
    broker = {'upstream': 'mqtts://127.0.0.1:1', **upstream, 'upstream-tls-ca': certs['ca.pem'], 'upstream-tls-crl': certs['crl.pem']}
    path = os.path.join(t.folder, 'config.yaml')
    for name, good in (('r-proxy', listener), ('r-proxy', client), ('s-proxy', server), ('s-proxy', broker)):
        assert check(t, name, path, good) == (0, ''), (name, good)
        for line, option in enumerate(good, 1):
            bad = other_key if option.endswith('tls-key') else empty if option.endswith('cert') else nothing
            if option not in ('listen', 'upstream'):
                code, error = check(t, name, path, {**good, option: bad})
                assert code == 1 and f'{path}:{line}: {option}: ' in error and bad in error, (option, bad, error)
    secret = {**listener, 'tls-key': certs['encrypted-key.pem'], 'tls-key-password-file': certs.write('password', 'wrong\n')}
    run_command(['openssl', 'pkey', '-in', certs['server-key.pem'], '-aes128', '-passout', 'pass:right', '-out', secret['tls-key']])
    code, error = check(t, 'r-proxy', path, secret)
    assert code == 1 and 'tls-key' in error and 'password' in error, error
    certs.write('password', 'right\n')
    assert check(t, 'r-proxy', path, secret) == (0, '')
    write(path, 'listeners:\n  - url: mqtt://127.0.0.1:0\n  - url: mqtts://127.0.0.1:0\n    tls-cert: /no/such/file\n')
    code, _, error = run(t, 'r-proxy', '-c', path, '--check-config')
    assert code == 1 and f'{path}:4: tls-cert: ' in error and '/no/such/file' in error, error


def check(t, name, path, options):
    """--check-config of a file with OPTIONS, one a line: exit code and stderr."""
    write(path, ''.join(f'{key}: {value}\n' for key, value in options.items()))
    code, _, error = run(t, name, '-c', path, '--check-config')
    return code, error


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


@chain_test()
def command_line_beats_environment_beats_file(t):
    """Seen by where r-proxy listens: the same option from each source."""
    path = os.path.join(t.folder, 'config.yaml')
    sockets = {source: os.path.join(t.folder, source) for source in ('file', 'environment', 'line')}
    write(path, f'listen: ["unix:{sockets["file"]}"]\ns-proxy: 127.0.0.1:1\n')
    environment = {'RPROXY_LISTEN': f'unix:{sockets["environment"]}'}
    for arguments, env, winner in (
            (['-c', path, '--listen', f'unix:{sockets["line"]}'], environment, 'line'),
            (['-c', path], environment, 'environment'), (['-c', path], {}, 'file')):
        proxy = t.add(Program('r-proxy', [t.binary('r-proxy'), *arguments], env=env))
        proxy.wait_log(r'\bready\b')
        there = {source for source, socket in sockets.items() if os.path.exists(socket)}
        assert there == {winner}, (there, winner)
        proxy.stop()


@chain_test()
def the_log_filter_has_its_order_too(t):
    """--log beats RPROXY_LOG beats MQTT_LOG beats RUST_LOG beats the file; a module may have a level of its own."""
    path = os.path.join(t.folder, 'config.yaml')
    write(path, 'log: debug\n')
    sources = [('RUST_LOG', 'warn'), ('MQTT_LOG', 'info'), ('RPROXY_LOG', 'warn')]
    env = {}
    expected = 'DEBUG'          # of the file
    for name, level in [(None, None)] + sources:
        if name:
            env[name] = level
            expected = level.upper()
        proxy = t.r_proxy('127.0.0.1:1', '-c', path, env=dict(env), ready=False)
        assert levels_of(t, proxy) == {'DEBUG': {'INFO', 'DEBUG'}, 'INFO': {'INFO'}, 'WARN': set()}[expected], (env, proxy.log())
    proxy = t.r_proxy('127.0.0.1:1', '-c', path, '--log', 'warn,loop=info', env=env, ready=False)
    assert levels_of(t, proxy) == {'INFO'}, proxy.log()
    assert 'listening on' not in proxy.log(), proxy.log()


def levels_of(t, proxy):
    """The levels of a proxy's lines from start to end, with a client in between. Where it listens the kernel tells: its log may
    be silent."""
    port = None
    while port is None:
        assert proxy.is_running(), proxy.log()
        port = listening_port(proxy)
    t.client('c', address=('127.0.0.1', port)).connect(code=0x88)
    proxy.stop()
    return {word for word in ('INFO', 'DEBUG', 'TRACE') if f' {word} ' in proxy.log()}


def listening_port(proxy):
    try:
        own = {os.readlink(entry.path) for entry in os.scandir(f'/proc/{proxy.pid}/fd')}
    except FileNotFoundError:       # one was closed meanwhile
        return None
    with open(f'/proc/{proxy.pid}/net/tcp', encoding='ascii') as table:
        for fields in (line.split() for line in table):
            if fields[3] == '0A' and f'socket:[{fields[9]}]' in own:
                return int(fields[1].split(':')[1], 16)
    return None


@chain_test(V311, V5)
def json_lines_are_json(t):
    """--log-format json: every line of stderr is an object with time, level and message, ids of any client in it."""
    broker = t.scripted()           # mosquitto refuses some of these ids
    _, s_proxy, r_proxy = t.chain(broker, s_options=('--log-format', 'json', '--log', 'trace'),
                                  r_options=('--log-format', 'json', '--log', 'trace'))
    for name in ('"quoted"', 'back\\slash', 'ü\x7f\u0085\ufeff\n', 'x' * 300):
        c = t.client('c', client_id=name)
        c.send(wire.connect(t.version, name))
        up = t.serve(broker)
        c.expect('CONNACK', code=0)
        c.send(wire.publish(t.version, name, b'', 1, 1))
        up.expect('PUBLISH', topic=name)
        c.close()
        up.expect_closed()
    for program in (r_proxy, s_proxy):
        program.stop()
        for line in program.log().split('\n'):
            parsed = json.loads(line)
            assert isinstance(parsed, dict) and len(parsed) >= 3, line


@chain_test(V311, V5)
def secrets_and_payloads_never_reach_a_log(t):
    """At trace level in both programs, as text and as JSON (MQTT_LOG_FORMAT): no password, no payload, no authentication data."""
    broker = t.mosquitto()
    secret = 'S3CRET'
    for log_format in ('text', 'json'):
        env = {'MQTT_LOG': 'trace', 'MQTT_LOG_FORMAT': log_format}
        s_proxy = t.s_proxy([broker.url], env=env)
        r_proxy = t.r_proxy(s_proxy.target, env=env)
        pass_secrets(t, secret)
        for program in (r_proxy, s_proxy):
            program.stop()
            assert {'DEBUG', 'TRACE'} & levels_in(program.log(), log_format), 'no detailed log to look at'
            assert secret not in program.log(), [line for line in program.log().split('\n') if secret in line]
            assert secret.encode().hex() not in program.log().lower()


def pass_secrets(t, secret):
    """The secret passes the chain in every place where it must not be logged."""
    c = t.connected('c', username='user', password=f'{secret}-password'.encode(), will=Will(t.topic('w'), f'{secret}-will'))
    c.subscribe((t.topic('a'), 2))
    for qos in (0, 1, 2):
        c.send(wire.publish(t.version, t.topic('a'), f'{secret}-payload', qos, qos or None))
    c.is_quiet = True
    c.send(wire.ack(t.version, 'PUBREL', 2))
    seen = 0
    while seen < 3:
        got = c.next()
        assert got != 'closed'
        if got.kind == 'PUBLISH':
            seen += 1
            c.send_quietly(wire.ack(t.version, 'PUBACK' if got.qos == 1 else 'PUBREC', got.packet_id) if got.qos else b'')
    if t.version == V5:
        a = t.client('a')
        a.send(wire.connect(V5, 'a', properties=[('auth_method', 'x'), ('auth_data', f'{secret}-auth'.encode())]))
        a.expect('CONNACK', code=0x8C)
    c.close()


def levels_in(log, log_format):
    """The levels of all lines; in JSON every line must be an object."""
    lines = log.split('\n')
    if log_format == 'json':
        return {json.loads(line)['level'].upper() for line in lines}
    return {line.split(' ')[1] for line in lines}


@chain_test(V5)
def every_line_names_its_client(t):
    """A client's lines carry its number, address and id; control characters of an id are made harmless."""
    broker = t.scripted()           # mosquitto refuses such an id
    _, _, r_proxy = t.chain(broker)
    c = t.client('c', client_id='pump\x1b[31m\nforged line')
    c.send(wire.connect(V5, c.client_id))
    t.serve(broker)
    c.expect('CONNACK', code=0)
    host, port = c.sock.getsockname()
    c.close()
    r_proxy.wait_log(rf'client=\d+.*{host}:{port}.*pump.*connected')
    assert '\x1b' not in r_proxy.log()
    assert not any(line.startswith('forged') for line in r_proxy.log().split('\n'))


@chain_test()
def without_options_the_defaults_of_the_guide_apply(t):
    """r-proxy listens on 1883 and looks for [::1]:50516, s-proxy listens on [::]:50516 and looks for 127.0.0.1:1884: seen in
    the help, since tests use no fixed ports."""
    _, out, _ = run(t, 'r-proxy', '--help')
    assert 'mqtt://0.0.0.0:1883' in out and '[::1]:50516' in out, out
    _, out, _ = run(t, 's-proxy', '--help')
    assert '[::]:50516' in out and 'mqtt://127.0.0.1:1884' in out, out
