"""kombu's Redis transport by the shared clock.

kombu notes in Redis when a worker takes a message, and any worker puts back what was taken longer ago than the
visibility timeout. By the hosts' own clocks, one that is ahead would take messages away from workers that still run
them, and what one that is behind takes and loses would come back late.
"""

from typing import Any

from kombu.transport import TRANSPORT_ALIASES, redis, virtual
from kombu.utils.json import dumps

from tasks.clock.shared import clock, now


class QoS(redis.QoS):
    """Notes and compares by the shared clock."""

    def append(self, message: Any, delivery_tag: str) -> None:
        """As in kombu 5.7, with another time."""
        delivery = message.delivery_info
        taken = dumps([message._raw, delivery["exchange"], delivery["routing_key"]])
        with self.pipe_or_acquire() as pipe:
            pipe.zadd(self.unacked_index_key, {delivery_tag: now()})
            pipe.hset(self.unacked_key, delivery_tag, taken)
            pipe.execute()
        virtual.QoS.append(self, message, delivery_tag)

    @property
    def visibility_timeout(self) -> float:  # type: ignore[override]
        """What kombu subtracts from this host's clock to see what was taken too long ago."""
        seconds: float = self.channel.visibility_timeout  # type: ignore[attr-defined]
        return seconds + clock.wall_offset_seconds


class Channel(redis.Channel):
    QoS = QoS


class Transport(redis.Transport):
    Channel = Channel


def use_shared_clock() -> None:
    """Make this the transport of redis:// and rediss:// URLs; call it before the first connection.

    The setting `broker_transport` would do for redis:// only: kombu turns TLS on by the name of the transport.
    """
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
