/** Greeter, the example service of PROTOCOL.md. */

import { setTimeout as pause } from "node:timers/promises";

import { status } from "@grpc/grpc-js";
import {
  answer,
  englishGreeting,
  greetings,
  intervalFault,
  jointGreeting,
  languagesFault,
  nameFault,
  partyFault,
  textFault,
} from "samehost-interop-common/greeter/greetings";

import type { GreeterServiceServer } from "./gen/samehost/greeter/v1/greeter.js";
import { bidiStreaming, clientStreaming, serverStreaming, StatusError, unary } from "./handlers.js";

export const greeterService: GreeterServiceServer = {
  greet: unary(({ name }) => {
    refuse(nameFault(name));
    return { message: englishGreeting(name) };
  }),

  greetInLanguages: serverStreaming(async function* ({ name, languages, interval }, { signal }) {
    const seconds = (interval?.seconds ?? 0) + (interval?.nanos ?? 0) / 1e9;
    refuse(languagesFault(languages) ?? intervalFault(seconds) ?? nameFault(name));
    for (const [position, greeting] of greetings(name, languages).entries()) {
      if (position > 0) {
        await pause(seconds * 1000, undefined, { signal });
      }
      yield greeting;
    }
  }),

  greetTogether: clientStreaming(async (requests) => {
    const names: string[] = [];
    for await (const { name } of requests) {
      refuse(nameFault(name));
      names.push(name);
    }
    refuse(partyFault(names));
    return jointGreeting(names);
  }),

  converse: bidiStreaming(async function* (requests) {
    let turn = 0;
    for await (const { text } of requests) {
      refuse(textFault(text));
      yield answer(text, ++turn);
    }
  }),
};

function refuse(fault: string | undefined): void {
  if (fault !== undefined) {
    throw new StatusError(status.INVALID_ARGUMENT, fault);
  }
}
