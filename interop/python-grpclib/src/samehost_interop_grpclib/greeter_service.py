"""Implements the example service, samehost.greeter.v1.GreeterService."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grpclib.const import Status
from grpclib.exceptions import GRPCError

from samehost.greeter.v1.greeter_grpc import GreeterServiceBase
from samehost.greeter.v1.greeter_pb2 import (
    ConverseRequest,
    ConverseResponse,
    GreetInLanguagesRequest,
    GreetInLanguagesResponse,
    GreetRequest,
    GreetResponse,
    GreetTogetherRequest,
    GreetTogetherResponse,
)
from samehost_interop_grpclib.receiving import the_request

if TYPE_CHECKING:
    from grpclib.server import Stream

_GREETINGS = {
    "de": "Hallo, {name}!",
    "en": "Hello, {name}!",
    "es": "¡Hola, {name}!",
    "fr": "Bonjour, {name} !",
    "ja": "こんにちは、{name}さん！",
}
_MAX_NAME = 256
_MAX_TEXT = 4096
_MAX_INTERVAL_SECONDS = 60


class GreeterService(GreeterServiceBase):
    """The example service."""

    async def Greet(self, stream: "Stream[GreetRequest, GreetResponse]") -> None:
        """Greet one person."""
        request = await the_request(stream)
        _refuse(_name_fault(request.name))
        await stream.send_message(GreetResponse(message=_greeting("en", request.name)))

    async def GreetInLanguages(self, stream: "Stream[GreetInLanguagesRequest, GreetInLanguagesResponse]") -> None:
        """Greet one person in several languages, one after the other."""
        request = await the_request(stream)
        _refuse(_languages_fault(request))
        for position, response in enumerate(_greetings(request)):
            if position:
                await asyncio.sleep(_interval(request))
            await stream.send_message(response)

    async def GreetTogether(self, stream: "Stream[GreetTogetherRequest, GreetTogetherResponse]") -> None:
        """Greet all names of the stream in one response."""
        names = []
        async for request in stream:
            _refuse(_name_fault(request.name))
            names.append(request.name)
        _refuse(None if names else "the stream has no request; send at least one name")
        await stream.send_message(GreetTogetherResponse(message=_greeting("en", _enumeration(names)), count=len(names)))

    async def Converse(self, stream: "Stream[ConverseRequest, ConverseResponse]") -> None:
        """Answer each message as it arrives."""
        turn = 0
        async for request in stream:
            turn += 1
            _refuse(_text_fault(request.text))
            text = f"You said: {request.text}" if request.text else "You said nothing."
            await stream.send_message(ConverseResponse(text=text, turn=turn))


def _refuse(fault: str | None) -> None:
    if fault:
        raise GRPCError(Status.INVALID_ARGUMENT, fault)


def _name_fault(name: str) -> str | None:
    if 1 <= len(name) <= _MAX_NAME:
        return None
    return f"name has {len(name)} characters; give 1 to {_MAX_NAME}"


def _text_fault(text: str) -> str | None:
    return f"text has {len(text)} characters; give at most {_MAX_TEXT}" if len(text) > _MAX_TEXT else None


def _languages_fault(request: GreetInLanguagesRequest) -> str | None:
    for language in request.languages:
        if language not in _GREETINGS:
            return f"invalid language {language!r}: use {', '.join(_GREETINGS)}"
    if not 0 <= _interval(request) <= _MAX_INTERVAL_SECONDS:
        return f"invalid interval of {_interval(request)} s: use 0 to {_MAX_INTERVAL_SECONDS} s"
    return _name_fault(request.name)


def _interval(request: GreetInLanguagesRequest) -> float:
    return request.interval.seconds + request.interval.nanos / 1e9


def _greetings(request: GreetInLanguagesRequest) -> Iterator[GreetInLanguagesResponse]:
    for language in request.languages or _GREETINGS:
        yield GreetInLanguagesResponse(language=language, message=_greeting(language, request.name))


def _greeting(language: str, name: str) -> str:
    return _GREETINGS[language].format(name=name)


def _enumeration(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
