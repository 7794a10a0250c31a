/** Makes all four kinds of call of Greeter, one after the other, and prints the messages. */

import { PassThrough } from "node:stream";

/** The client of Greeter. Each library implements it. */
export interface GreeterCalls {
  greet(name: string): Promise<string>;
  greetInLanguages(name: string): AsyncIterable<{ language: string; message: string }>;
  greetTogether(names: readonly string[]): Promise<string>;
  converse(texts: AsyncIterable<string>): AsyncIterable<string>;
}

const GUESTS = ["Grace", "Edsger"];

export async function makeGreetings(greeter: GreeterCalls, name: string): Promise<void> {
  print("Greet", [name], [await greeter.greet(name)]);

  const translations: string[] = [];
  for await (const { language, message } of greeter.greetInLanguages(name)) {
    translations.push(`${language}: ${message}`);
  }
  print("GreetInLanguages", [name], translations);

  const party = [name, ...GUESTS];
  print("GreetTogether", party, [await greeter.greetTogether(party)]);

  // Each request depends on the response before it, so the loop writes the requests to a stream.
  const sent = [`${name} here.`];
  const received: string[] = [];
  const requests = new PassThrough({ objectMode: true });
  requests.write(sent[0]);
  for await (const heard of greeter.converse(requests)) {
    received.push(heard);
    const next = [`I heard: ${heard}`, "Goodbye!"][received.length - 1];
    if (next === undefined) {
      requests.end();
    } else {
      sent.push(next);
      requests.write(next);
    }
  }
  print("Converse", sent, received);
}

function print(method: string, sent: readonly string[], received: readonly string[]): void {
  const lines = [method, ...sent.map((text) => `  > ${text}`), ...received.map((text) => `  < ${text}`)];
  process.stdout.write(`${lines.join("\n")}\n`);
}
