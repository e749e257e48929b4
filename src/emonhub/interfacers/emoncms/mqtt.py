"""emoncms over MQTT, bulk: what emoncms's own MQTT input takes, with the time of each reading, paced and confirmed.

emoncms answers nothing over MQTT, and has no form for many readings in one message. What is confirmed here is that the
broker has taken a reading, and with MQTT 5 that somebody is subscribed. Where emoncms can be reached over HTTP,
EmoncmsHttpReporter gets a backlog there hundreds of times faster, and is told that it is stored.
"""

from __future__ import annotations

from emonhub.interfacers.core.mqtt.bulk import EmonHubMqttReporter


class EmoncmsMqttReporter(EmonHubMqttReporter):
    """Sends readings to emoncms's MQTT input, one JSON object with its time for each, kept until confirmed."""

    form = EmonHubMqttReporter.form.but("json")
    batchsize = EmonHubMqttReporter.batchsize.but(100)
    max_rate = EmonHubMqttReporter.max_rate.but(20.0)
