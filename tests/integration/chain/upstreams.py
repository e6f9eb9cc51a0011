"""Several brokers behind one s-proxy: at CONNECT the next one is tried, a session that is up stays where it is."""

from lib import wire
from lib.case import chain_test
from lib.programs import free_port
from lib.wire import V31, V311, V5


@chain_test(V31, V311, V5)
def the_next_broker_serves_when_one_is_down(t):
    """The first address is closed: every client is served by the second, without hearing of the first."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{free_port()}', broker.url])
    t.r_proxy(s_proxy.target)
    for i in range(10):
        t.connected(f'c{i}').fence()
    assert broker.log().count('New client connected') == 10


@chain_test(V311, V5)
def when_the_first_broker_dies_the_second_takes_over(t):
    """Clients are told (0x8B or close), come back, and are served by the other; none was there before."""
    first, second = t.mosquitto(), t.mosquitto()
    s_proxy = t.s_proxy([first.url, second.url])
    t.r_proxy(s_proxy.target)
    clients = [t.connected(f'c{i}') for i in range(6)]
    assert 'New client connected' not in second.log()
    first.kill()
    for c in clients:
        if t.version == V5:
            c.expect('DISCONNECT', code=0x8B)
        c.expect_closed()
    for i in range(6):
        t.connected(f'c{i}').fence()


@chain_test(V5)
def a_broker_that_is_back_is_used_again(t):
    """After its back-off the first address serves new clients again, while sessions at the second stay."""
    port = free_port()
    second = t.mosquitto()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{port}', second.url])
    t.r_proxy(s_proxy.target)
    stays = t.connected('stays')
    first = t.mosquitto(port=port)
    number = 0
    while 'New client connected' not in first.log():
        t.connected(f'c{number}').disconnect()
        number += 1
    stays.fence()


@chain_test(V311, V5)
def a_broker_that_refuses_is_not_failed_over(t):
    """Its no is an answer: the next broker is not asked, the code reaches the client."""
    first, second = t.scripted(), t.mosquitto()
    s_proxy = t.s_proxy([f'mqtt://127.0.0.1:{first.port}', second.url])
    t.r_proxy(s_proxy.target)
    refusal = 0x87 if t.version == V5 else 5
    c = t.client('c')
    c.send(wire.connect(t.version, c.client_id))
    t.serve(first, code=refusal)
    c.expect('CONNACK', code=refusal)
    c.expect_closed()
    assert 'New client connected' not in second.log()


@chain_test(V5)
def host_names_work_everywhere(t):
    """localhost for the listener, for the s-proxy and for the broker."""
    broker = t.mosquitto()
    s_proxy = t.s_proxy([f'mqtt://localhost:{broker.port}'], listen='localhost:0')
    t.r_proxy(f'localhost:{s_proxy.address[1]}', listens=('mqtt://localhost:0',))
    t.connected('c').fence()
