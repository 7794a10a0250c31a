"""The example service Greeter, for the synchronous and for the asyncio server.

Serve it with `samehost-server --services samehost_demo.services:greeter`, or with `:async_greeter --aio`.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import grpc

from samehost.greeter.v1 import greeter_pb2, greeter_pb2_grpc

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


class GreeterService(greeter_pb2_grpc.GreeterServiceServicer):
    """Greets, with one thread per call."""

    def Greet(self, request: greeter_pb2.GreetRequest, context: grpc.ServicerContext) -> greeter_pb2.GreetResponse:
        """Greets one person."""
        _refuse(context, _name_fault(request.name))
        return _greeting(request)

    def GreetInLanguages(
        self, request: greeter_pb2.GreetInLanguagesRequest, context: grpc.ServicerContext
    ) -> Iterator[greeter_pb2.GreetInLanguagesResponse]:
        """Greets one person in several languages, one after the other."""
        _refuse(context, _languages_fault(request))
        cancelled = threading.Event()
        context.add_callback(cancelled.set)
        for position, response in enumerate(_greetings(request)):
            if position and cancelled.wait(_interval(request)):
                return
            yield response

    def GreetTogether(
        self,
        request_iterator: Iterator[greeter_pb2.GreetTogetherRequest],
        context: grpc.ServicerContext,
    ) -> greeter_pb2.GreetTogetherResponse:
        """Greets all names of the stream together."""
        names = []
        for request in request_iterator:
            _refuse(context, _name_fault(request.name))
            names.append(request.name)
        _refuse(context, _party_fault(names))
        return _joint_greeting(names)

    def Converse(
        self, request_iterator: Iterator[greeter_pb2.ConverseRequest], context: grpc.ServicerContext
    ) -> Iterator[greeter_pb2.ConverseResponse]:
        """Answers each message when it arrives."""
        for turn, request in enumerate(request_iterator, start=1):
            _refuse(context, _text_fault(request.text))
            yield _answer(request, turn)


class AsyncGreeterService(greeter_pb2_grpc.GreeterServiceServicer):
    """Greets in an event loop."""

    async def Greet(
        self, request: greeter_pb2.GreetRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> greeter_pb2.GreetResponse:
        """Greets one person."""
        await _refuse_async(context, _name_fault(request.name))
        return _greeting(request)

    async def GreetInLanguages(
        self,
        request: greeter_pb2.GreetInLanguagesRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[greeter_pb2.GreetInLanguagesResponse]:
        """Greets one person in several languages, one after the other."""
        await _refuse_async(context, _languages_fault(request))
        for position, response in enumerate(_greetings(request)):
            if position:
                await asyncio.sleep(_interval(request))
            yield response

    async def GreetTogether(
        self,
        request_iterator: AsyncIterator[greeter_pb2.GreetTogetherRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> greeter_pb2.GreetTogetherResponse:
        """Greets all names of the stream together."""
        names = []
        async for request in request_iterator:
            await _refuse_async(context, _name_fault(request.name))
            names.append(request.name)
        await _refuse_async(context, _party_fault(names))
        return _joint_greeting(names)

    async def Converse(
        self,
        request_iterator: AsyncIterator[greeter_pb2.ConverseRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[greeter_pb2.ConverseResponse]:
        """Answers each message when it arrives."""
        turn = 0
        async for request in request_iterator:
            turn += 1
            await _refuse_async(context, _text_fault(request.text))
            yield _answer(request, turn)


def _refuse(context: grpc.ServicerContext, fault: str | None) -> None:
    if fault:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)


async def _refuse_async(context: grpc.aio.ServicerContext[Any, Any], fault: str | None) -> None:
    if fault:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)


def _name_fault(name: str) -> str | None:
    if 1 <= len(name) <= _MAX_NAME:
        return None
    return f"name has {len(name)} characters; give 1 to {_MAX_NAME}"


def _text_fault(text: str) -> str | None:
    return f"text has {len(text)} characters; give at most {_MAX_TEXT}" if len(text) > _MAX_TEXT else None


def _party_fault(names: Sequence[str]) -> str | None:
    return None if names else "the stream has no request; send at least one name"


def _languages_fault(request: greeter_pb2.GreetInLanguagesRequest) -> str | None:
    for language in request.languages:
        if language not in _GREETINGS:
            return f"languages has {language!r}; the server knows {', '.join(_GREETINGS)}"
    if not 0 <= _interval(request) <= _MAX_INTERVAL_SECONDS:
        return f"interval is {_interval(request)} seconds; give 0 to {_MAX_INTERVAL_SECONDS}"
    return _name_fault(request.name)


def _interval(request: greeter_pb2.GreetInLanguagesRequest) -> float:
    return request.interval.seconds + request.interval.nanos / 1e9


def _greeting(request: greeter_pb2.GreetRequest) -> greeter_pb2.GreetResponse:
    return greeter_pb2.GreetResponse(message=_GREETINGS["en"].format(name=request.name))


def _greetings(
    request: greeter_pb2.GreetInLanguagesRequest,
) -> Iterator[greeter_pb2.GreetInLanguagesResponse]:
    for language in request.languages or _GREETINGS:
        message = _GREETINGS[language].format(name=request.name)
        yield greeter_pb2.GreetInLanguagesResponse(language=language, message=message)


def _joint_greeting(names: Sequence[str]) -> greeter_pb2.GreetTogetherResponse:
    *others, last = names
    everyone = f"{', '.join(others)} and {last}" if others else last
    return greeter_pb2.GreetTogetherResponse(message=_GREETINGS["en"].format(name=everyone), count=len(names))


def _answer(request: greeter_pb2.ConverseRequest, turn: int) -> greeter_pb2.ConverseResponse:
    text = f"You said: {request.text}" if request.text else "You said nothing."
    return greeter_pb2.ConverseResponse(text=text, turn=turn)


greeter = GreeterService()
async_greeter = AsyncGreeterService()
