"""A proxy between clients and a Kafka broker in which the network's faults happen when a test wants them to.

How to write another fault test::

    with proxy.during(Fault(Reset(), "END_TXN", client=r"count\\.0", direction=Direction.RESPONSE, first=3)) as fault:
        await fault.has_hit()                # the reply to the third EndTxn of task 0 was lost
    # ... and here the test says what must hold nevertheless

A fault is an action (``Drop``, ``Delay``, ``Hold``, ``Reset``, ``HalfClose``) and what it befalls: names of requests,
a client id, a direction, the first one hit and how many. ``during`` fails the test when nothing was hit; ``add`` and
``heal`` are its halves. A new kind of fault is a new action in :mod:`.faults` and its case in
:meth:`.connection.Connection._pass`; a request that is not known by name yet is one line in :class:`.framing.Api`.

Who is disturbed: whoever begins at the proxy's address. Writers have their task as client id (``count.0``), a group's
reader the process and the instance (``member-0-count-0``), restores ``member-0-reader``, questions for the ends of
partitions ``member-0-offsets``. A checker uses the broker's ordinary address.
"""

from pipeline.testing.kafka_proxy.faults import Action, Delay, Direction, Drop, Fault, HalfClose, Hold, Reset
from pipeline.testing.kafka_proxy.framing import Api, NotKafka
from pipeline.testing.kafka_proxy.proxy import KafkaProxy

__all__ = [
    "Action",
    "Api",
    "Delay",
    "Direction",
    "Drop",
    "Fault",
    "HalfClose",
    "Hold",
    "KafkaProxy",
    "NotKafka",
    "Reset",
]
