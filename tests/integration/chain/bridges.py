"""Mosquitto's bridges through the chain: protocol level 0x83/0x84 and their retained and loop rules."""

from lib.case import chain_test
from lib.wire import V31, V311, V5

CONNECTED = r'New (bridge|client) connected from .* as \S*through-the-chain'
BRIDGE_VERSIONS = {V31: 'mqttv31', V311: 'mqttv311', V5: 'mqttv50'}


@chain_test(V31, V311, V5)
def a_bridge_carries_messages_both_ways(t):
    """A second broker bridges through the chain (try_private: level 0x83 or 0x84); messages of every QoS go each way, none
    comes back to where it began, and a message published while the link was down is delivered."""
    far, s_proxy, r_proxy = t.chain()
    host, port = r_proxy.address
    near = t.mosquitto(f'connection through-the-chain\naddress {host}:{port}\ntopic # both 2\n'
                       f'bridge_protocol_version {BRIDGE_VERSIONS[t.version]}\ntry_private true\ncleansession false\n'
                       'restart_timeout 1 1\nnotifications false\nkeepalive_interval 5\n')
    far.wait_log(CONNECTED)
    here = t.connected('here', version=V5, address=near.address)
    there = t.connected('there', version=V5, address=far.address)
    here.subscribe((t.topic('#'), 2 | 4))
    there.subscribe((t.topic('#'), 2 | 4))
    far.wait_log(r'through-the-chain 2 #')         # the bridge's own SUBSCRIBE
    for qos in (0, 1, 2):
        here.publish(t.topic(f'up/{qos}'), b'up', qos)
        there.receive(t.topic(f'up/{qos}'), 'up')
        there.publish(t.topic(f'down/{qos}'), b'down', qos)
        here.receive(t.topic(f'down/{qos}'), 'down')
    # what the bridge has not acknowledged may come twice after the break
    near.wait_log(r'Received PUBCOMP from local\.\S*through-the-chain')
    far.wait_log(r'Received PUBCOMP from \S*through-the-chain')
    # the link breaks and comes back
    since = far.mark()
    r_proxy.kill()
    here.publish(t.topic('later'), b'waited', 1)
    t.r_proxy(s_proxy.target, listens=(f'mqtt://{host}:{port}',))
    far.wait_log(CONNECTED, since)
    there.receive(t.topic('later'), 'waited')
    here.fence()
    there.fence()
    here.publish(t.topic('kept'), b'retained', 1, retain=True)
    there.receive(t.topic('kept'), 'retained')
    here.fence()
    late = t.connected('late', version=V5, address=far.address)
    late.subscribe((t.topic('kept'), 1))
    late.receive(t.topic('kept'), 'retained', retain=1)
