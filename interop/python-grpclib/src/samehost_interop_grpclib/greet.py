"""Makes the four kinds of call of the example service, one after the other, and prints them."""

import grpclib.client

from samehost.greeter.v1.greeter_grpc import GreeterServiceStub
from samehost.greeter.v1.greeter_pb2 import (
    ConverseRequest,
    GreetInLanguagesRequest,
    GreetRequest,
    GreetTogetherRequest,
)

_GUESTS = ("Grace", "Edsger")
_WORDS = ("I heard: {heard}", "Goodbye!")


async def greet(channel: grpclib.client.Channel, name: str, timeout: float) -> None:
    """Make all four kinds of call, each within `timeout` seconds, and print what each sent and received.

    Raises the errors of grpclib.
    """
    stub = GreeterServiceStub(channel)

    greeting = await stub.Greet(GreetRequest(name=name), timeout=timeout)
    _say("Greet", [name], [greeting.message])

    greetings = await stub.GreetInLanguages(GreetInLanguagesRequest(name=name), timeout=timeout)
    _say("GreetInLanguages", [name], [f"{each.language}: {each.message}" for each in greetings])

    party = [name, *_GUESTS]
    joint = await stub.GreetTogether([GreetTogetherRequest(name=each) for each in party], timeout=timeout)
    _say("GreetTogether", party, [joint.message])

    sent, received = [f"{name} here."], []
    async with stub.Converse.open(timeout=timeout) as stream:
        await stream.send_message(ConverseRequest(text=sent[0]))
        words = iter(_WORDS)
        async for answer in stream:
            received.append(answer.text)
            if word := next(words, None):
                sent.append(word.format(heard=answer.text))
                await stream.send_message(ConverseRequest(text=sent[-1]))
            else:
                await stream.end()
    _say("Converse", sent, received)


def _say(method: str, sent: list[str], received: list[str]) -> None:
    lines = [method, *(f"  > {text}" for text in sent), *(f"  < {text}" for text in received)]
    print("\n".join(lines), flush=True)
