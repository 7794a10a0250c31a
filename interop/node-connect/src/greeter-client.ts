/** A client of Greeter with Connect. */

import { createClient, type Client, type Transport } from "@connectrpc/connect";
import type { GreeterCalls } from "samehost-interop-common/greeter/greet";

import { GreeterService } from "./gen/samehost/greeter/v1/greeter_pb.js";

export class GreeterClient implements GreeterCalls {
  private readonly client: Client<typeof GreeterService>;

  constructor(
    transport: Transport,
    private readonly timeoutMs: number,
  ) {
    this.client = createClient(GreeterService, transport);
  }

  async greet(name: string): Promise<string> {
    const { message } = await this.client.greet({ name }, { timeoutMs: this.timeoutMs });
    return message;
  }

  greetInLanguages(name: string): AsyncIterable<{ language: string; message: string }> {
    return this.client.greetInLanguages({ name }, { timeoutMs: this.timeoutMs });
  }

  async greetTogether(names: readonly string[]): Promise<string> {
    const { message } = await this.client.greetTogether(
      each(names, (name) => ({ name })),
      {
        timeoutMs: this.timeoutMs,
      },
    );
    return message;
  }

  async *converse(texts: AsyncIterable<string>): AsyncGenerator<string> {
    const requests = each(texts, (text) => ({ text }));
    for await (const { text } of this.client.converse(requests, { timeoutMs: this.timeoutMs })) {
      yield text;
    }
  }
}

async function* each<Item, Request>(
  items: Iterable<Item> | AsyncIterable<Item>,
  request: (item: Item) => Request,
): AsyncGenerator<Request> {
  for await (const item of items) {
    yield request(item);
  }
}
