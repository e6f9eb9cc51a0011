"""What the integration tests stand on: MQTT bytes, raw clients, a raw broker, relays, and the programs under test."""
