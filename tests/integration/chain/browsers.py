"""MQTT.js in a real browser, over ws:// and wss://. Skipped where npm or Chromium cannot be had."""

import os
import urllib.parse

from lib.browser import Browser, PageServer, fetch_mqtt_js
from lib.case import chain_test
from lib.certs import Certs
from lib.wire import V5, V311

SIZES = (0, 10, 200_000)        # bytes; browser/page.js has the same
AWAY = ('close', 'error')       # what it tells while it has no connection


def new_page(t):
    page = PageServer(fetch_mqtt_js(os.path.join(t.tools.build, 'npm')))
    t.peers.append(page)
    return page


def open_page(t, page, url, certs=None, host='127.0.0.1'):
    """A browser opens PAGE at HOST, which connects to URL."""
    wanted = urllib.parse.urlencode({'url': url, 'version': t.version, 'topic': t.topic(), 'id': f'page-{page.port}'})
    t.add(Browser(t.folder, f'http://{host}:{page.port}/?{wanted}', certs and certs['ca.pem']))
    page.expect('loaded')


def check_work(t, page):
    """The page subscribes and publishes to itself with every QoS: all comes back in order and whole."""
    page.expect('connect', sessionPresent=False)
    page.expect('subscribed')
    told = [page.next() for _ in range(3 * len(SIZES) + 1)]
    assert {'what': 'published'} in told, told
    messages = [one for one in told if one['what'] == 'message']
    wanted = [{'what': 'message', 'topic': t.topic(f'{qos}'), 'qos': qos, 'size': size, 'isWhole': True,
               **({'user': {'size': f'{size}'}} if t.version == V5 else {})} for qos in (0, 1, 2) for size in SIZES]
    assert messages == wanted, messages


@chain_test(V311, V5, front=True)
def mqtt_js_is_served_and_comes_back(t):
    """Over ws://: every QoS; when its connection breaks it connects again by itself and finds its session with what has come."""
    front = t.front(listens=('ws://127.0.0.1:0', 'mqtt://127.0.0.1:0'))
    link = t.relay(front.address)
    page = new_page(t)
    open_page(t, page, f'ws://127.0.0.1:{link.port}/mqtt')
    check_work(t, page)
    link.tell('refuse')
    link.tell('cut')
    page.expect('close')
    t.connected('other', address=front.listens[1]).publish(t.topic('while/away'), b'', 1)
    link.tell('admit')
    told = [page.next(skip=AWAY), page.next(skip=AWAY)]     # MQTT.js may tell of the message first
    assert {'what': 'connect', 'sessionPresent': True} in told, told
    assert [(one['topic'], one['qos']) for one in told if one['what'] == 'message'] == [(t.topic('while/away'), 1)], told
    assert front.metric(f'{front.prefix}_websockets_broken_total') == 0


@chain_test(V5)
def mqtt_js_is_served_over_tls(t):
    """wss://, with a certificate that the browser checks: every QoS."""
    certs = Certs(os.path.join(t.folder, 'certs'))
    s_proxy = t.s_proxy([t.mosquitto().url])
    r_proxy = t.r_proxy(s_proxy.target, *certs.door(), listens=('wss://127.0.0.1:0',))
    page = new_page(t)
    open_page(t, page, f'wss://127.0.0.1:{r_proxy.address[1]}/mqtt', certs)
    check_work(t, page)


@chain_test(V5)
def a_page_of_another_origin_is_kept_out(t):
    """--websocket-origins: of two pages that differ in their host alone one is served; the other hears 403, and nothing of MQTT."""
    s_proxy = t.s_proxy([t.mosquitto().url])
    page, foreign = new_page(t), new_page(t)
    r_proxy = t.r_proxy(s_proxy.target, '--websocket-origins', f'http://127.0.0.1:{page.port}', listens=('ws://127.0.0.1:0',))
    url = f'ws://127.0.0.1:{r_proxy.address[1]}/mqtt'
    open_page(t, foreign, url, host='localhost')
    r_proxy.wait_log(f'WebSocket refused with 403.*http://localhost:{foreign.port}')
    foreign.expect('close', skip=('error',))
    open_page(t, page, url)
    check_work(t, page)
    assert 'connect' not in [one['what'] for one in foreign.told.queue]
