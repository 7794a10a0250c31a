/** A client of Greeter with grpc-js. */

import { type ChannelInterface as Channel, Metadata } from "@grpc/grpc-js";
import type { GreeterCalls } from "samehost-interop-common/greeter/greet";
import { createClient } from "samehost/grpc-js";

import { answerTo } from "./calls.js";
import { GreeterServiceClient, GreetInLanguagesRequest } from "./gen/samehost/greeter/v1/greeter.js";

export class GreeterClient implements GreeterCalls {
  private readonly stub: GreeterServiceClient;
  /** Makes a call wait until its deadline while the server is being replaced. */
  private readonly metadata = new Metadata({ waitForReady: true });

  constructor(
    channel: Channel,
    private readonly timeoutMs: number,
  ) {
    this.stub = createClient(GreeterServiceClient, channel);
  }

  async greet(name: string): Promise<string> {
    const { response } = await answerTo(this.stub.greet.bind(this.stub, { name }, this.metadata, this.options()));
    return response.message;
  }

  greetInLanguages(name: string): AsyncIterable<{ language: string; message: string }> {
    const request = GreetInLanguagesRequest.fromPartial({ name });
    return this.stub.greetInLanguages(request, this.metadata, this.options());
  }

  async greetTogether(names: readonly string[]): Promise<string> {
    const { response } = await answerTo<{ message: string }>((callback) => {
      const call = this.stub.greetTogether(this.metadata, this.options(), callback);
      for (const name of names) {
        call.write({ name });
      }
      call.end();
      return call;
    });
    return response.message;
  }

  async *converse(texts: AsyncIterable<string>): AsyncGenerator<string> {
    const call = this.stub.converse(this.metadata, this.options());
    const sending = send(texts, call);
    for await (const { text } of call as AsyncIterable<{ text: string }>) {
      yield text;
    }
    await sending;
  }

  private options(): { deadline: number } {
    return { deadline: Date.now() + this.timeoutMs };
  }
}

async function send(
  texts: AsyncIterable<string>,
  call: { write(request: { text: string }): boolean; end(): unknown },
): Promise<void> {
  for await (const text of texts) {
    call.write({ text });
  }
  call.end();
}
