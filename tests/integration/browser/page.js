// What to do stands in the page's address: ?url=ws://...&version=4|5&topic=...&id=...
// Everything that happens is told to the server of the page, in order: POST /told {what, ...}.
'use strict';

const wanted = Object.fromEntries(new URLSearchParams(location.search));
const topic = wanted.topic;

let telling = Promise.resolve();

function tell(what, more) {
    const body = JSON.stringify({what, ...more});
    telling = telling.then(() => fetch('/told', {method: 'POST', body}));
}

window.addEventListener('error', event => tell('fault', {text: event.message}));
window.addEventListener('unhandledrejection', event => tell('fault', {text: String(event.reason)}));

// Bytes that differ at every place, so that none can be lost or exchanged unnoticed.
function payload(size) {
    return Uint8Array.from({length: size}, (_, i) => (i * 31 + (i >> 8)) & 255);
}

function isPayload(bytes) {
    return payload(bytes.length).every((byte, i) => byte === bytes[i]);
}

const client = mqtt.connect(wanted.url, {
    protocolVersion: Number(wanted.version),
    clientId: wanted.id,
    clean: false,
    properties: wanted.version === '5' ? {sessionExpiryInterval: 600} : undefined,
    reconnectPeriod: 100,
    connectTimeout: 60000,
});

client.on('connect', connack => tell('connect', {sessionPresent: connack.sessionPresent}));
client.on('close', () => tell('close'));
client.on('error', error => tell('error', {text: error.message}));
client.on('message', (from, bytes, packet) =>
    tell('message', {topic: from, qos: packet.qos, size: bytes.length, isWhole: isPayload(bytes),
                     user: packet.properties && packet.properties.userProperties}));

async function work() {
    await client.subscribeAsync(`${topic}/#`, {qos: 2});
    tell('subscribed');
    for (const qos of [0, 1, 2])
        for (const size of [0, 10, 200000])
            await client.publishAsync(`${topic}/${qos}`, payload(size),
                                      {qos, properties: wanted.version === '5' ? {userProperties: {size: String(size)}} : undefined});
    tell('published');
}

client.once('connect', () => work().catch(error => tell('fault', {text: String(error)})));

tell('loaded');
