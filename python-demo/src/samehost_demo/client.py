"""Makes the four kinds of calls of the example service, one after the other."""

import queue
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import grpc

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc
from samehost_client.aio import ENDED_WHILE_SENDING

_GUESTS = ("Grace", "Edsger")
_WORDS = ("I heard: {heard}", "Goodbye!")


@dataclass(frozen=True)
class Exchange:
    """The messages that one call sent and received, in order."""

    method: str
    sent: list[str]
    received: list[str]


def greet(channel: grpc.Channel, name: str, timeout: float) -> Iterator[Exchange]:
    """Makes all four kinds of calls and yields the messages of each.

    Args:
        channel: a channel to a server of Greeter.
        name: the name to greet.
        timeout: the timeout of each call in seconds, including the time to wait for the server.

    Raises:
        grpc.RpcError: a call failed.
    """
    stub = greeter_pb2_grpc.GreeterServiceStub(channel)

    greeting = stub.Greet(greeter_pb2.GreetRequest(name=name), timeout=timeout, wait_for_ready=True)
    yield Exchange("Greet", [name], [greeting.message])

    greetings = stub.GreetInLanguages(
        greeter_pb2.GreetInLanguagesRequest(name=name), timeout=timeout, wait_for_ready=True
    )
    yield Exchange("GreetInLanguages", [name], [f"{each.language}: {each.message}" for each in greetings])

    party = [name, *_GUESTS]
    joint = stub.GreetTogether(
        (greeter_pb2.GreetTogetherRequest(name=each) for each in party), timeout=timeout, wait_for_ready=True
    )
    yield Exchange("GreetTogether", party, [joint.message])

    # Each request depends on the response before, so the loop puts the requests into a queue.
    sent, received = [f"{name} here."], []
    requests: queue.SimpleQueue[greeter_pb2.ConverseRequest | None] = queue.SimpleQueue()
    requests.put(greeter_pb2.ConverseRequest(text=sent[0]))
    words = iter(_WORDS)
    for answer in stub.Converse(iter(requests.get, None), timeout=timeout, wait_for_ready=True):
        received.append(answer.text)
        if word := next(words, None):
            sent.append(word.format(heard=answer.text))
            requests.put(greeter_pb2.ConverseRequest(text=sent[-1]))
        else:
            requests.put(None)
    yield Exchange("Converse", sent, received)


async def greet_async(channel: grpc.aio.Channel, name: str, timeout: float) -> AsyncIterator[Exchange]:
    """Does what `greet` does on an asyncio channel."""
    stub = greeter_pb2_grpc.GreeterServiceStub(channel)

    greeting = await stub.Greet(greeter_pb2.GreetRequest(name=name), timeout=timeout, wait_for_ready=True)
    yield Exchange("Greet", [name], [greeting.message])

    greetings = stub.GreetInLanguages(
        greeter_pb2.GreetInLanguagesRequest(name=name), timeout=timeout, wait_for_ready=True
    )
    yield Exchange("GreetInLanguages", [name], [f"{each.language}: {each.message}" async for each in greetings])

    party = [name, *_GUESTS]
    joint = stub.GreetTogether(timeout=timeout, wait_for_ready=True)
    for each in party:
        await _send(joint.write(greeter_pb2.GreetTogetherRequest(name=each)))
    await _send(joint.done_writing())
    yield Exchange("GreetTogether", party, [(await joint).message])

    sent, received = [f"{name} here."], []
    call = stub.Converse(timeout=timeout, wait_for_ready=True)
    await _send(call.write(greeter_pb2.ConverseRequest(text=sent[0])))
    words = iter(_WORDS)
    async for answer in call:
        received.append(answer.text)
        if word := next(words, None):
            sent.append(word.format(heard=answer.text))
            await _send(call.write(greeter_pb2.ConverseRequest(text=sent[-1])))
        else:
            await _send(call.done_writing())
    yield Exchange("Converse", sent, received)


async def _send(step: Awaitable[None]) -> None:
    """Sends a message. If the call has ended, reading reports why."""
    with suppress(*ENDED_WHILE_SENDING):
        await step
