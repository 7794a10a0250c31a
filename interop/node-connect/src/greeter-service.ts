/** Greeter, the example service of PROTOCOL.md. */

import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
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

import type { GreeterService } from "./gen/samehost/greeter/v1/greeter_pb.js";
import { pause } from "./pause.js";

export const greeterService: ServiceImpl<typeof GreeterService> = {
  greet({ name }) {
    refuse(nameFault(name));
    return { message: englishGreeting(name) };
  },

  async *greetInLanguages({ name, languages, interval }, { signal }) {
    const seconds = Number(interval?.seconds ?? 0n) + (interval?.nanos ?? 0) / 1e9;
    refuse(languagesFault(languages) ?? intervalFault(seconds) ?? nameFault(name));
    for (const [position, greeting] of greetings(name, languages).entries()) {
      if (position > 0) {
        await pause(seconds * 1000, signal);
      }
      yield greeting;
    }
  },

  async greetTogether(requests) {
    const names: string[] = [];
    for await (const { name } of requests) {
      refuse(nameFault(name));
      names.push(name);
    }
    refuse(partyFault(names));
    return jointGreeting(names);
  },

  async *converse(requests) {
    let turn = 0;
    for await (const { text } of requests) {
      refuse(textFault(text));
      yield answer(text, ++turn);
    }
  },
};

function refuse(fault: string | undefined): void {
  if (fault !== undefined) {
    throw new ConnectError(fault, Code.InvalidArgument);
  }
}
