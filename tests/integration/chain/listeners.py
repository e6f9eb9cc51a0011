"""Where r-proxy and our broker listen, and what they do when they cannot."""

import os
import socket

from lib.case import chain_test
from lib.programs import Program, free_port
from lib.wire import V31, V311, V5


@chain_test(V31, V311, V5, front=True)
def several_listeners_serve_at_once(t):
    """IPv4, IPv6, a host name and a Unix socket in one process: a message from each reaches all."""
    path = os.path.join(t.folder, 'mqtt.sock')
    front = t.front(listens=('mqtt://127.0.0.1:0', 'mqtt://[::1]:0', 'mqtt://localhost:0', f'unix:{path}'))
    assert path in front.listens and len(front.listens) >= 4, front.listens
    clients = [t.connected(f'{i}', address=address) for i, address in enumerate(front.listens)]
    for c in clients:
        c.subscribe((t.topic('#'), 0))
    for number, c in enumerate(clients):
        sender = t.connected(f'sender{number}', address=front.listens[number])
        sender.publish(t.topic(f'{number}'), b'', 1)
        for receiver in clients:
            receiver.receive(t.topic(f'{number}'))


@chain_test(V5)
def the_chain_works_over_ipv6_alone(t):
    """Client, gRPC and broker on ::1."""
    broker = t.mosquitto(host='::1')
    s_proxy = t.s_proxy([broker.url], listen='[::1]:0')
    t.r_proxy(s_proxy.target, listens=('mqtt://[::1]:0',))
    t.connected('c').fence()


@chain_test(V5)
def the_broker_may_be_a_unix_socket(t):
    """--upstream unix:/path."""
    path = os.path.join(t.folder, 'broker.sock')
    t.mosquitto(f'listener 0 {path}\nallow_anonymous true\n')
    s_proxy = t.s_proxy([f'unix:{path}'])
    t.r_proxy(s_proxy.target)
    t.connected('c').fence()


@chain_test(front=True)
def a_stale_unix_socket_is_replaced_and_removed_at_the_end(t):
    """What a killed one left behind does not hinder the next one, which cleans up after itself."""
    path = os.path.join(t.folder, 'mqtt.sock')
    t.front(listens=(f'unix:{path}',)).kill()
    assert os.path.exists(path)
    front = t.front(listens=(f'unix:{path}',))
    t.connected('c').disconnect()
    front.stop()
    assert not os.path.exists(path)


@chain_test(front=True)
def a_file_that_is_no_socket_is_left_alone(t):
    """Listening fails with its name, and the file is still there."""
    path = os.path.join(t.folder, 'precious')
    with open(path, 'w', encoding='ascii') as file:
        file.write('data')
    front = t.front(alone=True, listens=(f'unix:{path}',), ready=False)
    assert front.wait_exit() == 1
    assert path in front.log(), front.log()
    with open(path, encoding='ascii') as file:
        assert file.read() == 'data'


@chain_test()
def a_taken_port_ends_the_program_with_its_name(t):
    """Exit status 1 and the address on stderr, for r-proxy and s-proxy, also when an earlier listener was fine."""
    with socket.create_server(('127.0.0.1', 0)) as taken:
        port = taken.getsockname()[1]
        url = f'mqtt://127.0.0.1:{port}'
        for listens in ((url,), ('mqtt://127.0.0.1:0', url)):
            proxy = t.r_proxy('127.0.0.1:1', listens=listens, ready=False)
            assert proxy.wait_exit() == 1, proxy.log()
            assert str(port) in proxy.log() and 'in use' in proxy.log(), proxy.log()
        proxy = t.s_proxy([url], listen=f'127.0.0.1:{port}', ready=False)
        assert proxy.wait_exit() == 1, proxy.log()
        assert str(port) in proxy.log(), proxy.log()


@chain_test(V311)
def the_forms_of_the_existing_implementation_work(t):
    """s-proxy GRPC_PORT BROKER_HOST:PORT and r-proxy LISTEN_PORT HOST:PORT."""
    broker = t.mosquitto()
    grpc_port, port = free_port(), free_port()
    s_proxy = t.add(Program('s-proxy', [t.binary('s-proxy'), str(grpc_port), f'127.0.0.1:{broker.port}']))
    s_proxy.wait_log(r'\bready\b')
    r_proxy = t.add(Program('r-proxy', [t.binary('r-proxy'), str(port), f'127.0.0.1:{grpc_port}']))
    r_proxy.wait_log(r'\bready\b')
    t.connected('c', address=('127.0.0.1', port)).fence()
