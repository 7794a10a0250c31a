/** The greetings of Greeter and its checks of requests, for both libraries. See samehost/greeter/v1/greeter.proto. */

import { inspect } from "node:util";

const GREETINGS: Readonly<Record<string, (name: string) => string>> = {
  de: (name) => `Hallo, ${name}!`,
  en: englishGreeting,
  es: (name) => `¡Hola, ${name}!`,
  fr: (name) => `Bonjour, ${name} !`,
  ja: (name) => `こんにちは、${name}さん！`,
};
const MAX_NAME = 256;
const MAX_TEXT = 4096;
const MAX_INTERVAL_SECONDS = 60;

export function englishGreeting(name: string): string {
  return `Hello, ${name}!`;
}

/** Returns a greeting in each of the languages, or in all supported languages if the list is empty. */
export function greetings(name: string, languages: readonly string[]): { language: string; message: string }[] {
  const wanted = languages.length > 0 ? languages : Object.keys(GREETINGS);
  return wanted.flatMap((language) => {
    const message = GREETINGS[language]?.(name);
    return message === undefined ? [] : [{ language, message }];
  });
}

export function jointGreeting(names: readonly string[]): { message: string; count: number } {
  const others = names.slice(0, -1).join(", ");
  const last = names.at(-1) ?? "";
  return { message: englishGreeting(others === "" ? last : `${others} and ${last}`), count: names.length };
}

export function answer(text: string, turn: number): { text: string; turn: number } {
  return { text: text === "" ? "You said nothing." : `You said: ${text}`, turn };
}

/** Returns the fault of an invalid name, for INVALID_ARGUMENT. The functions below check the other fields. */
export function nameFault(name: string): string | undefined {
  const length = countCharacters(name);
  return length >= 1 && length <= MAX_NAME ? undefined : `name has ${length} characters; give 1 to ${MAX_NAME}`;
}

export function languagesFault(languages: readonly string[]): string | undefined {
  const unknown = languages.find((language) => !Object.hasOwn(GREETINGS, language));
  return unknown === undefined
    ? undefined
    : `languages has ${inspect(unknown)}; the server knows ${Object.keys(GREETINGS).join(", ")}`;
}

export function intervalFault(seconds: number): string | undefined {
  return seconds >= 0 && seconds <= MAX_INTERVAL_SECONDS
    ? undefined
    : `interval is ${Number.isInteger(seconds) ? seconds.toFixed(1) : seconds} seconds; give 0 to ${MAX_INTERVAL_SECONDS}`;
}

export function partyFault(names: readonly string[]): string | undefined {
  return names.length > 0 ? undefined : "the stream has no request; send at least one name";
}

export function textFault(text: string): string | undefined {
  const length = countCharacters(text);
  return length <= MAX_TEXT ? undefined : `text has ${length} characters; give at most ${MAX_TEXT}`;
}

/** Counts characters. `length` counts UTF-16 units, of which an emoji has two. */
function countCharacters(text: string): number {
  return Array.from(text).length;
}
