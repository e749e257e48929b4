"""A connection that is kept: opened again whenever it ends, shared by interfacers, its state plain to see."""

from __future__ import annotations

import asyncio
import enum
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from paho.mqtt.enums import MQTTProtocolVersion

from emonhub import Unavailable, World
from emonhub.interfacers.core.mqtt.answers import Refused, WrongVersion
from emonhub.interfacers.core.mqtt.messages import Receipt
from emonhub.interfacers.core.mqtt.session import Session
from emonhub.interfacers.core.mqtt.topics import covers
from emonhub.interfacers.core.mqtt.transport import open_socket

if TYPE_CHECKING:
    from collections.abc import Iterable

    from emonhub.interfacers.core.mqtt.broker import Broker
    from emonhub.interfacers.core.mqtt.messages import Message, Subscription, User

_CONNECT_S = 10.0
"""From opening the socket to the broker's welcome."""

_FIRST_WAIT_S = 0.1
"""After a first failure; doubles with each that follows."""

_LOCAL_WAIT_S = 1.0
"""The longest wait for a broker on this machine: asking costs nothing there, and it is mostly just restarting."""

_REFUSED_WAIT_S = 60.0
"""Between two attempts with what the broker has refused: somebody has to mend it first."""

_SETTLED_S = 5.0
"""A connection that lasted this long has settled: the next failure counts as a first one."""

_MAX_ROUTES = 4096
"""Topics whose takers are remembered."""


class ConnectionState(enum.Enum):
    """What a connection is doing."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    """The broker is not there; it is tried again and again."""
    REFUSED = "refused"
    """The broker is there and does not want us."""


class Connection:
    """Opened while anybody uses it."""

    def __init__(self, broker: Broker, world: World) -> None:
        self.broker = broker
        self.state = ConnectionState.CONNECTING
        self.trouble = "not connected yet"
        self.connects = 0
        self.tried = asyncio.Event()
        """Set once the first attempt to connect has come to an end, good or bad."""
        self._world = world
        self._users: dict[User, dict[str, Subscription]] = {}  # with what each has asked to hear
        self._routes: dict[str, list[User]] = {}
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        # Kept over reconnects: the broker drops a connection that is dead for the one that takes its place.
        self._client_id = broker.client_id or f"emonhub-{world.random.getrandbits(48):012x}"
        self._version = MQTTProtocolVersion.MQTTv311 if broker.protocol == "3.1.1" else MQTTProtocolVersion.MQTTv5

    @property
    def connected(self) -> bool:
        return self.state is ConnectionState.CONNECTED

    @property
    def largest(self) -> int:
        """How many bytes a topic and its payload may have together, as far as the broker has said."""
        return self._session.largest if self._session is not None else 0

    def attach(self, user: User) -> None:
        """Use it from now on."""
        wanted = self._users[user] = dict(user.subscriptions)
        self._routes.clear()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep(), name=f"mqtt {self.broker}")
            self._task.add_done_callback(self._on_done)
        elif self.connected and self._session is not None:
            self._session.subscribe(wanted)
            user.on_ready()

    async def detach(self, user: User) -> None:
        """Use it no more; the last one closes it."""
        if user not in self._users:
            return
        heard = self._users.pop(user)
        self._routes.clear()
        if not self._users:
            await self._close()
        else:
            self._stop_hearing(heard)

    def resubscribe(self, user: User) -> None:
        """What `user` wants to hear has changed."""
        before = self._users[user]
        now = self._users[user] = dict(user.subscriptions)
        self._routes.clear()
        self._stop_hearing(before)
        if self.connected and self._session is not None:
            self._session.subscribe({name: one for name, one in now.items() if before.get(name) != one})

    def _stop_hearing(self, filters: Iterable[str]) -> None:
        if self.connected and self._session is not None:
            wanted = {name for heard in self._users.values() for name in heard}
            self._session.unsubscribe(name for name in filters if name not in wanted)

    def publish(self, topic: str, payload: bytes | str, qos: int = 0, *, retain: bool = False) -> bool:
        """Send now or never. False when that can't be: not connected, or the broker does not keep up."""
        return self._session is not None and self._session.publish(topic, payload, qos, retain=retain)

    def confirm(self, topic: str, payload: bytes | str, qos: int = 1) -> asyncio.Future[Receipt]:
        """Send with QoS 1 or 2; the answer says what became of it, and comes as late as the connection lives."""
        if self._session is not None:
            return self._session.confirm(topic, payload, qos)
        receipt: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        receipt.set_result(Receipt(taken=False, lost=True, reason=self.trouble))
        return receipt

    def give_up(self, reason: str) -> None:
        """End the connection as one that is dead though it looks alive; it is opened anew."""
        if self._session is not None:
            self._session.drop(reason)

    async def _keep(self) -> None:
        failures = 0
        loop = asyncio.get_running_loop()
        while True:
            wait = None
            try:
                session = await self._open()
                since = loop.time()
                reason = await session.ended
                failures = 0 if loop.time() - since > _SETTLED_S else failures
                self._fall(ConnectionState.WAITING, reason)
            except WrongVersion as error:
                if self.broker.protocol == "auto" and self._version == MQTTProtocolVersion.MQTTv5:
                    self._version = MQTTProtocolVersion.MQTTv311
                    continue
                self._fall(ConnectionState.REFUSED, f"{error}: see mqtt_version")
                wait = _REFUSED_WAIT_S
            except Refused as error:
                self._fall(ConnectionState.REFUSED, str(error))
                wait = _REFUSED_WAIT_S
            except Unavailable as error:
                self._fall(ConnectionState.WAITING, str(error))
            failures += 1
            await self._world.sleep(wait or self._wait_after(failures))

    def _wait_after(self, failures: int) -> float:
        longest = _LOCAL_WAIT_S if self.broker.is_local else self.broker.longest_wait_s
        grown = min(longest, _FIRST_WAIT_S * 2.0 ** min(failures - 1, 20))
        return grown * self._world.random.uniform(0.75, 1.0)

    async def _open(self) -> Session:
        session: Session | None = None
        try:
            async with asyncio.timeout(_CONNECT_S):
                opened = await open_socket(self.broker)
                session = Session(
                    self.broker,
                    self._version,
                    self._client_id,
                    opened,
                    on_message=self._on_message,
                    on_drained=self._on_drained,
                )
                session.start()
                await session.opened
        except TimeoutError:
            if session is not None:
                session.drop("no answer")
            raise Unavailable(f"the broker at {self.broker} does not answer") from None
        except BaseException:
            if session is not None:
                session.drop("not opened")
            raise
        self._rise(session)
        return session

    def _rise(self, session: Session) -> None:
        self._session = session
        self.state = ConnectionState.CONNECTED
        self.trouble = ""
        self.connects += 1
        self.tried.set()
        wanted = {name: one for heard in self._users.values() for name, one in heard.items()}
        session.on_refused_filter = self._on_refused_filter
        session.subscribe(wanted)
        if self.broker.status_topic:
            session.publish(self.broker.status_topic, "online", 1, retain=True)
        for user in list(self._users):
            user.on_ready()

    def _fall(self, state: ConnectionState, reason: str) -> None:
        self._session = None
        changed = (self.state, self.trouble) != (state, reason)
        self.tried.set()
        self.state = state
        self.trouble = reason
        if changed:
            for user in list(self._users):
                user.on_trouble(reason)

    async def _close(self) -> None:
        _forget(self, self._world)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        session, self._session = self._session, None
        if session is not None:
            if self.broker.status_topic:
                session.publish(self.broker.status_topic, "offline", 1, retain=True)
            await session.close()
        self.state = ConnectionState.WAITING

    def _on_done(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            for user in list(self._users):
                user.on_failure(error)

    def _on_message(self, message: Message) -> bool:
        users = self._routes.get(message.topic)
        if users is None:
            users = [u for u, heard in self._users.items() if any(covers(name, message.topic) for name in heard)]
            if len(self._routes) >= _MAX_ROUTES:
                self._routes.clear()
            self._routes[message.topic] = users
        taken = True
        for user in users:
            try:
                user.on_message(message)
            except Exception as error:  # noqa: BLE001 - carried over to the task that supervises it
                taken = False
                user.on_failure(error)
        return taken

    def _on_drained(self) -> None:
        for user in list(self._users):
            user.on_ready()

    def _on_refused_filter(self, name: str) -> None:
        for user, heard in list(self._users.items()):
            if name in heard:
                user.on_refused_filter(name)


_open: WeakKeyDictionary[World, dict[Broker, Connection]] = WeakKeyDictionary()


def connection_to(broker: Broker, world: World) -> Connection:
    """The connection to this broker in this world: the one that is in use already, else a new one."""
    here = _open.setdefault(world, {})
    found = here.get(broker)
    if found is None:
        found = here[broker] = Connection(broker, world)
    return found


def _forget(connection: Connection, world: World) -> None:
    here = _open.get(world, {})
    if here.get(connection.broker) is connection:
        del here[connection.broker]
